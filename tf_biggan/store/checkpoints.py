"""Writes, lists and restores the checkpoints of a training run.

The file names in RUN/checkpoints tell which checkpoints exist. TensorFlow writes
`iteration-N.index` last, so a checkpoint with an index file is complete. The file `checkpoint`, in
which TensorFlow lists checkpoints, is written for other programs and is never read here.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import keras
import tensorflow as tf

from tf_biggan.cli.terminal import one_line
from tf_biggan.files import file_system
from tf_biggan.files.atomic import remove_leftovers, write_text
from tf_biggan.files.file_paths import PlainFolder
from tf_biggan.files.tensorflow_files import open_checkpoint

FOLDER = "checkpoints"
PREFIX = "iteration"
LIST_FILE = "checkpoint"
# Errors of TensorFlow for a checkpoint that is truncated, corrupt, missing or from another model.
UNREADABLE = (tf.errors.OpError, AssertionError, IndexError, OSError, RuntimeError, ValueError)
_FILE = re.compile(rf"{PREFIX}-(0|[1-9]\d*)\.(index|data-\d+-of-\d+)")
# Names of the files that TensorFlow leaves behind if it is killed while writing a checkpoint.
_STRAY = re.compile(rf"{PREFIX}-\d+(_temp.*|\..+\.tempstate\d+)|checkpoint\.tmp.*")


def checkpoint_iterations(run_dir: str) -> list[int]:
    """Returns the iterations of a run's checkpoints, oldest first; [] if there are none."""
    matches = _files(os.path.join(run_dir, FOLDER))
    return sorted(int(match[1]) for match in matches if match[2] == "index")


def has_checkpoint(run_dir: str) -> bool:
    """Returns whether a run has at least one checkpoint, readable or not."""
    return bool(checkpoint_iterations(run_dir))


def checkpoint_path(run_dir: str, iteration: int) -> str:
    """Returns the path prefix of a checkpoint, without ".index" and ".data-*"."""
    return os.path.join(run_dir, FOLDER, _name(iteration))


class UnreadableCheckpoint(ValueError):  # noqa: N818
    """Raised if none of the requested checkpoints can be read."""


def say_on_stderr(text: str) -> None:
    """Prints one line on standard error."""
    print(text, file=sys.stderr, flush=True)


def read_newest(
    run_dir: str,
    read: Callable[[str], None],
    say: Callable[[str], None] = say_on_stderr,
    iterations: Iterable[int] | None = None,
) -> tuple[int, tuple[int, ...]]:
    """Reads the newest checkpoint that can be read, trying older ones if newer ones are damaged.

    Args:
      run_dir: Folder of the run.
      read: Function that reads the checkpoint with the given path prefix. It raises one of
        `UNREADABLE` if the checkpoint cannot be read.
      say: Function that receives one line for each unreadable checkpoint, and one line that names
        the checkpoint used instead.
      iterations: Iterations of the checkpoints to try. None tries all checkpoints of the run.

    Returns:
      A tuple: the iteration of the checkpoint that was read, and the iterations of the newer
      checkpoints that cannot be read.

    Raises:
      UnreadableCheckpoint: None of these checkpoints can be read.
    """
    tried = sorted(checkpoint_iterations(run_dir) if iterations is None else iterations)
    reasons: dict[int, str] = {}
    plain = PlainFolder(os.path.join(run_dir, FOLDER))
    with plain as folder:
        for iteration in reversed(tried):
            try:
                open_checkpoint(os.path.join(folder, _name(iteration)))
                read(os.path.join(folder, _name(iteration)))
            except UNREADABLE as error:
                reasons[iteration] = plain.real(_reason(error))
                continue
            for other, reason in reasons.items():
                say(f"Cannot read checkpoint {checkpoint_path(run_dir, other)} ({reason}).")
            if reasons:
                say(f"Using {checkpoint_path(run_dir, iteration)}, the newest readable checkpoint.")
            return iteration, tuple(reasons)
    listed = "; ".join(f"{_name(iteration)} ({reason})" for iteration, reason in reasons.items())
    raise UnreadableCheckpoint(
        f"Cannot read any checkpoint in {os.path.join(run_dir, FOLDER)}:"
        f" {listed or 'there is none'}. Nothing was changed. Restore the files from a copy of"
        " the run, or train in another --run_dir."
    )


class Saved(Protocol):
    """Interface of a training state that can be saved, such as `TrainState`.

    Attributes:
      iteration: Variable that counts the training steps.
    """

    iteration: keras.Variable

    def trackables(self) -> dict[str, Any]:
        """Returns the objects to store in a checkpoint, by name."""


