"""TF_CONFIG: in a valid cluster one process writes; any other text gives a one-line message."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.cli.cluster import cluster_from_environment, is_writer, parse_cluster
from tf_biggan.devices import strategy as strategies
from tf_biggan.devices.strategy import (
    any_process,
    create_strategy,
    default_call_length,
    is_chief,
    naming_lost_processes,
    require_same_iteration,
    spans_processes,
)

CHIEF, ONE, TWO = ["a:1"], ["b:1"], ["b:1", "c:1"]
CLUSTERS = {
    "one worker": {"worker": ONE},
    "workers": {"worker": TWO},
    "chief alone": {"chief": CHIEF},
    "chief and worker": {"chief": CHIEF, "worker": ONE},
    "chief and workers": {"chief": CHIEF, "worker": TWO},
    "three workers": {"worker": ["b:1", "c:1", "d:1"]},
    "chief, workers, evaluator": {"chief": CHIEF, "worker": TWO, "evaluator": ["e:1"]},
    "workers, evaluator": {"worker": TWO, "evaluator": ["e:1"]},
    "empty lists": {"chief": [], "worker": TWO, "ps": [], "evaluator": []},
}


def config_of(cluster, kind, index):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def trainers(cluster):
    return [(kind, i) for kind in ("chief", "worker") for i in range(len(cluster.get(kind, ())))]


def fake_strategy(cluster, kind, index):
    """Returns an object that describes a cluster as a strategy does, without waiting for it."""
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster), task_type=kind, task_id=index
    )
    return types.SimpleNamespace(cluster_resolver=resolver)


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_every_cluster_has_one_process_that_writes(cluster):
    read = [parse_cluster(config_of(cluster, *task)) for task in trainers(cluster)]
    assert [(one.task_type, one.task_index) for one in read] == trainers(cluster)
    assert {one.num_processes for one in read} == {len(trainers(cluster))}
    writers = [one for one in read if is_writer(one.addresses, one.task_type, one.task_index)]
    assert len(writers) == 1
    assert writers[0].task_type == ("chief" if cluster.get("chief") else "worker")
    # TensorFlow's strategy for this cluster gives the same answer.
    kinds = [
        is_chief(fake_strategy(one.addresses, *task))
        for one, task in zip(read, trainers(cluster), strict=True)
    ]
    assert sum(kinds) == 1
    # Evaluation detects in every cluster whether other processes take part.
    spans = [
        spans_processes(fake_strategy(one.addresses, *task))
        for one, task in zip(read, trainers(cluster), strict=True)
    ]
    assert set(spans) == {len(read) > 1}
    assert sum("does not write" in one.describe() for one in read) == len(read) - 1


def test_a_process_that_is_alone_writes(mirrored_strategy):
    assert is_chief(tf.distribute.get_strategy()) and is_chief(mirrored_strategy)
    assert any_process(mirrored_strategy, True) and not any_process(mirrored_strategy, False)


WORKERS = {"worker": TWO}
REFUSED = {
    "empty": ("", "must not be empty"),
    "blank": (" \n", "must not be empty"),
    "unquoted": (
        "{cluster: {worker: [a:1]}}",
        "JSON object, with names and strings in double quotation marks",
    ),
    "cut off": ('{"cluster": {"worker": ["a:1"', "JSON object"),
    "a list": ("[]", "JSON object"),
    "deep": ("[" * 100_000, "JSON object"),
    "nothing in it": ("{}", 'must have an entry "cluster"'),
    "cluster of text": ('{"cluster": "a:1"}', 'must have an entry "cluster"'),
    "no trainers": (config_of({"worker": []}, "worker", 0), "must list chief or worker"),
    "without task": (json.dumps({"cluster": WORKERS}), 'must have an entry "task"'),
    "task without index": (
        json.dumps({"cluster": WORKERS, "task": {"type": "worker"}}),
        'must have an entry "task" with the "type" and the "index"',
    ),
    "task of text": (
        json.dumps({"cluster": WORKERS, "task": "worker"}),
        'must have an entry "task"',
    ),
    "text for a list": (config_of({"worker": "a:1"}, "worker", 0), 'must be a list of "host:port"'),
    "number for an address": (config_of({"worker": [1]}, "worker", 0), 'list of "host:port"'),
    "no port": (config_of({"worker": ["a"]}, "worker", 0), 'list of "host:port"'),
    "port 0": (config_of({"worker": ["a:0"]}, "worker", 0), 'list of "host:port"'),
    "port too large": (config_of({"worker": ["a:65536"]}, "worker", 0), 'list of "host:port"'),
    "an address twice": (
        config_of({"worker": ["a:1", "a:1"]}, "worker", 0),
        "lists a:1 more than once",
    ),
    "two chiefs": (config_of({"chief": TWO}, "chief", 0), "several addresses of a chief"),
    "index too large": (config_of(WORKERS, "worker", 2), "from 0 to 1"),
    "negative index": (config_of(WORKERS, "worker", -1), "whole number from 0"),
    "index of text": (config_of(WORKERS, "worker", "first"), "whole number from 0"),
    "index true": (config_of(WORKERS, "worker", True), "whole number from 0"),
    "unknown task": (config_of(WORKERS, "boss", 0), 'must be worker, as listed in its "cluster"'),
    "task not in cluster": (
        config_of(WORKERS, "chief", 0),
        'must be worker, as listed in its "cluster"',
    ),
    "unknown job": (
        config_of({"master": ONE}, "master", 0),
        "only have chief or worker tasks; leave out master",
    ),
    "ps": (config_of({"chief": CHIEF, "ps": ONE}, "chief", 0), '("ps"), which are not supported'),
    "evaluator": (
        config_of({**WORKERS, "evaluator": ["e:1"]}, "evaluator", 0),
        "evaluator has nothing to do, because the processes that train compute the scores",
    ),
    "evaluator outside": (config_of(WORKERS, "evaluator", 0), "leave it out, or score the run"),
}


@pytest.mark.parametrize("strategy", ["auto", "multi_worker"])
@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_cluster_is_one_line(text, message, strategy, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError) as error:
        create_strategy(strategy)
    line = str(error.value)
    assert message in line and "\n" not in line and len(line) < 600
    assert line.startswith("Cannot use TF_CONFIG: ") and repr(text)[1:50] in line


def test_an_index_may_be_text_and_other_entries_are_left_alone(monkeypatch):
    text = json.dumps({**json.loads(config_of(WORKERS, "worker", "1")), "environment": "cloud"})
    monkeypatch.setenv("TF_CONFIG", text)
    assert cluster_from_environment().task_index == 1


def test_machines_of_one_cluster_do_not_do_the_same_work_each(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    alone = create_strategy("one_device")
    for harmless in (config_of({"worker": ONE}, "worker", 0), "no cluster"):
        monkeypatch.setenv("TF_CONFIG", harmless)
        assert create_strategy("one_device") is alone
    monkeypatch.setenv("TF_CONFIG", config_of(WORKERS, "worker", 1))
    for name, replicas in (("one_device", None), ("mirrored", None), ("tpu", None), ("auto", 2)):
        with pytest.raises(ValueError, match="would all write the same files; use --strategy=mul"):
            create_strategy(name, cpu_replicas=replicas)


def reduce_with(others, monkeypatch):
    """Lets reductions of this process meet those of other processes, which have other numbers."""
    means = []

    def mean(strategy, value):
        # The first reduction is that of the numbers, the second that of what the processes found.
        theirs = [number != means[0] for number in others] if means else others
        means.append(np.mean([value, *theirs]))
        return means[-1]

    monkeypatch.setattr(strategies, "_mean", mean)


@pytest.mark.parametrize(
    # With 1, 2 and 3, this process has the mean by chance and must stop with the others.
    ("here", "others", "same"),
    [(500, [500], True), (0, [500], False), (2, [1, 3], False), (7, [7, 7], True)],
)
def test_machines_that_do_not_share_the_folder_are_told(here, others, same, monkeypatch):
    reduce_with(others, monkeypatch)
    strategy = fake_strategy({"worker": ["b:1", "c:1", "d:1"]}, "worker", 1)
    expected = (
        contextlib.nullcontext()
        if same
        else pytest.raises(ValueError, match="at the same iteration; give them the same `run_dir`")
    )
    with expected:
        require_same_iteration(strategy, here, "runs/a")
    require_same_iteration(tf.distribute.get_strategy(), 3, "runs/a")


def test_a_lost_process_is_named(monkeypatch):
    reason = (
        "Graph execution error:\n\nCollective ops is aborted by: Error reported from /job:worker/"
        "task:0: The following tasks are unhealthy:\n/job:worker/replica:0/task:1\nThe tasks have"
    )
    strategy = fake_strategy(WORKERS, "worker", 0)
    for kind, text, named in (
        (tf.errors.UnavailableError, reason, "Lost worker 1 of TF_CONFIG"),
        (tf.errors.AbortedError, "Connection reset", "Lost another process of TF_CONFIG"),
    ):
        with pytest.raises(ValueError, match=named), naming_lost_processes(strategy):
            raise kind(None, None, text)
    # Without other processes, and for other errors, the error stays as it is.
    with pytest.raises(tf.errors.UnavailableError):
        with naming_lost_processes(tf.distribute.get_strategy()):
            raise tf.errors.UnavailableError(None, None, reason)
    with pytest.raises(tf.errors.InvalidArgumentError), naming_lost_processes(strategy):
        raise tf.errors.InvalidArgumentError(None, None, reason)


def test_replicas_on_the_cpu():
    # The processes of the tests have two logical devices.
    assert create_strategy("auto", cpu_replicas=2).num_replicas_in_sync == 2
    assert create_strategy("mirrored", cpu_replicas=1).num_replicas_in_sync == 1
    with pytest.raises(ValueError, match="TensorFlow has started already"):
        create_strategy("mirrored", cpu_replicas=3)
    for name, tpu in (("one_device", None), ("multi_worker", None), ("auto", "local")):
        with pytest.raises(ValueError, match="`cpu_replicas` works only with"):
            create_strategy(name, tpu, 2)


@pytest.mark.parametrize(("device", "length"), [("CPU", 1), ("GPU", 10)])
def test_a_gpu_does_not_wait_for_python_after_every_iteration(device, length, monkeypatch):
    found = [] if device == "CPU" else ["a GPU"]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: found)
    assert default_call_length(tf.distribute.get_strategy()) == length


@pytest.mark.slow
def test_the_command_says_the_line_and_writes_nothing(tmp_path):
    environment = {**os.environ, "TF_CONFIG": config_of(WORKERS, "worker", 2)}
    command = [sys.executable, "-m", "tf_biggan.train", f"--run_dir={tmp_path}/run"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("Cannot use TF_CONFIG: ") and failed.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
