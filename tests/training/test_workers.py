"""Two worker processes on this machine, two replicas in one, and one alone: the same run."""

from __future__ import annotations

import json
import os
import socket

import numpy as np
import pytest

from tests.training.test_resume import finish, start, tensors

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


@pytest.mark.slow
def test_one_replica_two_replicas_and_two_workers_are_one_run(tmp_path, monkeypatch):
    finish(start(tmp_path / "one", ITERATIONS, **SETTINGS))
    finish(start(tmp_path / "two", ITERATIONS, replicas=2, strategy="mirrored", **SETTINGS))
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = []
    for index in range(2):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        monkeypatch.setitem(os.environ, "TF_CONFIG", json.dumps(task))
        run_dir = tmp_path / "workers"
        processes.append(start(run_dir, ITERATIONS, strategy="multi_worker", **SETTINGS))
    for process in processes:
        finish(process)
    alone = tensors(tmp_path / "one", ITERATIONS)
    for name in ("two", "workers"):
        others = tensors(tmp_path / name, ITERATIONS)
        assert set(others) == set(alone)
        for path, value in alone.items():
            np.testing.assert_allclose(
                others[path], value, rtol=0, atol=TOLERANCE, err_msg=f"{name}: {path}"
            )
