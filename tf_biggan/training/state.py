"""The state of a run: networks, optimisers, iteration and moving averages.

The generator's moving average covers every variable, including batch-norm statistics and the
vectors u of spectral norm. With LeCam regularisation, the state also holds moving averages of the
discriminator's logits. If the settings limit the ratio of the first to the second singular value of
the generator's kernels (paper, section 4.1), the state also holds second singular vectors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import ops

from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.layers.batch_norm import mean_over_replicas
from tf_biggan.networks.layers.linear import wide_dtype
from tf_biggan.networks.layers.spectral_norm import SpectralNorm, normalized_layers
from tf_biggan.training.losses import clamp_first_singular_value, second_singular_value

# Averages of the logits of real and of generated images.
LogitAverages = tuple[tf.Variable, tf.Variable]


def ema_decay(iteration, decay: float, start: int):
    """Returns the decay of the moving average: 0 before iteration `start`, then `decay`.

    With a decay of 0, the average is a copy. For the generator's average, iterations are counted
    from 1, as in the training of BigGAN-PyTorch.

    Source: BigGAN-PyTorch, utils.py `ema.update`.
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
      second_vectors: Estimates of second singular vectors, one for each normalised kernel of the
        generator that has several rows and columns. Empty unless the first singular values are
        limited relative to the second ones.
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


def logit_averages(dtype: str) -> LogitAverages:
    """Returns two variables with the value 0, for the averages of real and of generated logits.

    Call this function in the scope of the strategy.
    """
    real, fake = (
        tf.Variable(
            0.0,
            dtype=dtype,
            trainable=False,
            name=f"average_logit_{kind}",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        for kind in ("real", "fake")
    )
    return real, fake


def update_logit_averages(
    averages: LogitAverages, real_logits: tf.Tensor, fake_logits: tf.Tensor, decay
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sets each average to decay * average + (1 - decay) * mean of the logits of all replicas.

    Args:
      averages: The result of `logit_averages`.
      real_logits, fake_logits: Logits of this replica, [N] each.
      decay: Scalar from 0 to 1.

    Returns:
      The new averages of (real, fake) logits. No gradient flows through them.
    """
    moved = []
    for average, logits in zip(averages, (real_logits, fake_logits), strict=True):
        mean = mean_over_replicas(tf.reduce_mean(tf.stop_gradient(logits)))
        weight = tf.cast(decay, average.dtype)
        moved.append(weight * average + (1 - weight) * mean)
        average.assign(moved[-1])
    return tuple(moved)


def clamp_to(generator: keras.Model, sigma_clamp: float) -> None:
    """Lowers the first singular value of every normalised kernel to at most `sigma_clamp`."""
    for layer in normalized_layers(generator):
        _clamp(layer, sigma_clamp)


def clamp_to_second(
    generator: keras.Model, ratio: float, second_vectors: Sequence[tf.Variable]
) -> None:
    """Lowers the first singular value of every kernel to at most `ratio` times the second one.

    Kernels with one row or column have no second singular value and stay as they are.

    Args:
      generator: The generator, whose kernels are updated in place.
      ratio: Largest allowed ratio of the first to the second singular value.
      second_vectors: Estimates of the second singular vectors, from the function `second_vectors`.
        Each vector is updated by one step of power iteration.
    """
    for layer, u_second in zip(_with_second(generator), second_vectors, strict=True):
        sigma, moved = second_singular_value(
            layer.kernel_matrix(), layer.u, u_second, layer.epsilon
        )
        u_second.assign(moved)
        _clamp(layer, ratio * sigma)


def second_vectors(generator: keras.Model) -> tuple[tf.Variable, ...]:
    """Returns initial estimates of the second singular vector of every kernel that has one."""
    return tuple(
        tf.Variable(
            tf.random.stateless_normal(layer.u.shape, (0, index), dtype=layer.u.dtype),
            trainable=False,
            name=f"second_vector_{index}",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        for index, layer in enumerate(_with_second(generator))
    )


def _with_second(generator) -> list[SpectralNorm]:
    # A kernel with one row or column has no second singular value. The estimate of that value would
    # be 0, and the clamp would erase the kernel.
    layers = normalized_layers(generator)
    return [layer for layer in layers if min(layer.kernel_matrix().shape) > 1]


def _clamp(layer, sigma_clamp):
    clamped = clamp_first_singular_value(layer.kernel_matrix(), layer.u, sigma_clamp, layer.epsilon)
    layer.kernel.assign(tf.reshape(clamped, layer.kernel.shape))
