"""What a run leaves to read: metrics.jsonl, and a line of progress on standard error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import tensorflow as tf

from tf_biggan.progress import Progress

METRICS_FILE = "metrics.jsonl"


class MetricsLog:
    """RUN/metrics.jsonl: one JSON object a line, with its iteration, flushed at once.

    Made anew after an interruption, it drops the lines that come after the checkpoint, and a line
    that was cut off. One process of a run makes one.

    Args:
      run_dir: folder of the run; made where it does not exist. Local or remote.
      iteration: the last iteration that is kept; 0 for a new run.
    """

    def __init__(self, run_dir: str, iteration: int = 0):
        tf.io.gfile.makedirs(run_dir)
        self._path = tf.io.gfile.join(run_dir, METRICS_FILE)
        if tf.io.gfile.exists(self._path):
            _keep_until(self._path, iteration)
        self._file = tf.io.gfile.GFile(self._path, "a")

    def write(self, iteration: int, values: Mapping[str, float | str]) -> None:
        """Appends a line: the iteration, then the values by name.

        Args:
          iteration: how many are done.
          values: texts, and Python or NumPy numbers; one that is not finite becomes null, as JSON
            has none.
        """
        numbers = {name: _json_number(value) for name, value in values.items()}
        self._file.write(json.dumps({"iteration": int(iteration), **numbers}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TrainingProgress:
    """The line that is shown while a run trains: iterations, time left, images/s and losses.

    It is made once the training step is compiled, as the time left counts from then.

    Args:
      total: iterations of the run.
      done: iterations that are done already.
      images_per_iteration: real images of one iteration, over all replicas and D steps.
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
        """Notes that `iteration` is done, and the newest losses: D's of real and fake, and G's."""
        note = f"D {d_real:.2f}/{d_fake:.2f} G {g:.2f}"
        self._bar.add(iteration - self._iteration, note)
        self._iteration = iteration

    def message(self, text: str) -> None:
        """Prints a line of its own on standard output."""
        self._bar.message(text)

    def close(self) -> None:
        """Draws the last state."""
        self._bar.close()


def read_metrics(run_dir: str) -> list[dict]:
    """The lines of RUN/metrics.jsonl in order, without one that was cut off; [] where none is."""
    path = tf.io.gfile.join(run_dir, METRICS_FILE)
    return [entry for _, entry in _entries(path)] if tf.io.gfile.exists(path) else []


def _keep_until(path: str, iteration: int) -> None:
    with tf.io.gfile.GFile(path) as file:
        before = file.read()
    kept = [line for line, entry in _entries(path) if entry["iteration"] <= iteration]
    text = "".join(f"{line}\n" for line in kept)
    if text == before:
        return
    temporary = f"{path}.tmp"
    with tf.io.gfile.GFile(temporary, "w") as file:
        file.write(text)
    tf.io.gfile.rename(temporary, path, overwrite=True)


def _entries(path: str) -> list[tuple[str, dict]]:
    with tf.io.gfile.GFile(path) as file:
        lines = file.read().splitlines()
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        # A line may be cut off after its first digits and still be JSON: a number, not an object.
        if isinstance(entry, dict) and "iteration" in entry:
            entries.append((line, entry))
    return entries


def _json_number(value) -> float | int | None:
    number = value.item() if hasattr(value, "item") else value
    return None if isinstance(number, float) and not math.isfinite(number) else number
