"""One iteration of training as one graph: D updates, the G update, the moving average.

D steps and accumulation steps are loops around `strategy.run`, because a strategy of several
replicas allows no loop inside it that synchronises them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.train_settings import StepConfig
from tf_biggan.generation.latents import (
    FAKE_SEEDS,
    REAL_SEEDS,
    augmentation_seeds,
    class_labels,
    normal_latents,
)
from tf_biggan.networks.layers.precision import wide_dtype
from tf_biggan.training.state import TrainState, ema_decay, update_ema
from tf_biggan.training.updates import (
    D_METRICS,
    G_METRICS,
    RandomInputs,
    RealBatch,
    added,
    apply_discriminator,
    apply_generator,
    discriminator_gradients,
    generator_gradients,
)

# (step within the iteration, accumulation step within it) to latents and labels of one replica.
# D's steps may be scalars of a graph; the generator's step is the Python integer num_d_steps.
InputSampler = Callable[[int | tf.Tensor, int | tf.Tensor], RandomInputs]
# The same indices of D to (images, labels) of all replicas.
RealBatchOf = Callable[[int | tf.Tensor, int | tf.Tensor], tuple]


def batch_plan(config: StepConfig, replicas: int) -> dict[str, int]:
    """Examples of one pass on one replica, for D and for G.

    Raises:
      ValueError: a global batch does not divide by replicas and accumulations.
    """
    plan = {}
    for side, batch, passes in (
        ("d", config.global_batch_size, config.d_accumulations),
        ("g", config.g_batch_size or config.global_batch_size, config.g_accumulations),
    ):
        checks.require(
            batch % (replicas * passes) == 0,
            f"the global batch of {side.upper()} must be a multiple of replicas times accumulations"
            f" ({replicas} x {passes} = {replicas * passes})",
            global_batch=batch,
        )
        plan[side] = batch // (replicas * passes)
    return plan


def replica_iteration(
    state: TrainState,
    config: StepConfig,
    reals: Sequence[Sequence[RealBatch]],
    drawing: InputSampler,
) -> dict[str, tf.Tensor]:
    """One iteration on a single replica, from real images that are all at hand.

    Args:
      state: updated in place.
      reals: the real images of every accumulation step of every D step, all of one shape.
      drawing: gives the latents and labels of every accumulation step.

    Returns:
      D's metrics [num_d_steps, d_accumulations] and G's [g_accumulations].
    """
    images = tf.stack([[real.images for real in passes] for passes in reals])
    labels = [[real.labels for real in passes] for passes in reals]
    labels = None if labels[0][0] is None else tf.stack(labels)

    def batch(step, index):
        return images[step, index], None if labels is None else labels[step, index]

    iteration = _Iteration(tf.distribute.get_strategy(), state, config, drawing)
    return _named(iteration.run(batch), config)


def input_sampler(
    state: TrainState,
    config: StepConfig,
    seed: int,
    probabilities: np.ndarray | None,
    replicas: int,
) -> InputSampler:
    """Draws that depend on seed, iteration, step and pass, and not on the number of replicas.

    Every replica draws the latents of all replicas and keeps its part, so that two replicas see
    together what one would see alone.

    Args:
      state: for the iteration and the size of z.
      seed: of the run.
      probabilities: of the labels [num_classes]; None for unconditional networks.
      replicas: number of replicas, each of which calls what this returns.
    """
    sizes = batch_plan(config, replicas)
    passes = max(config.d_accumulations, config.g_accumulations)

    def own(values):
        context = tf.distribute.get_replica_context()
        parts = tf.reshape(values, (replicas, -1, *values.shape[1:]))
        return parts[context.replica_id_in_sync_group]

    def drawing(step, index):
        # A step that only the running graph knows is one of D's.
        side = "g" if tf.get_static_value(step) == config.num_d_steps else "d"
        count = sizes[side] * replicas
        step, index = (tf.cast(number, tf.int64) for number in (step, index))
        draw = (state.iteration * (config.num_d_steps + 1) + step) * passes + index
        z = own(normal_latents(seed, draw, count, state.generator.latent_dim))
        y = None if probabilities is None else own(class_labels(seed, draw, count, probabilities))
        if config.augmentation is None:
            return RandomInputs(z, y)
        seeds = (augmentation_seeds(seed, draw, count, s) for s in (FAKE_SEEDS, REAL_SEEDS))
        return RandomInputs(z, y, *map(own, seeds))

    return drawing


def compile_iterations(
    strategy: tf.distribute.Strategy,
    state: TrainState,
    config: StepConfig,
    drawing: InputSampler,
    jit_compile: bool = False,
) -> Callable:
    """A graph that runs iterations without returning to Python.

    Args:
      strategy: whose replicas run the updates.
      drawing: gives the latents and labels of every accumulation step.
      jit_compile: whether each update, or each accumulation step, is compiled with XLA.

    Returns:
      A function of (iterator of (images, labels) of one accumulation step, number of iterations, a
      tensor) to the metrics of the last iteration, summed over replicas.
    """
    iteration = _Iteration(strategy, state, config, drawing, jit_compile)

    @tf.function(autograph=False)
    def run(iterator, count):
        # One draw an accumulation step: sigma moves from one to the next, so which images share one
        # matters, and the images of one draw are the same for any number of replicas.
        def one(_, metrics):
            return iteration.run(lambda step, index: iterator.get_next())

        return _named(_repeat(count, one, iteration.no_metrics()), config)

    return run


@dataclasses.dataclass(frozen=True)
class _Update:
    """What an update of one network consists of; each function runs in a replica.

    Attributes:
      gradients: of one accumulation step, from its inputs; with its means.
      apply: takes the gradients of all accumulation steps together.
      variables: those that are updated.
    """

    gradients: Callable
    apply: Callable
    variables: Sequence

    def zeros(self):
        return [tf.zeros_like(variable.value) for variable in self.variables]

    def accumulate(self, total, *inputs):
        gradients, means = self.gradients(*inputs)
        return added(total, gradients), means

    def whole(self, *inputs):
        gradients, means = self.gradients(*inputs)
        self.apply(gradients)
        return means


class _Iteration:
    """The loops of one iteration, outside of the replicas."""

    def __init__(self, strategy, state, config, drawing, jit_compile=False):
        self._strategy, self._state, self._config = strategy, state, config
        self._drawing, self._jit_compile = drawing, jit_compile
        common = (state, config)
        replicas = strategy.num_replicas_in_sync
        conditional = state.generator.num_classes > 0

        def of_d(images, labels, step, index):
            real = RealBatch(images, labels if conditional else None)
            return discriminator_gradients(*common, real, drawing(step, index), replicas)

        def of_g(index):
            draw = drawing(config.num_d_steps, index)
            return generator_gradients(*common, draw, replicas)

        def finish(gradients):
            apply_generator(*common, gradients, replicas)
            self._end_iteration()

        self._update_d = _Update(
            of_d,
            lambda gradients: apply_discriminator(*common, gradients, replicas),
            state.discriminator.trainable_variables,
        )
        self._update_g = _Update(of_g, finish, state.generator.trainable_variables)

    def run(self, batch: RealBatchOf) -> tuple[tf.Tensor, tf.Tensor]:
        """One iteration; returns D's and G's metrics, [accumulation steps, metrics]."""
        config = self._config
        passes = config.d_accumulations
        of_d, of_g = self.no_metrics()

        def step_of_d(step, metrics):
            inputs = lambda index: (*batch(step, index), step, index)  # noqa: E731
            return self._updated(self._update_d, passes, inputs, metrics, step * passes)

        of_d = _repeat(config.num_d_steps, step_of_d, of_d)
        inputs = lambda index: (index,)  # noqa: E731
        return of_d, self._updated(self._update_g, config.g_accumulations, inputs, of_g, 0)

    def no_metrics(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Zeros of the shapes and dtypes of what `run` returns."""
        config, dtype = self._config, wide_dtype(self._state.discriminator)
        rows = config.num_d_steps * config.d_accumulations
        of_d = tf.zeros((rows, len(D_METRICS)), dtype)
        return of_d, tf.zeros((config.g_accumulations, len(G_METRICS)), dtype)

    def _updated(self, update, passes, inputs, metrics, row):
        """One update from the inputs of every accumulation step, whose means enter `metrics`."""
        if passes == 1:
            return self._entered(metrics, row, self._on_replicas(update.whole, *inputs(0)))

        def one_pass(index, carried):
            total, metrics = carried
            total, means = self._on_replicas(update.accumulate, total, *inputs(index))
            return total, self._entered(metrics, row + index, means)

        carried = (self._on_replicas(update.zeros), metrics)
        total, metrics = _repeat(passes, one_pass, carried)
        self._on_replicas(update.apply, total)
        return metrics

    def _on_replicas(self, function, *inputs):
        if self._jit_compile:
            function = tf.function(function, jit_compile=True, autograph=False)
        return self._strategy.run(function, args=inputs)

    def _entered(self, metrics, row, means):
        means = self._strategy.reduce(tf.distribute.ReduceOp.SUM, means, axis=None)
        return tf.tensor_scatter_nd_update(metrics, [[row]], means[None])

    def _end_iteration(self):
        state, config = self._state, self._config
        iteration = state.iteration + 1
        decay = ema_decay(iteration, config.ema_decay, config.ema_start)
        update_ema(state.average, state.generator, decay)
        state.iteration.assign(iteration)