class Checkpoints:
    """Saves a training state to RUN/checkpoints/iteration-N.* and restores it.

    Args:
      state: Training state to save and restore. Its variables must exist already.
      run_dir: Folder of the run.
      keep: Number of newest checkpoints to keep. Older ones are deleted.
      writes: Whether this process writes to the run's folder. In distributed training, every
        process must take part in saving, so the other processes write to a temporary folder.
    """

    def __init__(self, state: Saved, run_dir: str, keep: int, writes: bool = True):
        self._state, self._run_dir, self._keep = state, run_dir, keep
        self._stored_iteration: int | None = None
        self._unreadable: set[int] = set()
        self._checkpoint = tf.train.Checkpoint(**state.trackables())
        # tf.train.CheckpointManager stores this counter. Creating it here makes these checkpoints
        # compatible with those of CheckpointManager.
        self._counter = self._checkpoint.save_counter
        self._writes, self._target = writes, os.path.join(run_dir, FOLDER)
        if not writes:
            self._own_folder = tempfile.TemporaryDirectory(
                prefix="tf_biggan_", ignore_cleanup_errors=True
            )
            self._target = self._own_folder.name

    def save(self) -> str:
        """Writes a checkpoint of the state and returns its path prefix.

        If the last checkpoint that this object wrote or restored has the same iteration, no file is
        written.
        """
        iteration = int(self._state.iteration.numpy())
        if iteration != self._stored_iteration:
            file_system.makedirs(self._target)
            with PlainFolder(self._target) as folder:
                self._checkpoint.write(os.path.join(folder, _name(iteration)))
            self._stored_iteration = iteration
            self._unreadable.discard(iteration)
            self._prune()
        return checkpoint_path(self._run_dir, iteration)

    def restore(self, say: Callable[[str], None] = print) -> int:
        """Restores the newest readable checkpoint and returns its iteration.

        Args:
          say: Function that receives one line for each checkpoint that cannot be read.

        Returns:
          The restored iteration, or 0 if the run has no checkpoint.

        Raises:
          UnreadableCheckpoint: The run has checkpoints, but none of them can be read.
        """
        if self._writes:
            _remove_strays(self._target)
        if not has_checkpoint(self._run_dir):
            return 0
        iteration, unreadable = read_newest(self._run_dir, self._read, say)
        self._stored_iteration, self._unreadable = iteration, set(unreadable)
        if self._writes:
            # An earlier process may have been killed after it wrote a checkpoint and before it
            # deleted old ones.
            self._prune()
        return iteration

    def _read(self, prefix):
        self._checkpoint.read(prefix).assert_consumed()
        held = int(self._state.iteration.numpy())
        if os.path.basename(prefix) != _name(held):
            raise ValueError(f"it holds iteration {held}")

    def _prune(self):
        """Deletes all but the newest `keep` checkpoints.

        A checkpoint that could not be read is kept until training has passed its iteration again.
        """
        newest = self._stored_iteration
        found = {int(match[1]) for match in _files(self._target)}
        whole = {int(match[1]) for match in _files(self._target) if match[2] == "index"}
        good = sorted(i for i in whole - self._unreadable if i <= newest)
        later = {i for i in self._unreadable if i > newest}
        kept = good[-self._keep :]
        for iteration in sorted(found - set(kept) - later):
            _remove(self._target, iteration)
        _write_list(self._target, kept)


def _name(iteration: int) -> str:
    return f"{PREFIX}-{iteration}"


def _files(folder: str) -> list[re.Match]:
    names = file_system.listdir(folder) if file_system.isdir(folder) else []
    return [match for name in names if (match := _FILE.fullmatch(name))]


def _remove(folder: str, iteration: int) -> None:
    """Deletes a checkpoint, index file first, so that no incomplete checkpoint looks complete."""
    names = [match[0] for match in _files(folder) if int(match[1]) == iteration]
    for name in sorted(names, key=lambda name: not name.endswith("index")):
        with contextlib.suppress(FileNotFoundError):
            file_system.remove(os.path.join(folder, name))


def _write_list(folder: str, iterations: list[int]) -> None:
    """Writes TensorFlow's list of checkpoints, which `tf.train.latest_checkpoint` reads."""
    names = [f'all_model_checkpoint_paths: "{_name(iteration)}"' for iteration in iterations]
    lines = [f'model_checkpoint_path: "{_name(iterations[-1])}"', *names]
    write_text(os.path.join(folder, LIST_FILE), "".join(f"{line}\n" for line in lines))


def _remove_strays(folder: str) -> None:
    """Deletes temporary files that an interrupted save left behind."""
    remove_leftovers(folder)
    names = file_system.listdir(folder) if file_system.isdir(folder) else []
    for path in (os.path.join(folder, name) for name in names if _STRAY.fullmatch(name)):
        if file_system.isdir(path):
            file_system.rmtree(path)
        else:
            file_system.remove(path)


def _reason(error: Exception) -> str:
    """Returns the first line of an error's message, or the name of its type."""
    lines = str(error).strip().splitlines()
    return one_line(lines[0]).rstrip(".") if lines else type(error).__name__
