"""Checkpoints of a run: the newest few, and the way back to the newest that can be read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

import tensorflow as tf

from tf_biggan.training.state import TrainState

FOLDER = "checkpoints"
PREFIX = "iteration"
# What TensorFlow raises for files that are cut off, garbled, missing or of another model.
UNREADABLE = (tf.errors.OpError, AssertionError, IndexError, RuntimeError, ValueError)


def has_checkpoint(run_dir: str) -> bool:
    """Whether a run has a checkpoint that it goes on from."""
    return tf.train.get_checkpoint_state(os.path.join(run_dir, FOLDER)) is not None


class Checkpoints:
    """RUN/checkpoints/iteration-N.* of a state; TensorFlow names the newest after writing it.

    Args:
      state: what is saved and restored; built.
      run_dir: folder of the run.
      keep: newest checkpoints that stay.
      writes: whether this process is the one whose files count; others write to a folder of their
        own, since all have to take part.
    """

    def __init__(self, state: TrainState, run_dir: str, keep: int, writes: bool = True):
        self._state = state
        self._stored_iteration: int | None = None
        self._folder = os.path.join(run_dir, FOLDER)
        self._checkpoint = tf.train.Checkpoint(**state.trackables())
        target = self._folder if writes else tempfile.mkdtemp()
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, target, max_to_keep=keep, checkpoint_name=PREFIX
        )

    def save(self) -> str:
        """Writes the state, unless it was just written or restored; returns the path."""
        iteration = int(self._state.iteration.numpy())
        if iteration != self._stored_iteration:
            self._manager.save(checkpoint_number=iteration)
            self._stored_iteration = iteration
        return os.path.join(self._folder, f"{PREFIX}-{iteration}")

    def restore(self, say: Callable[[str], None] = print) -> int:
        """Restores the newest readable checkpoint; returns its iteration, or 0 if there is none.

        Args:
          say: told of every checkpoint that cannot be read.

        Raises:
          ValueError: there are checkpoints and none can be read.
        """
        known = tf.train.get_checkpoint_state(self._folder)
        paths = [] if known is None else list(known.all_model_checkpoint_paths)
        for path in reversed(paths):
            try:
                self._checkpoint.restore(path).assert_consumed()
                self._stored_iteration = int(self._state.iteration.numpy())
                return self._stored_iteration
            except UNREADABLE as error:
                reason = str(error).splitlines()[0]
                say(f"Checkpoint {path} cannot be read ({reason}); trying the one before it.")
        if paths:
            raise ValueError(
                f"A run that has checkpoints must have a readable one. Received: {self._folder},"
                " where none is; remove the folder to start again."
            )
        return 0