def _named(metrics, config: StepConfig) -> dict[str, tf.Tensor]:
    of_d, of_g = metrics
    of_d = tf.reshape(of_d, (config.num_d_steps, config.d_accumulations, len(D_METRICS)))
    named = {name: of_d[..., i] for i, name in enumerate(D_METRICS)}
    return named | {name: of_g[:, i] for i, name in enumerate(G_METRICS)}


def _repeat(count: int | tf.Tensor, body: Callable, carried):
    """Runs `carried = body(index, carried)` for every index below `count`.

    In a graph this is one loop with one copy of the body, so that neither the start-up time nor the
    memory depends on `count`. A count that is known to be 1 needs no loop.

    Args:
      count: number of runs, a Python integer or an int32 scalar.
      body: takes the index (an int32 scalar, or the integer 0 without a loop) and `carried`, and
        returns a value of the structure, shapes and dtypes of `carried`.
      carried: tensors, or values of all replicas, in any structure.

    Returns:
      What the last run of `body` returned; `carried` if there was none.
    """
    if not tf.is_tensor(count) and count == 1:
        return body(0, carried)
    # With parallel iterations a second run would start, and take memory, before the first ends.
    _, carried = tf.while_loop(
        lambda index, _: index < count,
        lambda index, value: (index + 1, body(index, value)),
        (tf.constant(0), carried),
        parallel_iterations=1,
    )
    return carried
