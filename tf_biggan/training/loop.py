"""The training loop: runs iterations; logs, samples, scores and saves, each at its own period."""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.collapse_settings import ROLLBACK, STOP, WARN
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.classes import complete_names
from tf_biggan.data.decoding import naming_unreadable
from tf_biggan.devices.strategy import (
    any_process,
    default_call_length,
    is_chief,
    naming_lost_processes,
    require_same_iteration,
    require_tensorflow,
    spans_processes,
)
from tf_biggan.networks.layers.spectral_norm import normalized_layers
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.run_directory import write_config, write_initialization
from tf_biggan.training.collapse_signs import ROLLED_BACK
from tf_biggan.training.discriminator_scores import describe_scores
from tf_biggan.training.interruption import StopRequest
from tf_biggan.training.logs import (
    IMAGES_SEEN,
    SECONDS,
    MetricsLog,
    TensorBoardLog,
    TrainingProgress,
    describe_start,
    read_metrics,
    record_environment,
    seconds_until,
    warnings_at_start,
)
from tf_biggan.training.sample_sheets import SampleSheets
from tf_biggan.training.scores import SCORED_AS, RunEvaluation
from tf_biggan.training.start import (
    Start,
    compiled_step,
    create_state,
    discriminator_scores,
    open_batches,
    plan_lines,
    prepare,
)
from tf_biggan.training.watchdog import Watchdog, entry_of


def train(
    config: TrainConfig,
    run_dir: str,
    leave: Callable[[], None] | None = None,
    completed: Callable[[str], None] | None = None,
) -> bool:
    """Trains until `num_iterations` or until SIGINT or SIGTERM, then saves a checkpoint.

    If the folder holds a run, training resumes from its newest checkpoint.

    Args:
      config: The configuration of the run.
      run_dir: Folder of the run, which is created if it does not exist.
      leave: Called in a thread at a second Ctrl-C; None to ignore a second Ctrl-C.
      completed: Called with `run_dir` when the run is complete, in the process that writes files.

    Returns:
      Whether the run is complete; False if a signal ended it.

    Raises:
      ValueError: The configuration contradicts itself, or does not fit the data, the devices or the
        folder. Or a metric is no longer finite. Or training collapsed, and either `on_collapse` is
        "stop" or `max_rollbacks` rollbacks were made before.
    """
    require_tensorflow("training")
    began = time.monotonic()
    start = prepare(config, run_dir)
    writes = is_chief(start.strategy)
    with naming_lost_processes(start.strategy), naming_unreadable():
        complete = _started(start, run_dir, writes, began).to_the_end(leave)
    if complete and writes and completed is not None:
        completed(run_dir)
    return complete


def _started(start: Start, run_dir: str, writes: bool, began: float) -> _Run:
    """Creates the networks, writes the settings, prints the first lines and returns the run."""
    config, strategy, data = start.config, start.strategy, start.data
    initialization = start.initialization
    with strategy.scope():
        state = create_state(config, initialization)
    if writes:
        names = complete_names(data.whole.class_names, config.model.num_classes)
        write_config(run_dir, config, names, start.identity)
        if initialization is not None:
            write_initialization(run_dir, initialization.record())
            print(*initialization.describe(), sep="\n")
        print(*data.describe(), *describe_start(config, run_dir, strategy, state), sep="\n")
        print(*plan_lines(start), sep="\n", flush=True)
        for warning in warnings_at_start(config, strategy):
            print(warning, file=sys.stderr, flush=True)
    return _Run(config, run_dir, strategy, data, state, writes, began)


