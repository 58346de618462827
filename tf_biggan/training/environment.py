"""Describes the machine and devices of a run: printed lines and RUN/environment.jsonl."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.devices import hardware
from tf_biggan.devices.strategy import device_paths, runs_on_cpu
from tf_biggan.evaluation.score_files import versions
from tf_biggan.training.state import TrainState

ENVIRONMENT_FILE = "environment.jsonl"


def record_environment(run_dir: str, iteration: int, strategy: tf.distribute.Strategy) -> None:
    """Appends versions, date, machine and devices as a line to RUN/environment.jsonl.

    Args:
      run_dir: Folder of the run, which must exist.
      iteration: The iteration at which this process starts.
      strategy: The strategy of the run.
    """
    now = datetime.datetime.now(datetime.UTC)
    entry = {
        "iteration": iteration,
        "date": now.isoformat(timespec="seconds"),
        "versions": versions(),
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "cpu": _cpu_name(),
            "cpus": os.cpu_count(),
        },
        "devices": device_names(strategy),
        "replicas": strategy.num_replicas_in_sync,
    }
    path = os.path.join(run_dir, ENVIRONMENT_FILE)
    with open(path, "a+b") as file:
        # The last line may be incomplete, if an earlier process was killed while it wrote.
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        start = b"" if file.read(1) in (b"", b"\n") else b"\n"
        file.write(start + json.dumps(entry).encode() + b"\n")


def device_names(strategy: tf.distribute.Strategy) -> list[str]:
    """Returns the names of the devices of this process that a strategy uses."""
    kinds = [tf.DeviceSpec.from_string(name) for name in device_paths(strategy)]
    gpus = tf.config.list_physical_devices("GPU")
    names = []
    for kind in kinds:
        if kind.device_type == "CPU":
            name = _cpu_name()
        elif kind.device_type == "GPU" and kind.device_index < len(gpus):
            details = tf.config.experimental.get_device_details(gpus[kind.device_index])
            name = details.get("device_name", "unknown model")
        else:
            name = "unknown model"
        names.append(f"{kind.device_type}:{kind.device_index} ({name})")
    return names


def describe_start(
    config: TrainConfig, run_dir: str, strategy: tf.distribute.Strategy, state: TrainState
) -> Iterator[str]:
    """Yields the lines that describe a run's folder, devices and networks."""
    replicas = strategy.num_replicas_in_sync
    yield f"Run: {run_dir}"
    devices = ", ".join(device_names(strategy))
    yield f"Devices: {devices}; {replicas} replica{'s' * (replicas > 1)}"
    sizes = [_parameters(network) for network in (state.generator, state.discriminator)]
    yield f"Parameters: G {sizes[0]:,}, D {sizes[1]:,}; precision: {config.model.precision}"


def warnings_at_start(config: TrainConfig, strategy: tf.distribute.Strategy) -> Iterator[str]:
    """Yields warnings about devices that are unused or slow."""
    settings = config.run
    if settings.strategy == "mirrored" and strategy.num_replicas_in_sync == 1:
        yield (
            "Warning: --strategy=mirrored found one device, so there is one replica."
            " --cpu_replicas=2 makes two on the CPU."
        )
    if not runs_on_cpu(strategy):
        return
    if settings.cpu_replicas is None and not tf.config.list_physical_devices("GPU"):
        yield from hardware.unused_gpu()
    if config.model.precision == "mixed_bfloat16":
        yield from hardware.slow_bfloat16("--precision=mixed_bfloat16")


def _cpu_name() -> str:
    return hardware.cpu_info().get("model name") or platform.processor() or platform.machine()


def _parameters(network) -> int:
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)
