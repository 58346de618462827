"""Reads TF_CONFIG, the environment variable that lists the machines of a distributed run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

VARIABLE = "TF_CONFIG"
TRAINERS = ("chief", "worker")
EVALUATOR = "evaluator"
EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)
LAST_PORT = 65535
# Messages show only the beginning of a long TF_CONFIG.
SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Cluster:
    """The processes that train one run together, and the position of this process among them.

    Attributes:
      addresses: Maps each task type, "chief" or "worker", to the "host:port" of its processes.
      task_type: Task type of this process.
      task_index: Index of this process among the processes of its task type.
    """

    addresses: Mapping[str, tuple[str, ...]]
    task_type: str
    task_index: int

    @property
    def num_processes(self) -> int:
        """Number of processes that train together."""
        return sum(map(len, self.addresses.values()))

    @property
    def name(self) -> str:
        """Name of this process, such as "worker 1"."""
        return f"{self.task_type} {self.task_index}"

    @property
    def writes(self) -> bool:
        """Whether this process writes the run's files and prints the messages about the run."""
        return is_writer(self.addresses, self.task_type, self.task_index)

    def describe(self) -> str:
        """Returns a text with the name and address of this process, and whether it writes files."""
        return (
            f"{self.name} of {self.num_processes} processes, at"
            f" {self.addresses[self.task_type][self.task_index]};"
            f" it {'writes' if self.writes else 'does not write'} the run's files"
        )


def is_writer(addresses: Mapping[str, Sequence[str]], task_type: str, task_index: int) -> bool:
    """Returns whether a process writes the files of a run.

    Exactly one process of a cluster writes them: the chief, or worker 0 if there is no chief.

    Args:
      addresses: Addresses of all processes by task type.
      task_type: Task type of the process.
      task_index: Index of the process among the processes of its task type.
    """
    writer = "chief" if addresses.get("chief") else "worker"
    return (task_type, task_index) == (writer, 0)


def shared_cluster() -> Cluster | None:
    """Returns the cluster that TF_CONFIG describes, or None if this process works alone.

    A process works alone if TF_CONFIG is not set, lists a single process or has an error. Only
    `cluster_from_environment` reports the error.
    """
    try:
        cluster = cluster_from_environment()
    except ValueError:
        return None
    return cluster if cluster.num_processes > 1 else None


def cluster_from_environment() -> Cluster:
    """Returns the cluster that TF_CONFIG describes.

    Raises:
      ValueError: TF_CONFIG is not set or malformed, its processes cannot train together, or this
        process does not take part in training.
    """
    text = os.environ.get(VARIABLE)
    _require(
        text is not None,
        "it is not set; set it on every machine to train on several machines",
        text,
    )
    return parse_cluster(text)


def parse_cluster(text: str) -> Cluster:
    """Returns the cluster that the text of a TF_CONFIG describes."""
    _require(text.strip() != "", "it must not be empty; unset it to train on one machine", text)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    _require(
        isinstance(content, dict),
        "it must be a JSON object, with names and strings in double quotation marks",
        text,
    )
    addresses = _addresses(content.get("cluster"), text)
    task_type, task_index = _task(content.get("task"), text)
    _require(
        task_type != EVALUATOR,
        "an evaluator has nothing to do, because the processes that train compute the scores"
        " (--eval_every); leave it out, or score the run on this machine with"
        f" `env -u {VARIABLE} python -m tf_biggan.evaluate --model=RUN`",
        text,
    )
    trainers = {name: addresses[name] for name in TRAINERS if addresses.get(name)}
    _require(
        task_type in trainers,
        f'the "type" of its "task" must be {_or(trainers)}, as listed in its "cluster"',
        text,
    )
    last = len(trainers[task_type]) - 1
    _require(
        0 <= task_index <= last,
        f'the "index" of its "task" must be from 0 to {last}, as "cluster" lists {last + 1}'
        f" {task_type} addresses",
        text,
    )
    return Cluster(trainers, task_type, task_index)


def _addresses(cluster, text: str) -> dict[str, tuple[str, ...]]:
    _require(isinstance(cluster, dict), 'it must have an entry "cluster", which is an object', text)
    _require(
        not cluster.get("ps"),
        'its "cluster" lists parameter servers ("ps"), which are not supported; leave them out',
        text,
    )
    unknown = [name for name in cluster if name not in (*TRAINERS, EVALUATOR, "ps")]
    _require(
        not unknown,
        f'its "cluster" may only have {_or(TRAINERS)} tasks; leave out {_or(unknown)}',
        text,
    )
    for name, addresses in cluster.items():
        _require(
            isinstance(addresses, list) and all(map(_is_address, addresses)),
            f'"{name}" in its "cluster" must be a list of "host:port" texts',
            text,
        )
    everything = [address for addresses in cluster.values() for address in addresses]
    twice = {address for address in everything if everything.count(address) > 1}
    _require(
        not twice, f'its "cluster" lists {_or(twice)} more than once; list every address once', text
    )
    _require(
        len(cluster.get("chief", ())) <= 1,
        'its "cluster" lists several addresses of a chief; list only one',
        text,
    )
    _require(
        any(cluster.get(name) for name in TRAINERS),
        f'its "cluster" must list {_or(TRAINERS)} addresses',
        text,
    )
    return {name: tuple(addresses) for name, addresses in cluster.items()}


def _is_address(value) -> bool:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return bool(host) and port.isascii() and port.isdecimal() and 0 < int(port) <= LAST_PORT


def _task(task, text: str) -> tuple[str, int]:
    _require(
        isinstance(task, dict) and {"type", "index"} <= set(task),
        'it must have an entry "task" with the "type" and the "index" of this process',
        text,
    )
    index = str(task["index"])
    _require(
        index.isdecimal() and not isinstance(task["index"], bool),
        'the "index" of its "task" must be a whole number from 0',
        text,
    )
    return str(task["type"]), int(index)


def _or(names) -> str:
    return " or ".join(sorted(names))


def _require(condition: bool, rule: str, text: str | None) -> None:
    if condition:
        return
    if text is None:
        received = f"no {VARIABLE}"
    else:
        received = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
        received = f"{VARIABLE}={received!r}"
    raise ValueError(f"Cannot use {VARIABLE}: {rule}. Received: {received}. Example: {EXAMPLE}")
