"""What a run prints and records about its machine."""

from __future__ import annotations

import json
import types

import pytest
import tensorflow as tf

from tests.training.test_loop import config
from tf_biggan.devices import hardware
from tf_biggan.training.logs import (
    ENVIRONMENT_FILE,
    describe_start,
    record_environment,
    warnings_at_start,
)

ALONE = tf.distribute.get_strategy()


def test_every_start_is_a_line(tmp_path, mirrored_strategy):
    record_environment(str(tmp_path), 0, ALONE)
    path = tmp_path / ENVIRONMENT_FILE
    path.write_text(path.read_text() + '{"iteration": 5, "da')  # An earlier start was killed.
    record_environment(str(tmp_path), 7, mirrored_strategy)
    first, _, last = path.read_text().splitlines()
    first, last = json.loads(first), json.loads(last)
    assert set(first["versions"]) == {"tf_biggan", "tensorflow", "keras", "numpy", "python"}
    assert set(first["machine"]) == {"host", "system", "cpu", "cpus"}
    assert first["date"].endswith("+00:00") and (first["iteration"], last["iteration"]) == (0, 7)
    assert [name.split()[0] for name in last["devices"]] == ["CPU:0", "CPU:1"]
    assert (first["replicas"], last["replicas"]) == (1, 2)


def test_the_lines_of_a_start(mirrored_strategy):
    weights = [types.SimpleNamespace(shape=shape) for shape in ((3, 4), (5,), ())]
    state = types.SimpleNamespace(
        generator=types.SimpleNamespace(trainable_variables=weights * 100),
        discriminator=types.SimpleNamespace(trainable_variables=weights[:1]),
    )
    run, devices, networks = describe_start(config(), "runs/a", mirrored_strategy, state)
    assert run == "Run: runs/a"
    assert "CPU:0" in devices and "CPU:1" in devices and devices.endswith("; 2 replicas")
    assert networks == "Parameters: G 1,800, D 12; precision: float32"
    assert "; 1 replica" in list(describe_start(config(), "runs/a", ALONE, state))[1]


@pytest.mark.parametrize(
    ("settings", "messages"),
    [
        ({}, ["TensorFlow finds no GPU"]),
        (dict(strategy="mirrored"), ["mirrored found one device", "TensorFlow finds no GPU"]),
        (dict(cpu_replicas=1), []),
        (
            dict(cpu_replicas=1, precision="mixed_bfloat16"),
            ["--precision=mixed_bfloat16 may be up to 30 times slower"],
        ),
    ],
)
def test_warnings_at_the_start(settings, messages, monkeypatch):
    monkeypatch.setattr(hardware, "cpu_info", lambda: {"flags": "avx2"})
    monkeypatch.setattr(
        hardware, "unused_gpu", lambda: ("Warning: TensorFlow finds no GPU although ...",)
    )
    found = list(warnings_at_start(config(**settings), ALONE))
    assert len(found) == len(messages)
    for line, message in zip(found, messages, strict=True):
        assert line.startswith("Warning: ") and message in line
