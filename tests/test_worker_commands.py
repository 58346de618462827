"""Commands in two processes of TF_CONFIG: scores as of one process, and files written once."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.training.test_loop_workers import local_cluster

ROOT = pathlib.Path(__file__).parents[1]
MODEL = str(ROOT / "tests" / "trained_digits")
LIMIT_SECONDS = 600


def start(arguments, cache, config=None):
    environment = {**os.environ, "TF_BIGGAN_CACHE": str(cache), "CUDA_VISIBLE_DEVICES": "-1"}
    environment |= {"TF_CONFIG": json.dumps(config)} if config else {}
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    printed, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, errors
    return printed, errors


def run_in_two(arguments, caches):
    """Returns what two workers printed: (standard output, standard error) of each."""
    cluster = local_cluster(worker=2)
    tasks = ({"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(2))
    started = [start(arguments, *each) for each in zip(caches, tasks, strict=True)]
    return [finish(process) for process in started]


@pytest.mark.slow
def test_two_workers_score_as_one_process(tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    arguments = ["tf_biggan.evaluate", f"--model={MODEL}", "--reference=digits"]
    arguments += ["--num_images=200", "--batch_size=32"]
    finish(start([*arguments, f"--output={tmp_path}/one.json"], own))
    # As if the second host had trained another classifier.
    shutil.copytree(own, other)
    (weights,) = other.rglob("weights.safetensors")
    save_file({name: 2 * array for name, array in load_file(weights).items()}, weights)
    shared = [*arguments, f"--output={tmp_path}/two.json"]
    (printed, _), (nothing, notes) = run_in_two(shared, (own, other))
    one, two = (
        json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))["scores"]
        for name in ("one", "two")
    )
    assert one and set(one) == set(two)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    assert "Written: " in printed and nothing == ""
    assert notes.startswith("This process is worker 1 of 2 processes")
    assert len(notes.splitlines()) == 1
    assert {path.name for path in tmp_path.glob("t*.*")} == {"two.json", "two.csv"}


@pytest.mark.slow
def test_one_of_two_workers_writes_a_set_of_images(tmp_path):
    arguments = ["tf_biggan.sample", f"--model={MODEL}", "--num_images=20"]
    finish(start([*arguments, f"--output={tmp_path}/one"], tmp_path))
    (printed, _), (nothing, note) = run_in_two(
        [*arguments, f"--output={tmp_path}/two"], (tmp_path, tmp_path)
    )
    assert f"{tmp_path}/two" in printed and nothing == ""
    assert note.startswith("worker 1: nothing to do") and len(note.splitlines()) == 1
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.png")}
        for name in ("one", "two")
    )
    assert len(one) == 20 and one == two
