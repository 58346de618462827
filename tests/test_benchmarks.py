"""Each benchmark runs with one small setting."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parent.parent

NARROW = tuple(
    f"--flag={flag}"
    for flag in ("g_channels=2", "d_channels=2", "global_batch_size=4", "num_d_steps=1")
)


def run(script, *flags, setting="32px"):
    command = [sys.executable, str(ROOT / "benchmarks" / script), *flags]
    command += [f"--setting={setting}"] if setting else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_ENABLE_X64": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_training_iteration_compares_networks_of_as_many_parameters():
    pytest.importorskip("torch")
    printed = run("training_iteration.py", "--rounds=1", "--kind=tf_biggan", "--kind=torch")
    rows = [line.split() for line in printed.splitlines()[3:]]
    assert [row[0] for row in rows] == ["tf_biggan", "torch"]
    assert all(float(value) > 0 for row in rows for value in row[1:])


@pytest.mark.slow
def test_convolution_forms_covers_the_iteration():
    printed = run("convolution_forms.py", "--repeats=1", "--iterations=1")
    assert "strided_4x4*" in printed and "phases*" in printed
    assert "all convolutions of an iteration" in printed


@pytest.mark.slow
def test_iteration_profile_gives_every_operation_a_group():
    printed = run("iteration_profile.py", "--iterations=1")
    shares = [float(line.split()[-2]) for line in printed.splitlines() if line.endswith("%")]
    assert abs(sum(shares) - 100) < 1 and max(shares) == shares[0] > 50


@pytest.mark.slow
def test_input_pipeline_compares_the_orders_with_plain_reading():
    printed = run("input_pipeline.py", "--rounds=1", "--seconds=0.2", setting="32px_png")
    rows = [line.split() for line in printed.splitlines() if line.startswith("32px_png")]
    assert [row[1] for row in rows] == ["plain", "blocks", "full"]
    assert all(float(value) > 0 for row in rows for value in row[2:])


@pytest.mark.slow
def test_an_xla_program_of_the_iteration_runs_without_tensorflow(tmp_path):
    pytest.importorskip("jax")
    from tf_biggan import open_model

    folder, run_dir = str(tmp_path / "program"), str(tmp_path / "run")
    assert "variables" in run("write_xla_program.py", folder, "--values", *NARROW)
    printed = run("run_xla_program.py", folder, "--iterations=20", "--save_every=10", setting=None)
    result = json.loads(printed.splitlines()[-1])
    assert result["real_images_per_second"] > 0 and len(result["metrics"]) == 5
    printed = run(
        "read_xla_values.py", folder, "--iteration=20", f"--run_dir={run_dir}", setting=None
    )
    assert "iteration 20" in printed
    first, last = (np.load(f"{folder}/values_{iteration}.npz") for iteration in (10, 20))
    described = json.loads((tmp_path / "program" / "program.json").read_text())["variables"]
    kernel = [variable["name"] for variable in described].index("generator/first/kernel:0")
    opened = open_model(run_dir, raw=True).generator
    np.testing.assert_array_equal(opened.get_layer("first").kernel, last[f"arr_{kernel}"])
    assert not np.array_equal(first[f"arr_{kernel}"], last[f"arr_{kernel}"])


@pytest.mark.slow
@pytest.mark.parametrize("forms", ["fused", "separate"])
def test_a_gpu_can_receive_an_xla_program(tmp_path, forms):
    """JAX sends a program to a GPU in a form that has no copies, and to a CPU as it is."""
    pytest.importorskip("jax")
    from jax._src.lib import xla_client

    folder = str(tmp_path / "program")
    run("write_xla_program.py", folder, f"--forms={forms}", *NARROW)
    computation = xla_client.XlaComputation((tmp_path / "program" / "program.hlo").read_bytes())
    module = xla_client._xla.mlir.xla_computation_to_mlir_module(computation)
    assert "mhlo.copy" not in module


@pytest.mark.slow
def test_gpu_iteration_measures_programs_and_pytorch(tmp_path):
    pytest.importorskip("jax")
    pytest.importorskip("torch")
    run("write_xla_program.py", str(tmp_path / "32px" / "narrow"), *NARROW)
    chosen = ("--only", "32px/narrow", "32px/eager", "--at_once=2")
    printed = run("gpu_iteration.py", str(tmp_path), *chosen, "--seconds=0", setting=None)
    rows = [line.split() for line in printed.splitlines()[1:]]
    assert [row[0] for row in rows] == ["32px/narrow", "32px/eager"]
    assert all(float(value) > 0 for row in rows for value in row[2:4])
