"""Answers a collapse with a warning, the end of the run, or a rollback to the best checkpoint.

A rollback counts as an iteration. It restores the variables of the best checkpoint, lowers the
learning rates and increases the iteration by 1; then the run saves a checkpoint. The log keeps the
entries of the iterations that were rolled back. A run that is killed at any moment therefore
resumes from a checkpoint before or after the rollback, and comes to the same state.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import tensorflow as tf

from tf_biggan.cli.collapse_settings import ROLLBACK, STOP, WARN
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.devices.strategy import any_process, require_same_iteration
from tf_biggan.store.checkpoints import Checkpoints, UnreadableCheckpoint, checkpoint_iterations
from tf_biggan.training.collapse_signs import (
    ITERATION,
    KIND,
    WARNING,
    History,
    Sign,
    signs_of_collapse,
)
from tf_biggan.training.logs import read_metrics
from tf_biggan.training.scores import BEST_FOLDER
from tf_biggan.training.state import TrainState


class Watchdog:
    """Watches the log of a run for signs of collapse, and rolls the run back.

    Only the process that writes the log reads it. The other processes receive its decisions.

    Args:
      config: The configuration of the run.
      run_dir: Folder of the run.
      strategy: The strategy of the run.
      state: The state of the run.
      iteration: The iteration from which the run resumes. Later entries of the log are ignored.
      kept_scores: Names of the scores by which a best checkpoint is kept, in order of preference. A
        rollback takes the first of these checkpoints that is from before the collapse and can be
        read.
      writes: Whether this process writes the log.
    """

    def __init__(
        self,
        config: TrainConfig,
        run_dir: str,
        strategy: tf.distribute.Strategy,
        state: TrainState,
        iteration: int,
        kept_scores: Sequence[str],
        writes: bool,
    ):
        self._settings, self._run_dir = config.run, run_dir
        self._folders = [os.path.join(run_dir, f"{BEST_FOLDER}{name}") for name in kept_scores]
        self._best: list[str] = []
        self._strategy, self._state, self._writes = strategy, state, writes
        self._history = History(config.step.loss)
        for entry in read_metrics(run_dir) if writes else ():
            if entry[ITERATION] <= iteration:
                self.add(entry)

    def add(self, entry: dict) -> None:
        """Adds the next entry of the log to the history."""
        self._history.add(entry)

    def new_signs(self, broken: Sequence[str] = ()) -> list[Sign]:
        """Returns the signs of collapse that began after the last report of their kind.

        Args:
          broken: Names of logged values that are not finite now.
        """
        reported = self._history.reported
        signs = self._signs(broken)
        return [sign for sign in signs if reported.get(sign.kind, -1) < sign.since]

    def decision(self, broken: Sequence[str] = ()) -> str:
        """Returns the answer to the present signs: "warn" (train on), "stop" or "rollback".

        All processes must call it at the same iteration.

        Args:
          broken: Names of logged values that are not finite now.
        """
        settings = self._settings
        if settings.on_collapse == WARN or self._iteration() >= settings.num_iterations:
            return WARN
        signs = [sign for sign in self._signs(broken) if sign.collapsed] if self._writes else []
        if not any_process(self._strategy, bool(signs)):
            return WARN
        exhausted = self._writes and len(self._history.rollbacks) >= settings.max_rollbacks
        if any_process(self._strategy, settings.on_collapse == STOP or exhausted):
            return STOP
        self._best = self._all_before(min((sign.since for sign in signs), default=0))
        return ROLLBACK if self._best else WARN

    def wants_rollback(self, signs: Sequence[Sign]) -> bool:
        """Returns whether the settings ask for a rollback because of some of these signs."""
        rolls_back = self._settings.on_collapse == ROLLBACK
        before_the_end = self._iteration() < self._settings.num_iterations
        return rolls_back and before_the_end and any(sign.collapsed for sign in signs)

    def _all_before(self, iteration: int) -> list[str]:
        """Returns the folders of the best checkpoints from before an iteration, by preference.

        If a run was killed, a best checkpoint may be of a later iteration than the resumed run has
        reached. The folder of this checkpoint is left out. All processes must call this method, and
        all receive the answer of the process that writes the log.
        """
        found = []
        for folder in self._folders:
            before = self._writes and _is_from_before(folder, iteration)
            if any_process(self._strategy, before):
                found.append(folder)
        return found

    def _restore_best(self, say: Callable[[str], None]) -> tuple[int, str]:
        """Restores the first best checkpoint that every process can read.

        Returns:
          (iteration, folder) of this checkpoint.
        """
        reasons = []
        for folder in self._best:
            found, reason = 0, "another process cannot read it"
            try:
                found = Checkpoints(self._state, folder, keep=1, writes=False).restore(say)
            except UnreadableCheckpoint as error:
                reason = str(error)
            if not any_process(self._strategy, not found):
                require_same_iteration(self._strategy, found, folder)
                return found, folder
            reasons.append(f"Cannot roll back to {folder}: {reason}")
            say(reasons[-1])
        raise UnreadableCheckpoint(reasons[0])

    def roll_back(self, say: Callable[[str], None]) -> str:
        """Restores the best checkpoint as the next iteration; returns a sentence for the log.

        If the best checkpoint by the first score cannot be read, the best one by the next score is
        restored.

        The generator starts from its moving average, because only the average was scored. The
        generator itself may already have been damaged when its average was best. All processes must
        call this at the same iteration, after `decision` has returned "rollback".

        Args:
          say: Receives a line for each checkpoint that cannot be read.

        Raises:
          UnreadableCheckpoint: No best checkpoint from before the collapse can be read.
        """
        state, iteration = self._state, self._iteration()
        optimizers = (state.g_optimizer, state.d_optimizer)
        rates = [float(optimizer.learning_rate.numpy()) for optimizer in optimizers]
        factor = self._settings.rollback_rate_factor
        found, folder = self._restore_best(say)
        with self._strategy.scope():
            networks = (state.generator.variables, state.average.variables)
            for target, value in zip(*networks, strict=True):
                target.assign(value)
            for optimizer, rate in zip(optimizers, rates, strict=True):
                optimizer.learning_rate = rate * factor
            state.iteration.assign(iteration + 1)
        now = " and ".join(f"{rate * factor:.4g}" for rate in rates)
        return (
            f"Rollback at iteration {iteration:,}: training continues from the checkpoint of"
            f" iteration {found:,} ({os.path.basename(folder)}), with learning rates {now} (G and"
            " D)."
        )

    def reason_to_stop(self) -> str:
        """Returns the error message of a run that stops because it collapsed."""
        signs = [sign for sign in self._signs() if sign.collapsed]
        why = (
            " ".join(sign.sentence for sign in signs)
            if self._writes
            else "The process that writes the log prints the reason."
        )
        count = len(self._history.rollbacks)
        since = min((sign.since for sign in signs), default=0)
        best = next((path for path in self._folders if _is_from_before(path, since)), None)
        after = f" after {count} rollback{'s' * (count > 1)}" if count else ""
        other = f"--init_from={best} starts another run from the best checkpoint. " if best else ""
        return f"Training collapsed{after}. {why} {other}--on_collapse=warn resumes this run"

    def _signs(self, broken: Sequence[str] = ()) -> list[Sign]:
        signs = signs_of_collapse(self._history, self._settings)
        if broken:
            iteration = self._iteration()
            sentence = f"Not finite at iteration {iteration:,}: {', '.join(broken)}."
            signs.append(Sign("not finite", iteration, sentence))
        return signs

    def _iteration(self) -> int:
        return int(self._state.iteration.numpy())


def _is_from_before(folder: str, iteration: int) -> bool:
    found = checkpoint_iterations(folder)
    return bool(found) and max(found) < iteration


def entry_of(sign: Sign) -> dict[str, str]:
    """Returns the entry of RUN/metrics.jsonl that records a sign."""
    return {KIND: sign.kind, WARNING: sign.sentence}
