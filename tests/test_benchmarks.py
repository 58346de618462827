"""Each benchmark runs with one small setting."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


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
    folder = str(tmp_path / "program")
    assert "variables" in run("write_xla_program.py", folder, "--values")
    printed = run("run_xla_program.py", folder, "--iterations=2", setting=None)
    result = json.loads(printed.splitlines()[-1])
    assert result["real_images_per_second"] > 0 and len(result["metrics"]) == 5
