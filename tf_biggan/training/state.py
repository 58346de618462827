"""The exponential moving average of a generator: every variable, statistics and u included."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.training.sigma_clamp import second_vectors


def ema_decay(iteration, decay: float, start: int):
    """0 before iteration `start` (counted from 1), so that the average is a copy; then `decay`.

    Source: BigGAN-PyTorch, utils.py `ema.update`, which counts the same way in training.
    """
    return ops.where(ops.cast(iteration, "int64") < start, 0.0, decay)


def update_ema(average: keras.Model, source: keras.Model, decay) -> None:
    """average = decay * average + (1 - decay) * source, for every variable of two equal models.

    Args:
      average: the model that is moved.
      source: the model in training.
      decay: scalar from 0 (copy) to 1, as `ema_decay` gives it.
    """
    weights = {}
    for target, value in zip(average.variables, source.variables, strict=True):
        if target.dtype not in weights:
            weight = ops.cast(decay, target.dtype)
            weights[target.dtype] = (weight, 1 - weight)
        old, new = weights[target.dtype]
        target.assign(old * target + new * ops.convert_to_tensor(value))


@dataclasses.dataclass(frozen=True)
class TrainState:
    """The state of a run; made inside the scope of its strategy.

    Attributes:
      generator, discriminator: the networks in training.
      average: the moving average of the generator, every variable of it.
      g_optimizer, d_optimizer: built, one for each network.
      iteration: completed iterations, int64.
      second_vectors: estimates of the second singular vector of every normalised kernel of G, where
        the clamp is relative to the second singular value; else ().
    """

    generator: Generator
    discriminator: Discriminator
    average: Generator
    g_optimizer: keras.optimizers.Optimizer
    d_optimizer: keras.optimizers.Optimizer
    iteration: tf.Variable
    second_vectors: tuple[tf.Variable, ...] = ()

    @classmethod
    def create(
        cls,
        generator: Generator,
        discriminator: Discriminator,
        g_optimizer: keras.optimizers.Optimizer,
        d_optimizer: keras.optimizers.Optimizer,
        follow_second: bool = False,
    ) -> TrainState:
        """The state at iteration 0, its moving average a copy of the generator.

        Args:
          follow_second: whether G's second singular vectors are followed.
        """
        # The initial values are overwritten at once; "n02" is the cheapest to draw.
        config = {**generator.get_config(), "initializer": "n02", "name": "average"}
        average = Generator.from_config(config)
        for target, source in zip(average.variables, generator.variables, strict=True):
            target.assign(source)
        g_optimizer.build(generator.trainable_variables)
        d_optimizer.build(discriminator.trainable_variables)
        iteration = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name="iteration",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        networks = (generator, discriminator, average, g_optimizer, d_optimizer)
        seconds = second_vectors(generator) if follow_second else ()
        return cls(*networks, iteration, seconds)

    def trackables(self) -> dict:
        """What a checkpoint holds, by name."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        # A checkpoint takes no empty tuple.
        return {name: part for name, part in parts.items() if not isinstance(part, tuple) or part}
