"""A run from its first iteration, or its last checkpoint, to its end."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.classes import complete_names
from tf_biggan.config import TrainConfig
from tf_biggan.data.images import naming_unreadable
from tf_biggan.data.pipeline import distribute
from tf_biggan.data.source import Source, check_labels, describe
from tf_biggan.data.sources import open_source
from tf_biggan.layers.spectral_norm import normalized_layers
from tf_biggan.models.from_config import discriminator_from, generator_from
from tf_biggan.training.checkpoints import Checkpoints
from tf_biggan.training.distribution import (
    create_strategy,
    is_chief,
    may_compile,
    require_same_iteration,
    require_whole_cluster,
)
from tf_biggan.training.evaluation import SCORED_AS, RunEvaluation
from tf_biggan.training.freezing import freeze_blocks
from tf_biggan.training.initialization import Initialization, begin
from tf_biggan.training.logs import MetricsLog, TrainingProgress
from tf_biggan.training.own_code import check_own_code
from tf_biggan.training.run_data import data_of_run
from tf_biggan.training.run_directory import check_run, write_config, write_initialization
from tf_biggan.training.samples import SampleSheets
from tf_biggan.training.state import TrainState, adam_optimizers
from tf_biggan.training.tensorboard import TensorBoardLog
from tf_biggan.training.train_step import batch_plan, compile_iterations, stateless_drawing


def train(config: TrainConfig, run_dir: str) -> bool:
    """Trains until `num_iterations`, or until SIGINT or SIGTERM, and saves.

    Called again with the same directory it goes on from the newest checkpoint.

    Args:
      config: of the run.
      run_dir: folder of the run; made where it does not exist.

    Returns:
      Whether the run is complete; False where a signal ended it.

    Raises:
      ValueError: the configuration contradicts itself, the data, the devices or the folder; or a
        loss is no longer finite.
    """
    strategy = create_strategy(config.run.strategy, config.run.tpu, config.run.cpu_replicas)
    require_whole_cluster(strategy)
    writes = is_chief(strategy)
    data = config.data
    source = open_source(
        data.dataset, split=data.split, data_dir=data.data_dir, download=data.download
    )
    source, identity = data_of_run(run_dir, source, config, print if writes else _silent)
    config = with_classes_of(config, source)
    config, initialization = begin(config, run_dir, source.class_names)
    check_own_code(config)
    plan = batch_plan(config.step, strategy.num_replicas_in_sync)
    check_run(run_dir, config)
    with strategy.scope():
        state = create_state(config, initialization)
    if writes:
        names = complete_names(source.class_names, config.model.num_classes)
        write_config(run_dir, config, names, identity)
        if initialization is not None:
            write_initialization(run_dir, initialization.record())
            print(*initialization.describe(), sep="\n")
        print(*describe(source), *_plan_lines(config, strategy, plan), sep="\n", flush=True)
    run = _Run(config, run_dir, strategy, source, state, writes)
    with naming_unreadable():
        return run.to_the_end()


def with_classes_of(config: TrainConfig, source: Source) -> TrainConfig:
    """The configuration with the number of classes that the data have, where it has none.

    Raises:
      ValueError: the labels do not fit that number.
    """
    found = config.model.num_classes
    num_classes = source.num_classes if found is None else found
    check_labels(source, num_classes)
    model = dataclasses.replace(config.model, num_classes=num_classes)
    return dataclasses.replace(config, model=model)


def create_state(config: TrainConfig, initialization: Initialization | None = None) -> TrainState:
    """Networks and optimisers at iteration 0; called in the scope of the strategy.

    Args:
      config: of the run.
      initialization: fills the networks of a run that starts from a model.

    Raises:
      ValueError: the discriminator has fewer blocks than are to be frozen.
    """
    seed, num_classes = config.run.seed, config.model.num_classes
    discriminator = discriminator_from(config.model, num_classes, seed)
    freeze_blocks(discriminator, config.step.freeze_d_blocks)
    state = TrainState.create(
        generator_from(config.model, num_classes, seed),
        discriminator,
        *adam_optimizers(config.step),
        follow_second=config.step.g_sigma_clamp_ratio is not None,
    )
    if initialization is not None:
        initialization.fill(state)
    return state


def label_probabilities(config: TrainConfig, source: Source) -> np.ndarray | None:
    """How labels of generated images are drawn, [num_classes]; None if unconditional."""
    num_classes = config.model.num_classes
    if num_classes == 0:
        return None
    if config.step.label_sampling == "uniform":
        return np.full(num_classes, 1.0 / num_classes)
    counts = np.bincount(source.labels, minlength=num_classes)
    return counts / counts.sum()


def _silent(text: str) -> None:
    """Prints nothing: of several processes, one speaks."""


def _plan_lines(config, strategy, plan):
    step, replicas = config.step, strategy.num_replicas_in_sync
    yield (
        f"Batch of D: {step.global_batch_size} = {replicas} replicas x {plan['d']} images"
        f" x {step.d_accumulations} accumulations; {step.num_d_steps} D steps an iteration"
    )
    yield (
        f"Batch of G: {step.g_batch_size or step.global_batch_size} = {replicas} replicas"
        f" x {plan['g']} images x {step.g_accumulations} accumulations"
    )


class _Run:
    """The parts of a run that is under way."""

    def __init__(self, config, run_dir, strategy, source, state, writes):
        settings = config.run
        self._config, self._state, self._writes = config, state, writes
        self._checkpoints = Checkpoints(state, run_dir, settings.keep_checkpoints, writes)
        self._iteration = self._checkpoints.restore(self._say)
        require_same_iteration(strategy, self._iteration, run_dir)
        if self._iteration:
            self._say(f"Going on from iteration {self._iteration}.")
        names = complete_names(source.class_names, config.model.num_classes)
        self._sheets = SampleSheets(state.average, run_dir, names, settings.seed)
        self._step = compile_iterations(
            strategy,
            state,
            config.step,
            stateless_drawing(
                state,
                config.step,
                settings.seed,
                label_probabilities(config, source),
                strategy.num_replicas_in_sync,
            ),
            may_compile(strategy) if settings.jit is None else settings.jit,
        )
        self._evaluation = (
            RunEvaluation(config, run_dir, strategy, source, state, self._iteration, writes)
            if settings.eval_every and self._iteration < settings.num_iterations
            else None
        )
        for note in self._evaluation.notes if self._evaluation else ():
            self._say(note)
        self._batches = self._open_data(strategy, source)
        self._log = MetricsLog(run_dir, self._iteration) if writes else None
        self._events = TensorBoardLog(run_dir, self._iteration) if writes else None
        images = config.step.global_batch_size * config.step.num_d_steps
        self._progress = TrainingProgress(settings.num_iterations, self._iteration, images)
        self._clock = (time.monotonic(), self._iteration)

    def to_the_end(self) -> bool:
        """Runs the remaining iterations; returns whether the run is complete."""
        settings, metrics = self._config.run, {}
        with _signals_noted() as stop:
            while self._iteration < settings.num_iterations and not stop.is_set():
                count = self._iterations_of_a_call()
                metrics = self._step(self._batches, tf.constant(count))
                self._iteration += count
                self._after(metrics)
        # A signal may end the run between two things that are due, and so before they look.
        _require_finite(_means(metrics), self._iteration)
        complete = self._iteration >= settings.num_iterations
        self._finish(complete)
        return complete

    def _open_data(self, strategy, source) -> Iterator:
        config, step = self._config, self._config.step
        size = self._state.generator.image_size
        return iter(
            distribute(
                strategy,
                source,
                image_size=size,
                image_channels=config.model.image_channels,
                batch_size=step.global_batch_size // step.d_accumulations,
                seed=config.run.seed,
                flip=config.data.flip,
                start_batch=self._iteration * step.num_d_steps * step.d_accumulations,
            )
        )

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
        """As many as asked for, and no further than the next thing that is due."""
        settings, done = self._config.run, self._iteration
        ends = [done + settings.iterations_per_call, settings.num_iterations]
        ends += [(done // period + 1) * period for period in self._periods() if period]
        return min(ends) - done

    def _due(self, period):
        return period and self._iteration % period == 0

    def _after(self, metrics):
        settings = self._config.run
        if any(self._due(period) for period in self._periods()):
            means = _means(metrics)
            _require_finite(means, self._iteration)
            self._show(means)
            if self._due(settings.log_every):
                self._write(self._with_rate(means))
            if self._due(settings.sigma_every):
                self._write(_sigmas(self._state))
            if self._due(settings.sample_every):
                self._draw_samples()
            if self._due(settings.eval_every):
                self._evaluate()
            if self._due(settings.save_every):
                self._checkpoints.save()

    def _show(self, means):
        if self._writes:
            losses = (means["d_loss_real"], means["d_loss_fake"], means["g_loss"])
            self._progress.update(self._iteration, *losses)

    def _with_rate(self, means):
        then, iterations = self._clock
        self._clock = (time.monotonic(), self._iteration)
        step = self._config.step
        images = (self._iteration - iterations) * step.global_batch_size * step.num_d_steps
        return {**means, "images_per_second": images / (self._clock[0] - then)}

    def _write(self, values):
        if self._writes:
            self._log.write(self._iteration, values)
            self._events.scalars(self._iteration, values)

    def _draw_samples(self):
        if self._writes:
            path, sheet = self._sheets.draw(self._iteration)
            self._events.image(self._iteration, "samples", sheet)
            self._progress.message(f"Samples: {path}")

    def _evaluate(self):
        scores, notes = self._evaluation.scores()
        if self._writes:
            how = {SCORED_AS: self._evaluation.scored_as}
            self._log.write(self._iteration, {**scores, **how})
            self._events.scalars(self._iteration, scores)
            for line in (self._evaluation.line(self._iteration, scores), *notes):
                self._progress.message(line)
        # The time of an evaluation is not one of training.
        self._clock = (time.monotonic(), self._iteration)

    def _finish(self, complete):
        sample_every = self._config.run.sample_every
        if self._iteration and sample_every and not self._due(sample_every):
            self._draw_samples()
        path = self._checkpoints.save()
        self._progress.close()
        if self._writes:
            self._log.close()
            self._events.close()
        state = "Complete" if complete else "Stopped; the same command goes on"
        self._say(f"{state} at iteration {self._iteration}. Checkpoint: {path}")

    def _say(self, text):
        if self._writes:
            print(text, flush=True)


def _means(metrics) -> dict[str, float]:
    """The mean over steps and passes of every metric, by name."""
    return {name: float(np.mean(value)) for name, value in metrics.items()}


def _require_finite(means, iteration):
    broken = [name for name, value in means.items() if not math.isfinite(value)]
    checks.require(
        not broken,
        f"what is logged must stay finite, and at iteration {iteration} it is not; the newest"
        " checkpoint is from before",
        **{name: means[name] for name in broken},
    )


def _sigmas(state) -> dict[str, float]:
    """The largest singular value of every spectrally normalised kernel, by path."""
    layers = normalized_layers(state.generator) + normalized_layers(state.discriminator)
    return {f"sigma/{layer.path}": float(layer.estimate_sigma()[0]) for layer in layers}


class _signals_noted:  # noqa: N801
    """Within it, SIGINT and SIGTERM set the event that it gives, and end nothing."""

    def __enter__(self) -> threading.Event:
        event = threading.Event()
        self._before: dict[int, Callable] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, lambda *_: event.set())
        return event

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