class _Run:
    """A run while it trains: its state, data, checkpoints, logs, sheets and scores."""

    def __init__(self, config, run_dir, strategy, data, state, writes, began):
        settings, source = config.run, data.training
        self._config, self._strategy, self._state = config, strategy, state
        self._writes = writes
        self._progress: TrainingProgress | None = None
        self._checkpoints = Checkpoints(state, run_dir, settings.keep_checkpoints, writes)
        self._iteration = self._checkpoints.restore(self._say)
        require_same_iteration(strategy, self._iteration, run_dir)
        if self._iteration:
            self._say(f"Resuming from iteration {self._iteration}.")
        names = complete_names(source.class_names, config.model.num_classes)
        self._sheets = SampleSheets(state.average, run_dir, names, settings.seed)
        self._sampled, self._scored = self._done_before(run_dir)
        self._call_length = settings.iterations_per_call or default_call_length(strategy)
        self._step = compiled_step(config, strategy, source, state)
        scores = self._wants(settings.eval_every, self._scored)
        self._evaluation = (
            RunEvaluation(config, run_dir, strategy, data.whole, state, self._iteration, writes)
            if scores or (settings.eval_every and self._iteration < settings.num_iterations)
            else None
        )
        self._d_scores = discriminator_scores(config, strategy, data, state)
        for note in self._evaluation.notes if self._evaluation else ():
            self._say(note)
        self._open_batches = functools.partial(open_batches, config, strategy, source, state)
        self._batches = self._open_batches(self._iteration)
        self._began = began - seconds_until(run_dir, self._iteration)
        if writes:
            record_environment(run_dir, self._iteration, strategy)
            if settings.sample_every:
                self._sheets.draw_reals(source, settings.seed)
        self._log = MetricsLog(run_dir, self._iteration) if writes else None
        self._events = TensorBoardLog(run_dir, self._iteration) if writes else None
        self._clock = (time.monotonic(), self._iteration)
        kept = self._evaluation.kept_scores if self._evaluation else ()
        self._watchdog = Watchdog(config, run_dir, strategy, state, self._iteration, kept, writes)

    def _done_before(self, run_dir) -> tuple[int | None, int | None]:
        """Returns whether the current iteration already has a sheet and scores: (sampled, scored).

        Each value is the number of the current iteration if its output exists, and None otherwise.
        """
        scored = any(
            entry["iteration"] == self._iteration and SCORED_AS in entry
            for entry in read_metrics(run_dir)
        )
        done = (self._sheets.is_drawn(self._iteration), scored)
        # All processes must act alike, so they use the answer of the process that writes files.
        agreed = [any_process(self._strategy, self._writes and found) for found in done]
        return tuple(self._iteration if found else None for found in agreed)

    def to_the_end(self, leave: Callable[[], None] | None) -> bool:
        """Runs the remaining iterations; returns whether the run is complete."""
        longest = min(self._call_length, *filter(None, self._periods()))
        with StopRequest(_stop_answer(longest, leave is not None), leave) as self._stop:
            try:
                self._iterate()
            finally:
                if self._progress is not None:
                    # This ends the progress line, so that an error has a line of its own.
                    self._progress.close()
            complete = self._is_last()
            self._finish(complete)
        return complete

    def _iterate(self):
        metrics, self._stopping = {}, False
        self._draw_samples()
        before = self._scored
        put_off = self._evaluate()
        # If the run was complete already, it does not warn again.
        if not put_off and (self._scored != before or not self._is_last()):
            self._answer_collapse()
        while not self._is_last() and not self._is_asked_to_stop():
            metrics = self._call()
            self._is_asked_to_stop()
            if self._after(metrics):
                metrics = {}  # They belong to the state before the rollback.
        # If a signal ended the run, the last metrics may not have been checked yet.
        _require_finite(_means(metrics), self._iteration)

    def _is_last(self) -> bool:
        return self._iteration >= self._config.run.num_iterations

    def _is_asked_to_stop(self) -> bool:
        self._stopping = any_process(self._strategy, self._stop.is_set())
        return self._stopping

    def _unless_stopped(self, work: Callable[[], None], name: str) -> bool:
        """Runs optional work unless a stop is requested; returns whether the work was done."""
        if spans_processes(self._strategy):
            # The other processes take part in the work, so this process cannot abandon it alone.
            done = not self._stopping
            if done:
                work()
        else:
            done = self._stop.run_unless_asked(work)
        if not done:
            self._say(f"{name} of iteration {self._iteration} wait until the run resumes.")
        return done

    def _call(self):
        if self._progress is not None:
            count = self._iterations_of_a_call()
            metrics = self._step(self._batches, tf.constant(count))
            self._iteration += count
            return metrics
        self._say("Compiling the training step ...")
        began = time.monotonic()
        with _without_garbage_collection():
            metrics = self._step(self._batches, tf.constant(1))
        self._iteration += 1
        _means(metrics)  # This waits until a GPU has computed the metrics.
        self._say(f"Compilation and the first iteration took {time.monotonic() - began:.0f} s.")
        self._clock = (time.monotonic(), self._iteration)
        total, images = self._config.run.num_iterations, self._images_per_iteration()
        self._progress = TrainingProgress(total, self._iteration, images)
        return metrics

    def _images_per_iteration(self):
        return self._config.step.global_batch_size * self._config.step.num_d_steps

    def _periods(self):
        settings = self._config.run
        return (
            settings.log_every,
            settings.sigma_every,
            settings.sample_every,
            settings.eval_every,
            settings.save_every,
        )

    def _iterations_of_a_call(self):
        """Returns how many iterations to run in the next call of the training step.

        A call ends early if the run ends, or if a log, sheet, score or checkpoint is due.
        """
        done = self._iteration
        ends = [done + self._call_length, self._config.run.num_iterations]
        ends += [(done // period + 1) * period for period in self._periods() if period]
        return min(ends) - done

    def _due(self, period):
        return period and self._iteration % period == 0

    def _wants(self, period, done) -> bool:
        """Returns whether a sheet (or scores) of this iteration is due and not done yet."""
        due = period and self._iteration and (self._is_last() or self._iteration % period == 0)
        return bool(due) and done != self._iteration

    def _after(self, metrics) -> bool:
        """Does what is due after an iteration; returns whether the run was rolled back."""
        settings = self._config.run
        if not self._is_last() and not any(self._due(period) for period in self._periods()):
            return False
        means = _means(metrics)
        broken = _not_finite(means)
        if broken and self._watchdog.decision(broken) == ROLLBACK:
            return self._answer_collapse(broken)
        _require_finite(means, self._iteration)
        self._show(means)
        if self._due(settings.log_every):
            self._write(self._with_rate(means))
        if self._due(settings.sigma_every):
            self._write(_sigmas(self._state))
        self._draw_samples()
        put_off = self._evaluate()
        # The answer to a collapse depends on the scores, so it waits until they are computed.
        if not put_off and self._answer_collapse():
            return True
        if self._due(settings.save_every):
            self._checkpoints.save()
        return False

    def _show(self, means):
        if self._writes:
            losses = (means["d_loss_real"], means["d_loss_fake"], means["g_loss"])
            self._progress.update(self._iteration, *losses)

    def _with_rate(self, means):
        then, iterations = self._clock
        self._clock = (time.monotonic(), self._iteration)
        if self._iteration == iterations:
            return means  # The first iteration includes the compilation, so it has no rate.
        images = (self._iteration - iterations) * self._images_per_iteration()
        return {**means, "images_per_second": images / (self._clock[0] - then)}

    def _write(self, values, texts=None):
        if self._writes:
            so_far = {
                SECONDS: round(time.monotonic() - self._began, 3),
                IMAGES_SEEN: self._iteration * self._images_per_iteration(),
            }
            entry = self._log.write(self._iteration, {**so_far, **values, **(texts or {})})
            self._watchdog.add(entry)
            if values:
                self._events.scalars(self._iteration, values)

    def _draw_samples(self):
        def draw():
            if self._writes:
                path, sheet = self._sheets.draw(self._iteration)
                self._events.image(self._iteration, "samples", sheet)
                self._say(f"Samples: {path}")

        wanted = self._wants(self._config.run.sample_every, self._sampled)
        if wanted and self._unless_stopped(draw, "Samples"):
            self._sampled = self._iteration

    def _evaluate(self) -> bool:
        """Computes scores if they are due. Returns whether a request to stop postponed them."""

        def score():
            scores, notes = self._evaluation.scores()
            lines = [self._evaluation.line(self._iteration, scores), *notes]
            if self._d_scores is not None:
                d_scores = self._d_scores.scores()
                scores |= d_scores
                lines += describe_scores(d_scores)
            self._write(scores, {SCORED_AS: self._evaluation.scored_as})
            for line in lines:
                self._say(line)

        wanted = self._wants(self._config.run.eval_every, self._scored)
        if not wanted:
            return False
        if not self._unless_stopped(score, "Scores"):
            return True
        self._scored = self._iteration
        # The logged images per second do not include the time of an evaluation.
        self._clock = (time.monotonic(), self._iteration)
        return False

    def _answer_collapse(self, broken: Sequence[str] = ()) -> bool:
        """Reports new signs of collapse and acts on them; returns whether it rolled the run back.

        Args:
          broken: Names of logged values that are not finite.
        """
        signs = self._watchdog.new_signs(broken)
        for sign in signs:
            self._say(f"Warning at iteration {self._iteration}: {sign.sentence}")
            self._write({}, entry_of(sign))
        decision = self._watchdog.decision(broken)
        if decision == WARN and self._watchdog.wants_rollback(signs):
            self._say("No rollback: there is no best checkpoint from before the collapse.")
        if decision == STOP:
            raise ValueError(f"{self._watchdog.reason_to_stop()}, from {self._checkpoints.save()}.")
        if decision == ROLLBACK:
            self._roll_back()
        return decision == ROLLBACK

    def _roll_back(self):
        sentence = self._watchdog.roll_back(self._say)
        self._iteration += 1
        self._batches = None  # Images in memory are freed before they are read again.
        self._batches = self._open_batches(self._iteration)
        self._clock = (time.monotonic(), self._iteration)
        self._say(sentence)
        # The log entry precedes the checkpoint: if the process is killed between the two, the run
        # drops the entry when it resumes.
        self._write({}, {ROLLED_BACK: sentence})
        self._draw_samples()
        self._evaluate()
        self._checkpoints.save()

    def _finish(self, complete):
        path = self._checkpoints.save()
        if self._writes:
            self._log.close()
            self._events.close()
        state = "Complete" if complete else "Stopped; the same command resumes"
        self._say(f"{state} at iteration {self._iteration}. Checkpoint: {path}")

    def _say(self, text):
        if self._writes and self._progress is not None:
            self._progress.message(text)
        elif self._writes:
            print(text, flush=True)


def _stop_answer(longest_call: int, may_leave: bool) -> str:
    """Returns the line that is printed when a stop is requested."""
    after = "this iteration" if longest_call == 1 else f"at most {longest_call} iterations"
    again = "; press Ctrl-C again to leave without saving" if may_leave else ""
    return f"Stopping after {after}{again}."


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Returns a context without garbage collection.

    Without garbage collection, TensorFlow builds a graph of millions of objects in a fifth less
    time.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _means(metrics) -> dict[str, float]:
    """Returns the mean of every metric over steps and accumulation steps, by name."""
    return {name: float(np.mean(value)) for name, value in metrics.items()}


def _not_finite(means) -> list[str]:
    return [name for name, value in means.items() if not math.isfinite(value)]


def _require_finite(means, iteration):
    broken = _not_finite(means)
    checks.require(
        not broken,
        f"training diverged: at iteration {iteration}, these values are not finite. The"
        " newest checkpoint was saved before that; start another run with lower learning"
        " rates (--init_from with the folder of this run starts it from that checkpoint)",
        **{name: means[name] for name in broken},
    )


def _sigmas(state) -> dict[str, float]:
    """Returns the largest singular value of every spectrally normalised kernel, by path."""
    layers = normalized_layers(state.generator) + normalized_layers(state.discriminator)
    return {f"sigma/{layer.path}": float(layer.estimate_sigma()[0]) for layer in layers}
