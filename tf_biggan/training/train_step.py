"""One iteration of training as one graph: D updates, the G update, the moving average."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.config import StepConfig
from tf_biggan.layers.precision import wide_dtype
from tf_biggan.sampling import class_labels, normal_latents
from tf_biggan.training.ema import ema_decay, update_ema
from tf_biggan.training.state import TrainState
from tf_biggan.training.updates import (
    D_METRICS,
    G_METRICS,
    Draw,
    Reals,
    update_discriminator,
    update_generator,
)

# (step within the iteration, pass within the step) to the draw of that pass; the generator's step
# is number num_d_steps.
Drawing = Callable[[int, int], Draw]


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
    reals: tuple[tuple[Reals, ...], ...],
    drawing: Drawing,
    replicas: int = 1,
) -> dict[str, tf.Tensor]:
    """One iteration on one replica; the iteration count is moved last.

    Args:
      state: moved in place.
      reals: this replica's real images of every pass of every D step.
      drawing: gives the latents and labels of every pass.
      replicas: number that run this at once.

    Returns:
      Shares of sums over replicas: D's metrics [num_d_steps, d_accumulations], G's
      [g_accumulations]; see `updates`.
    """
    steps = []
    for step, passes in enumerate(reals):
        draws = [drawing(step, i) for i in range(config.d_accumulations)]
        steps.append(update_discriminator(state, config, passes, draws, replicas))
    metrics = {key: tf.stack([step[key] for step in steps]) for key in steps[0]}
    draws = [drawing(config.num_d_steps, i) for i in range(config.g_accumulations)]
    metrics |= update_generator(state, config, draws, replicas)
    iteration = state.iteration + 1
    decay = ema_decay(iteration, config.ema_decay, config.ema_start)
    update_ema(state.average, state.generator, decay)
    state.iteration.assign(iteration)
    return metrics


def stateless_drawing(
    state: TrainState,
    config: StepConfig,
    seed: int,
    probabilities: np.ndarray | None,
    replicas: int,
) -> Drawing:
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
        side = "g" if step == config.num_d_steps else "d"
        count = sizes[side] * replicas
        draw = (state.iteration * (config.num_d_steps + 1) + step) * passes + index
        z = own(normal_latents(seed, draw, count, state.generator.latent_dim))
        if probabilities is None:
            return Draw(z, None)
        return Draw(z, own(class_labels(seed, draw, count, probabilities)))

    return drawing


def compile_iterations(
    strategy: tf.distribute.Strategy,
    state: TrainState,
    config: StepConfig,
    drawing: Drawing,
    jit_compile: bool = False,
) -> Callable:
    """A graph that runs iterations without returning to Python.

    Args:
      strategy: whose replicas run `replica_iteration`.
      drawing: see `replica_iteration`.
      jit_compile: whether a replica's iteration is compiled with XLA.

    Returns:
      A function of (iterator of (images, labels) of one pass, number of iterations, a tensor) to
      the metrics of the last iteration, summed over replicas.
    """
    replicas = strategy.num_replicas_in_sync
    conditional = state.generator.num_classes > 0

    def on_replica(batches):
        reals = tuple(
            tuple(Reals(x, y if conditional else None) for x, y in passes) for passes in batches
        )
        return replica_iteration(state, config, reals, drawing, replicas)

    if jit_compile:
        on_replica = tf.function(on_replica, jit_compile=True)

    def one(iterator):
        metrics = strategy.run(on_replica, args=(_batches(iterator, config),))
        return {
            key: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for key, value in metrics.items()
        }

    @tf.function
    def run(iterator, count):
        # An iteration takes long to trace and to optimise: the loop's body is the only one.
        metrics = _no_metrics(state, config)
        for _ in tf.range(count):
            metrics = one(iterator)
        return metrics

    return run


def _batches(iterator, config: StepConfig):
    """Real images of every pass of every D step.

    One draw a pass: sigma moves from pass to pass, so which images share a pass matters, and the
    images of one draw are the same for any number of replicas.
    """
    return tuple(
        tuple(next(iterator) for _ in range(config.d_accumulations))
        for _ in range(config.num_d_steps)
    )


def _no_metrics(state: TrainState, config: StepConfig) -> dict[str, tf.Tensor]:
    """Zeros of the shapes of what `replica_iteration` returns."""
    dtype = wide_dtype(state.discriminator)
    of_d = tf.zeros((config.num_d_steps, config.d_accumulations), dtype)
    of_g = tf.zeros((config.g_accumulations,), dtype)
    return dict.fromkeys(D_METRICS, of_d) | dict.fromkeys(G_METRICS, of_g)
