"""The state of a run: networks, optimisers, iteration and the generator's moving average.

The moving average covers every variable, including batch-norm statistics and the vectors u.
"""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.layers.linear import wide_dtype
from tf_biggan.training.lecam import logit_averages
from tf_biggan.training.sigma_clamp import second_vectors


def ema_decay(iteration, decay: float, start: int):
    """Returns the decay of the moving average: 0 before iteration `start`, then `decay`.

    With a decay of 0 the average is a copy. For the generator's average, iterations are counted
    from 1.

    Source: BigGAN-PyTorch, utils.py `ema.update`, which counts the same way in training.
    """
    return ops.where(ops.cast(iteration, "int64") < start, 0.0, decay)


def update_ema(average: keras.Model, source: keras.Model, decay) -> None:
    """Sets every variable of `average` to decay * average + (1 - decay) * source.

    Args:
      average: The moving average, updated in place.
      source: The network in training, with the same variables.
      decay: Scalar from 0 (copy) to 1; see `ema_decay`.
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
    """The state of a run. It must be created inside the scope of the run's strategy.

    Attributes:
      generator, discriminator: The networks in training.
      average: The moving average of the generator.
      g_optimizer, d_optimizer: The optimisers, built on the networks' variables.
      iteration: Number of completed iterations, int64.
      second_vectors: Estimates of the second singular vector of every normalised kernel of the
        generator; empty unless the clamp is relative to the second singular value.
      logit_averages: Moving averages of the discriminator's logits of real and of generated images;
        empty without LeCam regularisation.
    """

    generator: Generator
    discriminator: Discriminator
    average: Generator
    g_optimizer: keras.optimizers.Optimizer
    d_optimizer: keras.optimizers.Optimizer
    iteration: tf.Variable
    second_vectors: tuple[tf.Variable, ...] = ()
    logit_averages: tuple[tf.Variable, ...] = ()

    @classmethod
    def create(
        cls,
        generator: Generator,
        discriminator: Discriminator,
        g_optimizer: keras.optimizers.Optimizer,
        d_optimizer: keras.optimizers.Optimizer,
        follow_second: bool = False,
        average_logits: bool = False,
    ) -> TrainState:
        """Returns the state at iteration 0, whose moving average is a copy of the generator.

        Args:
          generator, discriminator: New networks.
          g_optimizer, d_optimizer: New optimisers, which are built here.
          follow_second: Whether to estimate the second singular vectors of the generator's kernels.
          average_logits: Whether to keep moving averages of the logits, for LeCam regularisation.
        """
        # The initial values are overwritten at once, and "n02" is the fastest to sample.
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
        averages = logit_averages(wide_dtype(discriminator)) if average_logits else ()
        return cls(*networks, iteration, seconds, averages)

    def trackables(self) -> dict:
        """Returns the parts that a checkpoint holds, by name."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        # A checkpoint cannot hold an empty tuple.
        return {name: part for name, part in parts.items() if not isinstance(part, tuple) or part}
