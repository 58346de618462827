"""Two worker processes, two replicas in one process, and one replica give the same run."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket

import numpy as np
import pytest

from tests.training.test_loop_resume import (
    LIMIT_SECONDS,
    finish,
    is_saved,
    losses,
    start,
    tensors,
    wait_for,
)
from tf_biggan.training.logs import read_metrics

ITERATIONS = 3
# Batches of 6 images can be shared by two and by three replicas.
SETTINGS = dict(
    sgd=True,
    precision="float64",
    save_every=ITERATIONS,
    global_batch_size=12,
    d_accumulations=2,
)
TOLERANCE = 1e-5


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_on(cluster, run_dir, num_iterations, monkeypatch, **settings):
    """Starts a process for each task of a cluster on this machine.

    Their errors are in files beside the run, such as RUN.worker-1.log.
    """
    processes = []
    for kind, addresses in cluster.items():
        for index in range(len(addresses)):
            task = {"cluster": cluster, "task": {"type": kind, "index": index}}
            monkeypatch.setitem(os.environ, "TF_CONFIG", json.dumps(task))
            with open(f"{run_dir}.{kind}-{index}.log", "a", encoding="utf-8") as stderr:
                processes.append(
                    start(run_dir, num_iterations, 1, stderr, strategy="multi_worker", **settings)
                )
    monkeypatch.delitem(os.environ, "TF_CONFIG")
    return processes


def train_on(*arguments, **settings):
    """Trains to the end in all processes of a cluster."""
    for process in start_on(*arguments, **settings):
        finish(process)


def local_cluster(**counts):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(sum(counts.values()))]
    return {kind: [addresses.pop() for _ in range(count)] for kind, count in counts.items()}


def assert_close(actual, expected, iteration):
    others, alone = tensors(actual, iteration), tensors(expected, iteration)
    assert set(others) == set(alone)
    for path, value in alone.items():
        np.testing.assert_allclose(
            others[path], value, rtol=0, atol=TOLERANCE, err_msg=f"{actual.name}: {path}"
        )


@pytest.mark.slow
def test_one_replica_two_replicas_and_two_workers_are_one_run(tmp_path, monkeypatch):
    # Every image is augmented by numbers of its own, on whichever worker it is.
    settings = SETTINGS | dict(diff_augment="color,translation")
    finish(start(tmp_path / "one", ITERATIONS, **settings))
    finish(start(tmp_path / "two", ITERATIONS, replicas=2, strategy="mirrored", **settings))
    for count in (2, 3):
        cluster = local_cluster(worker=count)
        train_on(cluster, tmp_path / f"{count} workers", ITERATIONS, monkeypatch, **settings)
    for name in ("two", "2 workers", "3 workers"):
        assert_close(tmp_path / name, tmp_path / "one", ITERATIONS)


def scores(run_dir):
    entries = (e for e in read_metrics(str(run_dir)) if "classifier_fid" in e)
    names = ("iteration", "classifier_fid", "classifier_score", "sample_variety")
    return [[entry[name] for name in names] for entry in entries]


@pytest.mark.slow
def test_two_workers_score_and_roll_back_as_one_replica_does(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "TF_BIGGAN_CACHE", str(tmp_path / "cache"))
    # The scores of iteration 2 are a little worse than those of iteration 1.
    collapse = dict(on_collapse="rollback", collapse_factor=1.0001, collapse_evaluations=1)
    settings = (
        SETTINGS
        | collapse
        | dict(eval_every=1, eval_images=70, quick_classifier=True, ema_start=0, ema_decay=0.5)
    )
    one, shared = tmp_path / "one", tmp_path / "workers"
    finish(start(one, 4, **settings))
    train_on(local_cluster(worker=2), shared, 4, monkeypatch, **settings)
    for run in (one, shared):
        rollbacks = [e["iteration"] for e in read_metrics(str(run)) if "rollback" in e]
        assert rollbacks == [3]
    assert_close(shared, one, 4)
    np.testing.assert_allclose(scores(shared), scores(one), rtol=1e-4)
    best = sorted(path.name for path in one.glob("best-*"))
    assert best and sorted(path.name for path in shared.glob("best-*")) == best


def wait_for_loss(process, log, lost):
    """Waits until a process ends because another one was lost."""
    assert process.wait(LIMIT_SECONDS) == 1
    assert f"Lost {lost} of TF_CONFIG" in pathlib.Path(log).read_text(encoding="utf-8")


@pytest.mark.slow
def test_killed_workers_end_the_others_and_the_restarted_run_is_the_same(tmp_path, monkeypatch):
    settings = SETTINGS | dict(save_every=1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    reached = 1
    for victim in (1, 0):
        processes = start_on(local_cluster(worker=2), killed, 10_000, monkeypatch, **settings)
        wait_for(lambda reached=reached: is_saved(killed, reached + 1), processes[0])
        processes[victim].kill()
        processes[victim].wait()
        other = 1 - victim
        wait_for_loss(processes[other], f"{killed}.worker-{other}.log", f"worker {victim}")
        reached = read_metrics(str(killed))[-1]["iteration"]
    for run in (killed, whole):
        train_on(local_cluster(worker=2), run, reached + 2, monkeypatch, **settings)
    assert_close(killed, whole, reached + 2)
    assert losses(killed) == losses(whole)


@pytest.mark.slow
def test_a_chief_writes_alone_and_its_run_goes_on_without_workers(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setitem(os.environ, "TMPDIR", str(temporary))
    settings = SETTINGS | dict(save_every=1, num_d_steps=1, d_accumulations=1)
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    finish(start(whole, 3, **settings))
    train_on(local_cluster(chief=1, worker=1), shared, 2, monkeypatch, **settings)
    assert [line["iteration"] for line in read_metrics(str(shared))] == [1, 2]
    assert len(list((shared / "tensorboard").iterdir())) == 1
    train_on(local_cluster(chief=1), shared, 3, monkeypatch, **settings)
    assert_close(shared, whole, 3)
    assert [line["iteration"] for line in read_metrics(str(shared))] == [1, 2, 3]
    # The temporary checkpoint that the worker had to save is gone.
    assert not list(temporary.glob("tf_biggan_*"))


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_of_them(tmp_path, monkeypatch):
    cluster = local_cluster(worker=2)
    settings = SETTINGS | dict(save_every=1, num_d_steps=1, d_accumulations=1)
    chief, worker = start_on(cluster, tmp_path, 10_000, monkeypatch, **settings)
    wait_for(lambda: is_saved(tmp_path, 1), chief)
    worker.send_signal(signal.SIGTERM)
    finish(worker)
    finish(chief)
    last = read_metrics(str(tmp_path))[-1]["iteration"]
    assert last < 10_000 and is_saved(tmp_path, last)
