"""The logs of a run: TensorBoard events, RUN/metrics.jsonl and the progress line.

Event files are written without the package tensorboard. tf.summary.scalar and tf.summary.image need
this package, but TensorFlow does not install it. Event files are TFRecords of public protocol
buffers, so this module writes these records itself.
"""

from __future__ import annotations

import io
import json
import math
import os
import socket
import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.core.framework import summary_pb2

from tf_biggan.cli.terminal import Progress
from tf_biggan.files.atomic import replaced
from tf_biggan.files.json_files import NotJson, field, parse_json, require_kind

FOLDER = "tensorboard"
FORMAT = "brain.Event:2"
METRICS_FILE = "metrics.jsonl"
# Entries of every line: the training time in seconds, without pauses between processes of the run,
# and the number of real images that the discriminator has seen.
SECONDS = "seconds"
IMAGES_SEEN = "images_seen"


class TensorBoardLog:
    """Scalars and images in RUN/tensorboard, for `tensorboard --logdir RUN`.

    Each start of a run writes a new file. The first event of the file makes TensorBoard drop the
    events that earlier files have for later iterations than the checkpoint.

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
        """Writes numbers by tag. TensorBoard groups tags by the part before "/"."""
        made = [
            _value(tag, np.float32(value), "scalars", summary_pb2.DATA_CLASS_SCALAR)
            for tag, value in values.items()
        ]
        self._write(step=iteration, summary=tf.compat.v1.Summary(value=made))

    def image(self, iteration: int, tag: str, image: Image.Image) -> None:
        """Writes one image."""
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
    """RUN/metrics.jsonl: one JSON object per line, with its iteration, flushed at once.

    A log that is opened after an interruption drops the lines after the checkpoint and a line that
    was cut off. Only one process of a run may open the log.

    Args:
      run_dir: Folder of the run, which is created if it does not exist.
      iteration: The last iteration whose lines are kept; 0 for a new run.
    """

    def __init__(self, run_dir: str, iteration: int = 0):
        os.makedirs(run_dir, exist_ok=True)
        self._path = os.path.join(run_dir, METRICS_FILE)
        if os.path.exists(self._path):
            _keep_until(self._path, iteration)
        self._file = open(self._path, "a", encoding="utf-8")

    def write(self, iteration: int, values: Mapping[str, float | str]) -> None:
        """Appends a line with the iteration and the values by name.

        Args:
          iteration: Number of completed iterations.
          values: Texts and Python or NumPy numbers. A number that is not finite becomes null,
            because JSON has no such numbers.
        """
        numbers = {name: _json_number(value) for name, value in values.items()}
        self._file.write(json.dumps({"iteration": int(iteration), **numbers}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TrainingProgress:
    """The progress line of a run: iterations, remaining time, images per second and losses.

    Create it after the training step is compiled, because the remaining time is estimated from the
    time since the creation.

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
        """Shows that `iteration` is completed, and its losses: D's (real, fake) and G's."""
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
    """Returns the training time in seconds up to an iteration, or 0 if no line has it."""
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
    return [entry for _, entry in _entries(path)] if os.path.exists(path) else []


def _keep_until(path: str, iteration: int) -> None:
    with open(path, "rb") as file:
        before = file.read()
    kept = [line for line, entry in _entries(path) if entry["iteration"] <= iteration]
    content = b"".join(line + b"\n" for line in kept)
    if content == before:
        return
    with replaced(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def _entries(path: str) -> list[tuple[bytes, dict]]:
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    entries = []
    for number, line in enumerate(lines, 1):
        place = f"{path}, line {number}"
        try:
            entry = parse_json(line, place, None)
        except NotJson:
            continue
        # A line may be cut off after its first digits and still be JSON: a number, not an object.
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
