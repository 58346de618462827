"""One iteration of training: discriminator updates, a generator update, the moving average.

    repeat num_d_steps times:
        repeat d_accumulations times: add the discriminator's gradients of one accumulation step
        update the discriminator
    repeat g_accumulations times: add the generator's gradients of one accumulation step
    update the generator, then its moving average

`updates.py` computes and applies the gradients in one replica. This module has the loops around it.
The loops run outside of the replicas, because several replicas cannot synchronise inside a loop of
a replica.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.train_settings import StepConfig
from tf_biggan.data.label_distribution import LabelDistribution
from tf_biggan.data.pipeline import part_of_replica
from tf_biggan.generation.latents import (
    FAKE_SEEDS,
    REAL_SEEDS,
    augmentation_seeds,
    class_labels,
    normal_latents,
)
from tf_biggan.networks.layers.linear import wide_dtype
from tf_biggan.training.state import TrainState, ema_decay, update_ema
from tf_biggan.training.updates import (
    RandomInputs,
    RealBatch,
    added,
    apply_discriminator,
    apply_generator,
    discriminator_gradients,
    discriminator_metrics,
    generator_gradients,
    generator_metrics,
)

# Maps (step, accumulation step) to the random inputs of one replica. The steps of the discriminator
# are 0 to num_d_steps - 1 and may be tensors. The generator's step is the Python integer
# num_d_steps.
InputSampler = Callable[[int | tf.Tensor, int | tf.Tensor], RandomInputs]
# Maps (step, accumulation step) of the discriminator to (images, labels) of all replicas.
RealBatchOf = Callable[[int | tf.Tensor, int | tf.Tensor], tuple]


def batch_plan(config: StepConfig, replicas: int) -> dict[str, int]:
    """Returns the batch sizes of one accumulation step on one replica: of D in "d", of G in "g".

    Raises:
      ValueError: A global batch is not a multiple of replicas times accumulation steps.
    """
    plan = {}
    for side, batch, accumulations in (
        ("d", config.global_batch_size, config.d_accumulations),
        ("g", config.g_batch_size or config.global_batch_size, config.g_accumulations),
    ):
        checks.require(
            batch % (replicas * accumulations) == 0,
            f"the global batch size of {side.upper()} must be a multiple of replicas times"
            f" accumulation steps ({replicas} x {accumulations} = {replicas * accumulations});"
            " change the batch size or the accumulation steps",
            global_batch=batch,
        )
        plan[side] = batch // (replicas * accumulations)
    return plan


def input_sampler(
    state: TrainState,
    config: StepConfig,
    seed: int,
    labels: LabelDistribution | None,
    replicas: int,
    hosts: int = 1,
) -> InputSampler:
    """Returns a function that samples the random inputs of every accumulation step.

    The inputs depend on the seed, the iteration, the step and the accumulation step, but not on the
    number of replicas: every replica samples the inputs of all replicas and keeps its own part. The
    seeds of a real image therefore do not depend on the replica and the host that have the image.

    Args:
      state: Gives the iteration and the size of the latent vectors.
      config: The settings of the training step.
      seed: The seed of the run.
      labels: Distribution of the labels; None if unconditional.
      replicas: Number of replicas, each of which calls the returned function.
      hosts: Number of hosts of these replicas.
    """
    sizes = batch_plan(config, replicas)
    accumulations = max(config.d_accumulations, config.g_accumulations)

    if labels is not None and labels.weights is not None:
        weights = tf.constant(labels.weights)

    def own_part(values):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return part_of_replica(values, replica, replicas, hosts)

    def sample(step, index):
        # If the value of `step` is unknown while the graph is built, it is a discriminator step.
        side = "g" if tf.get_static_value(step) == config.num_d_steps else "d"
        count = sizes[side] * replicas
        step, index = (tf.cast(number, tf.int64) for number in (step, index))
        draw = (state.iteration * (config.num_d_steps + 1) + step) * accumulations + index
        z = own_part(normal_latents(seed, draw, count, state.generator.latent_dim))
        y = None
        if labels is not None:
            y = own_part(class_labels(seed, draw, count, labels.probabilities))
            y = y if labels.weights is None else tf.gather(weights, y)
        if not config.needs_image_seeds:
            return RandomInputs(z, y)
        seeds = (augmentation_seeds(seed, draw, count, s) for s in (FAKE_SEEDS, REAL_SEEDS))
        return RandomInputs(z, y, *map(own_part, seeds))

    return sample


def compile_iterations(
    strategy: tf.distribute.Strategy,
    state: TrainState,
    config: StepConfig,
    sample_inputs: InputSampler,
    jit_compile: bool = False,
) -> Callable:
    """Returns a function that runs iterations in a graph, without returning to Python.

    Args:
      strategy: The strategy whose replicas run the updates.
      state: The state, updated in place.
      config: The settings of the training step.
      sample_inputs: Samples latent vectors and labels; see `input_sampler`.
      jit_compile: Whether every update (or every accumulation step, if an update has several) is
        compiled with XLA.

    Returns:
      A function of an iterator and a number of iterations (a tensor). The iterator yields (images,
      labels) of one accumulation step. The function returns the metrics of the last iteration by
      name. The discriminator's metrics have the shape [num_d_steps, d_accumulations], and the
      generator's metrics [g_accumulations].
    """
    iteration = _Iteration(strategy, state, config, sample_inputs, jit_compile)

    @tf.function(autograph=False)
    def run(iterator, count):
        # The iterator yields one batch per accumulation step. u changes from one accumulation step
        # to the next, so results depend on which images share a step. The iterator must therefore
        # group images in the same way for any number of replicas.
        def one(_, metrics):
            return iteration.run(lambda step, index: iterator.get_next())

        return _by_name(_repeat(count, one, iteration.zero_metrics()), config)

    return run


def replica_iteration(
    state: TrainState,
    config: StepConfig,
    reals: Sequence[Sequence[RealBatch]],
    sample_inputs: InputSampler,
) -> dict[str, tf.Tensor]:
    """Runs one iteration on a single replica, on real images that the caller gives.

    Args:
      state: The state, updated in place.
      config: The settings of the training step.
      reals: The real batch of every accumulation step of every discriminator step. All batches have
        the same shape.
      sample_inputs: Samples latent vectors and labels; see `input_sampler`.

    Returns:
      The metrics by name; see `compile_iterations`.
    """
    images = tf.stack([[real.images for real in step] for step in reals])
    labels = [[real.labels for real in step] for step in reals]
    labels = None if labels[0][0] is None else tf.stack(labels)

    def batch(step, index):
        return images[step, index], None if labels is None else labels[step, index]

    iteration = _Iteration(tf.distribute.get_strategy(), state, config, sample_inputs)
    return _by_name(iteration.run(batch), config)


@dataclasses.dataclass(frozen=True)
class _Update:
    """The functions of one network's update. Each of them runs in a replica.

    Attributes:
      gradients: Maps the inputs of one accumulation step to (gradients, metrics).
      apply: Updates the network with the sum of the gradients of all accumulation steps.
      variables: The variables that are updated.
    """

    gradients: Callable
    apply: Callable
    variables: Sequence

    def zeros(self):
        return [tf.zeros_like(variable.value) for variable in self.variables]

    def accumulate(self, total, *inputs):
        gradients, metrics = self.gradients(*inputs)
        return added(total, gradients), metrics

    def at_once(self, *inputs):
        gradients, metrics = self.gradients(*inputs)
        self.apply(gradients)
        return metrics

    def apply_total(self, total):
        # Tensors that a loop returns have no device, but reductions across hosts need a device.
        self.apply([tf.identity(part) for part in total])


class _Iteration:
    """The loops of an iteration, outside of the replicas; arguments as for `compile_iterations`."""

    def __init__(self, strategy, state, config, sample_inputs, jit_compile=False):
        self._strategy, self._state, self._config = strategy, state, config
        self._jit_compile = jit_compile
        common = (state, config)
        replicas = strategy.num_replicas_in_sync
        conditional = state.generator.num_classes > 0

        def d_gradients(images, labels, step, index):
            real = RealBatch(images, labels if conditional else None)
            return discriminator_gradients(*common, real, sample_inputs(step, index), replicas)

        def apply_d(gradients):
            apply_discriminator(*common, gradients, replicas)

        def g_gradients(index):
            inputs = sample_inputs(config.num_d_steps, index)
            return generator_gradients(*common, inputs, replicas)

        def apply_g(gradients):
            apply_generator(*common, gradients, replicas)
            self._end_iteration()

        d_variables = state.discriminator.trainable_variables
        self._update_d = _Update(d_gradients, apply_d, d_variables)
        self._update_g = _Update(g_gradients, apply_g, state.generator.trainable_variables)

    def run(self, batch: RealBatchOf) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs one iteration; returns the metrics of D and of G, [accumulation steps, metrics]."""
        config = self._config
        d_metrics, g_metrics = self.zero_metrics()

        def d_step(step, metrics):
            def inputs(index):
                return (*batch(step, index), step, index)

            first_row = step * config.d_accumulations
            return self._run_update(
                self._update_d, config.d_accumulations, inputs, metrics, first_row
            )

        def g_inputs(index):
            return (index,)

        d_metrics = _repeat(config.num_d_steps, d_step, d_metrics)
        g_metrics = self._run_update(self._update_g, config.g_accumulations, g_inputs, g_metrics, 0)
        return d_metrics, g_metrics

    def zero_metrics(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns zeros with the shapes and dtypes of the result of `run`."""
        config, dtype = self._config, wide_dtype(self._state.discriminator)
        rows = config.num_d_steps * config.d_accumulations
        d_metrics = tf.zeros((rows, len(discriminator_metrics(config))), dtype)
        g_shape = config.g_accumulations, len(generator_metrics(config))
        return d_metrics, tf.zeros(g_shape, dtype)

    def _run_update(self, update, accumulations, inputs, metrics, first_row):
        """Runs one update; returns `metrics` with the row of each accumulation step filled in."""
        if accumulations == 1:
            values = self._on_replicas(update.at_once, *inputs(0))
            return self._with_row(metrics, first_row, values)

        def accumulate(index, carried):
            total, metrics = carried
            total, values = self._on_replicas(update.accumulate, total, *inputs(index))
            return total, self._with_row(metrics, first_row + index, values)

        carried = (self._on_replicas(update.zeros), metrics)
        total, metrics = _repeat(accumulations, accumulate, carried)
        self._on_replicas(update.apply_total, total)
        return metrics

    def _on_replicas(self, function, *inputs):
        if self._jit_compile:
            function = tf.function(function, jit_compile=True, autograph=False)
        return self._strategy.run(function, args=inputs)

    def _with_row(self, metrics, row, values):
        values = self._strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
        return tf.tensor_scatter_nd_update(metrics, [[row]], values[None])

    def _end_iteration(self):
        state, config = self._state, self._config
        iteration = state.iteration + 1
        decay = ema_decay(iteration, config.ema_decay, config.ema_start)
        update_ema(state.average, state.generator, decay)
        state.iteration.assign(iteration)


def _by_name(metrics, config: StepConfig) -> dict[str, tf.Tensor]:
    d_metrics, g_metrics = metrics
    names = discriminator_metrics(config)
    d_metrics = tf.reshape(d_metrics, (config.num_d_steps, config.d_accumulations, len(names)))
    named = {name: d_metrics[..., i] for i, name in enumerate(names)}
    return named | {name: g_metrics[:, i] for i, name in enumerate(generator_metrics(config))}


def _repeat(count: int | tf.Tensor, body: Callable, carried):
    """Runs `carried = body(index, carried)` for every index below `count`; returns `carried`.

    In a graph this is one loop with one copy of the body. The size of the graph, the time to build
    it and the memory therefore do not depend on `count`.

    Args:
      count: Number of runs, a Python integer or an int32 scalar.
      body: Takes the index (an int32 scalar, or 0 if there is no loop) and `carried`. It returns a
        value with the structure, shapes and dtypes of `carried`.
      carried: Tensors or values of all replicas, in any structure.
    """
    if not tf.is_tensor(count) and count == 1:
        return body(0, carried)
    # With parallel iterations, the next run of the body would start before the last run ends, which
    # takes memory.
    _, carried = tf.while_loop(
        lambda index, _: index < count,
        lambda index, value: (index + 1, body(index, value)),
        (tf.constant(0), carried),
        parallel_iterations=1,
    )
    return carried
