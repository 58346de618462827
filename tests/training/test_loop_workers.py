"""Two worker processes, two replicas in one process, and one replica give the same run."""

from __future__ import annotations

import json
import os
import signal
import socket

import numpy as np
import pytest

from tests.training.test_loop_resume import finish, is_saved, start, tensors, wait_for
from tf_biggan.training.logs import read_metrics

ITERATIONS = 3
SETTINGS = dict(sgd=True, precision="float64", save_every=ITERATIONS, d_accumulations=2)
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
    """Starts a process for each task of a cluster on this machine."""
    processes = []
    for kind, addresses in cluster.items():
        for index in range(len(addresses)):
            task = {"cluster": cluster, "task": {"type": kind, "index": index}}
            monkeypatch.setitem(os.environ, "TF_CONFIG", json.dumps(task))
            processes.append(start(run_dir, num_iterations, strategy="multi_worker", **settings))
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
    finish(start(tmp_path / "one", ITERATIONS, **SETTINGS))
    finish(start(tmp_path / "two", ITERATIONS, replicas=2, strategy="mirrored", **SETTINGS))
    train_on(local_cluster(worker=2), tmp_path / "workers", ITERATIONS, monkeypatch, **SETTINGS)
    for name in ("two", "workers"):
        assert_close(tmp_path / name, tmp_path / "one", ITERATIONS)


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
