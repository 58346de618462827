"""The logs of a run: TensorBoard events, RUN/metrics.jsonl and the progress line.

The machine and devices of a run are described in printed lines and in RUN/environment.jsonl.

Event files are written without the package tensorboard. tf.summary.scalar and tf.summary.image need
this package, but TensorFlow does not install it. Event files are TFRecords of public protocol
buffers, so this module writes these records itself.
"""

from __future__ import annotations

import datetime
import io
import json
import math
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.core.framework import summary_pb2

from tf_biggan.cli.terminal import Progress
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.devices import hardware
from tf_biggan.devices.strategy import device_paths, runs_on_cpu
from tf_biggan.evaluation.score_files import versions
from tf_biggan.files import file_system
from tf_biggan.files.atomic import replaced
from tf_biggan.files.json_files import NotJson, field, parse_json, require_kind
from tf_biggan.training.state import TrainState

FOLDER = "tensorboard"
FORMAT = "brain.Event:2"
METRICS_FILE = "metrics.jsonl"
# Entries of every line: the training time in seconds, without the time between a stop of the run
# and its resumption, and the number of real images that the discriminator has seen.
SECONDS = "seconds"
IMAGES_SEEN = "images_seen"
ENVIRONMENT_FILE = "environment.jsonl"


class TensorBoardLog:
    """Writes scalars and images to RUN/tensorboard, which `tensorboard --logdir RUN` shows.

    Each start of a run writes a new file. The first event of the file makes TensorBoard drop events
    of earlier files that belong to iterations after the checkpoint.

    Args:
      run_dir: Folder of the run, local or remote.
      iteration: The last iteration whose events are kept; 0 for a new run.
    """

    def __init__(self, run_dir: str, iteration: int = 0):
        folder = tf.io.gfile.join(run_dir, FOLDER)
        tf.io.gfile.makedirs(folder)
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        # TensorBoard reads files in the order of their names, so the names begin with the time.
        name = f"events.out.tfevents.{seconds:010d}.{nanoseconds:09d}.{socket.gethostname()}"
        self._writer = tf.io.TFRecordWriter(tf.io.gfile.join(folder, name))
        self._write(file_version=FORMAT)
        session = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        self._write(step=iteration + 1, session_log=session)

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Writes numbers by tag. TensorBoard groups the tags by their part before "/"."""
        made = [
            _value(tag, np.float32(value), "scalars", summary_pb2.DATA_CLASS_SCALAR)
            for tag, value in values.items()
        ]
        self._write(step=iteration, summary=tf.compat.v1.Summary(value=made))

    def image(self, iteration: int, tag: str, image: Image.Image) -> None:
        """Writes an image under a tag."""
        png = io.BytesIO()
        image.save(png, format="PNG")
        # The plugin's layout: width and height as text, then the encoded images.
        content = [str(image.width).encode(), str(image.height).encode(), png.getvalue()]
        value = _value(tag, content, "images", summary_pb2.DATA_CLASS_BLOB_SEQUENCE)
        self._write(step=iteration, summary=tf.compat.v1.Summary(value=[value]))

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, **fields) -> None:
        event = tf.compat.v1.Event(wall_time=time.time(), **fields)
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def _value(tag, content, plugin, data_class):
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin),
        data_class=data_class,
    )
    tensor = tf.make_tensor_proto(content)
    return tf.compat.v1.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)


class MetricsLog:
    """Appends one JSON object per line to RUN/metrics.jsonl, and flushes each line at once.

    When a run resumes, opening the log drops lines of iterations after the checkpoint, and a line
    that was cut off. Only one process of a run may open the log.

    Args:
      run_dir: Folder of the run, which is created if it does not exist.
      iteration: The last iteration whose lines are kept; 0 for a new run.
    """

    def __init__(self, run_dir: str, iteration: int = 0):
        file_system.makedirs(run_dir)
        self._path = os.path.join(run_dir, METRICS_FILE)
        if file_system.exists(self._path):
            _keep_until(self._path, iteration)
        self._file = file_system.open_file(self._path, "a", encoding="utf-8")

    def write(self, iteration: int, values: Mapping[str, float | str]) -> dict:
        """Appends a line with the iteration and the values by name.

        Args:
          iteration: Number of completed iterations.
          values: Texts and Python or NumPy numbers. A number that is not finite becomes null,
            because JSON has no such numbers.

        Returns:
          The line, as `read_metrics` returns it.
        """
        numbers = {name: _json_number(value) for name, value in values.items()}
        entry = {"iteration": int(iteration), **numbers}
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        return entry

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TrainingProgress:
    """The progress line of a run: iterations, remaining time, images per second and losses.

    Create this object after the training step is compiled: the remaining time is estimated from the
    time since the object was created.

    Args:
      total: Number of iterations of the run.
      done: Number of iterations that are already completed.
      images_per_iteration: Real images of one iteration, over all replicas and discriminator steps.
    """

    def __init__(self, total: int, done: int, images_per_iteration: int):
        self._iteration = done
        self._bar = Progress(
            "Training",
            total,
            done=done,
            unit="iterations",
            rate_unit="img",
            rate_scale=images_per_iteration,
        )

    def update(self, iteration: int, d_real: float, d_fake: float, g: float) -> None:
        """Shows the completed `iteration`, D's losses (real, generated) and G's loss."""
        note = f"D {d_real:.2f}/{d_fake:.2f} G {g:.2f}"
        self._bar.add(iteration - self._iteration, note)
        self._iteration = iteration

    def message(self, text: str) -> None:
        """Prints a separate line on standard output."""
        self._bar.message(text)

    def close(self) -> None:
        """Shows the last state and ends the line."""
        self._bar.close()


def seconds_until(run_dir: str, iteration: int) -> float:
    """Returns the training time in seconds up to an iteration, or 0 if the log does not have it."""
    found = (entry for entry in reversed(read_metrics(run_dir)) if entry["iteration"] <= iteration)
    values = (entry.get(SECONDS) for entry in found)
    return next((value for value in values if isinstance(value, (int, float))), 0.0)


def read_metrics(run_dir: str) -> list[dict]:
    """Returns the lines of RUN/metrics.jsonl in order, without lines that were cut off.

    Returns:
      One dict for each line; [] if the file does not exist.

    Raises:
      ValueError: A complete line has no iteration, or a value has the wrong type. The message names
        the file, the line and the field.
    """
    path = os.path.join(run_dir, METRICS_FILE)
    return [entry for _, entry in _entries(path)] if file_system.exists(path) else []


def _keep_until(path: str, iteration: int) -> None:
    with file_system.open_file(path) as file:
        before = file.read()
    kept = [line for line, entry in _entries(path) if entry["iteration"] <= iteration]
    content = b"".join(line + b"\n" for line in kept)
    if content == before:
        return
    with replaced(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def _entries(path: str) -> list[tuple[bytes, dict]]:
    with file_system.open_file(path) as file:
        lines = file.read().split(b"\n")
    entries = []
    for number, line in enumerate(lines, 1):
        place = f"{path}, line {number}"
        try:
            entry = parse_json(line, place, None)
        except NotJson:
            continue
        # A damaged line may still be JSON, such as a number in place of an object.
        if isinstance(entry, dict):
            _check_entry(entry, place)
            entries.append((line, entry))
    return entries


def _check_entry(entry: dict, place: str) -> None:
    field(entry, "iteration", "int", place)
    for name, value in entry.items():
        if value is not None and not isinstance(value, str):
            require_kind(value, "float", place, name)


def _json_number(value) -> float | int | None:
    number = value.item() if hasattr(value, "item") else value
    return None if isinstance(number, float) and not math.isfinite(number) else number


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
    # The last line may be incomplete, if an earlier process was killed while it wrote.
    start = b""
    if file_system.exists(path):
        with file_system.open_file(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            start = b"" if file.read(1) in (b"", b"\n") else b"\n"
    with file_system.open_file(path, "ab") as file:
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
    """Yields warnings about unused or slow devices, and about settings that have no effect."""
    settings = config.run
    if config.data.held_out_share and not settings.eval_every:
        yield (
            "Warning: --held_out_share keeps images away from training, but --eval_every is 0, so"
            " nothing is scored. Set --eval_every too."
        )
    if settings.strategy == "mirrored" and strategy.num_replicas_in_sync == 1:
        yield (
            "Warning: --strategy=mirrored found one device, so there is one replica."
            " --cpu_replicas=2 makes two replicas on the CPU."
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
