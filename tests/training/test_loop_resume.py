"""A killed run that resumes equals an uninterrupted run, bit for bit."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.training.small_run import SMALL_RUN
from tf_biggan.training.logs import read_metrics

ROOT = pathlib.Path(__file__).parents[2]
LIMIT_SECONDS = 600
SETTINGS = SMALL_RUN | dict(
    num_d_steps=2, flip=True, ema_start=3, g_sigma_clamp_ratio=1.05, save_every=5
)


def start(run_dir, num_iterations, replicas=1, stderr=None, **settings):
    values = {**SETTINGS, **settings, "num_iterations": num_iterations}
    command = [sys.executable, "-m", "tests.training.run_training"]
    command += [str(run_dir), str(replicas), json.dumps(values)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=stderr
    )


def finish(process):
    assert process.wait(LIMIT_SECONDS) == 0


def wait_for(condition, process):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def checkpoint(run_dir, iteration):
    return pathlib.Path(run_dir, "checkpoints", f"iteration-{iteration}")


def is_saved(run_dir, iteration):
    """Returns whether the newest checkpoint is of that iteration or a later one."""
    state = tf.train.get_checkpoint_state(str(checkpoint(run_dir, iteration).parent))
    return state is not None and int(state.model_checkpoint_path.rsplit("-", 1)[1]) >= iteration


def tensors(run_dir, iteration):
    reader = tf.train.load_checkpoint(str(checkpoint(run_dir, iteration)))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if "OBJECT_GRAPH" not in name and "save_counter" not in name
    }


def assert_equal_runs(first, second, iteration):
    a, b = tensors(first, iteration), tensors(second, iteration)
    assert set(a) == set(b)
    assert {name.split("/")[0] for name in a} >= {
        "generator",
        "discriminator",
        "average",
        "g_optimizer",
        "d_optimizer",
        "iteration",
        "second_vectors",
    }
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def losses(run_dir):
    keep = ("iteration", "d_loss_real", "d_loss_fake", "g_loss")
    return [{key: line[key] for key in keep} for line in read_metrics(str(run_dir))]


CASES = [
    pytest.param(1, {}, id="one replica"),
    pytest.param(
        1,
        dict(
            diff_augment="color,translation,cutout",
            lecam_weight=0.3,
            bcr_real_weight=10.0,
            bcr_fake_weight=10.0,
            zcr_d_weight=5.0,
            zcr_g_weight=0.5,
        ),
        id="methods for small data",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        2,
        dict(d_accumulations=2, g_accumulations=2, strategy="mirrored"),
        id="two replicas, accumulation",
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("replicas, settings", CASES)
def test_kill_and_restart_bit_for_bit(tmp_path, replicas, settings):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, 10, replicas, **settings))

    process = start(killed, 1000, replicas, **settings)
    wait_for(lambda: is_saved(killed, 5), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finish(start(killed, 10, replicas, **settings))
    assert_equal_runs(whole, killed, 10)
    assert losses(whole) == losses(killed)
    assert [line["iteration"] for line in losses(whole)] == list(range(1, 11))


@pytest.mark.slow
def test_sigterm_saves_and_a_truncated_checkpoint_falls_back(tmp_path):
    """One run tests both, because processes are slow."""
    run = tmp_path / "run"
    process = start(run, 1000)
    # This makes sure that there is a checkpoint before the newest.
    wait_for(lambda: is_saved(run, 10), process)
    process.send_signal(signal.SIGTERM)
    finish(process)
    state = tf.train.get_checkpoint_state(str(run / "checkpoints"))
    saved = [int(path.rsplit("-", 1)[1]) for path in state.all_model_checkpoint_paths]
    newest = saved[-1]
    assert newest == read_metrics(str(run))[-1]["iteration"]

    data = checkpoint(run, newest).with_suffix(".data-00000-of-00001")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    process = start(run, newest + 1)
    finish(process)
    assert is_saved(run, newest + 1)
    iterations = [line["iteration"] for line in read_metrics(str(run))]
    assert iterations == list(range(1, newest + 2))
