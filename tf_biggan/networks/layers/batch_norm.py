"""Batch normalisation over all replicas, with a table of running statistics for T truncations.

Row i of the table holds the statistics for truncation i / (T - 1), so the last row is for
truncation 1. DeepMind's BigGAN-deep modules have 51 rows. A network in training has one row.
"""

from __future__ import annotations

import functools

import keras
from keras import ops

from tf_biggan import checks
from tf_biggan.networks.layers.linear import wide_dtype

DEFAULT_BN_EPSILON = 1e-5
DEFAULT_BN_MOMENTUM = 0.9
ROW_TOLERANCE = 1e-6


def table_position(truncation, num_statistics: int):
    """Returns the position of a truncation in a table of statistics.

    Args:
      truncation: Scalar or [N], in (0, 1]. Values outside [0, 1] are clipped.
      num_statistics: Number of rows of the table, at least 2.

    Returns:
      (lower, fraction), each with the shape of `truncation`. The statistics are
      (1 - fraction) * row[lower] + fraction * row[lower + 1]. For a truncation that belongs to a
      row (up to rounding), the fraction is exactly 0 or 1.
    """
    last = num_statistics - 1
    place = ops.clip(ops.cast(truncation, "float32") * last, 0.0, float(last))
    nearest = ops.round(place)
    place = ops.where(ops.abs(place - nearest) < ROW_TOLERANCE * num_statistics, nearest, place)
    lower = ops.minimum(ops.floor(place), last - 1)
    return ops.cast(lower, "int32"), place - lower


class BatchNormCore(keras.Layer):
    """Base class of the batch norms: moments, running statistics and the normalisation.

    Subclasses provide gain and offset. The normalised value is (x - mean) / sqrt(variance +
    epsilon). In training, mean and (biased) variance are taken over the batch of a forward pass, on
    all replicas if `synchronized`. They are computed in float32 or float64: first the mean, then
    the mean of (x - mean)^2. The running statistics then become momentum * running +
    (1 - momentum) * batch. In inference, mean and variance come from the table of running
    statistics.

    Args:
      epsilon: Number that is added to the variance.
      momentum: Weight of the old running value (0.9 is PyTorch's momentum 0.1).
      synchronized: Whether the moments are taken over the batches of all replicas.
      num_statistics: Number of rows T of the table.
    """

    def __init__(
        self,
        epsilon=DEFAULT_BN_EPSILON,
        momentum=DEFAULT_BN_MOMENTUM,
        synchronized=True,
        num_statistics=1,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        checks.require_integer("num_statistics", num_statistics, 1)
        self.epsilon = epsilon
        self.momentum = momentum
        self.synchronized = synchronized
        self.num_statistics = num_statistics

    def add_statistics(self, channels):
        """Creates the tables `moving_mean` and `moving_variance` [T, channels]."""
        settings = dict(
            shape=(self.num_statistics, channels),
            dtype=wide_dtype(self),
            trainable=False,
            autocast=False,
            aggregation="mean",
        )
        self.moving_mean = self.add_weight(name="moving_mean", initializer="zeros", **settings)
        self.moving_variance = self.add_weight(
            name="moving_variance", initializer="ones", **settings
        )

    def normalize(self, x, gain, offset, position, training):
        """Returns gain * (normalised x) + offset; gain and offset are [C] or [N, C].

        In training, this updates the running statistics. In inference, `position` (the result of
        `table_position`) selects the statistics in the table. None selects the statistics of
        truncation 1.
        """
        x = ops.cast(x, wide_dtype(self))
        gain, offset = ops.cast(gain, x.dtype), ops.cast(offset, x.dtype)
        if training:
            y, mean, variance = self._normalize_batch(x, gain, offset)
            self._update_statistics(mean, variance)
        else:
            mean, variance = self._stored_moments(position)
            y = _scaled(x, gain, offset, mean, ops.rsqrt(variance + self.epsilon))
        return ops.cast(y, self.compute_dtype)

    def _normalize_batch(self, x, gain, offset):
        """Returns (gain * normalised x + offset, mean, variance), with the moments of the batch."""
        mean = self._over_global_batch(_over_map(x))
        variance = self._over_global_batch(_over_map(ops.square(x - mean)))
        inverse = ops.rsqrt(variance + self.epsilon)

        def function(x, gain, offset):
            y = _scaled(x, gain, offset, mean, inverse)
            return y, functools.partial(self._gradients, x, gain, mean, inverse)

        if keras.backend.backend() == "tensorflow":
            return ops.custom_gradient(function)(x, gain, offset), mean, variance
        return function(x, gain, offset)[0], mean, variance

    def _gradients(self, x, gain, mean, inverse, upstream):
        """Returns the gradients of the loss with respect to x, gain and offset.

        Sums over the pixels of a map are computed as `_over_map` times the number of pixels.
        """
        pixels = x.shape[1] * x.shape[2]
        of_offset = _over_map(upstream)
        of_gain = _over_map(upstream * (x - mean)) * inverse
        common = self._over_global_batch(gain * of_offset)
        slope = inverse * self._over_global_batch(gain * of_gain)
        shift = mean * slope - common
        of_x = upstream * _as_factor(gain * inverse)
        of_x = of_x - (x * (inverse * slope) - inverse * shift)
        if len(gain.shape) == 1:
            of_gain, of_offset = ops.sum(of_gain, axis=0), ops.sum(of_offset, axis=0)
        return of_x, pixels * of_gain, pixels * of_offset

    def _over_global_batch(self, means):
        """Returns the mean of [N, C] over the examples of all replicas: [C]."""
        mean = ops.mean(means, axis=0)
        return mean_over_replicas(mean) if self.synchronized else mean

    def _update_statistics(self, mean, variance):
        checks.require(
            self.num_statistics == 1,
            "a batch norm in training needs `num_statistics` 1; build the network with that"
            " value to train it",
            num_statistics=self.num_statistics,
        )
        for table, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            row = ops.reshape(batch, table.shape)
            table.assign(self.momentum * table + (1.0 - self.momentum) * row)

    def _stored_moments(self, position):
        tables = (
            ops.convert_to_tensor(self.moving_mean),
            ops.convert_to_tensor(self.moving_variance),
        )
        if self.num_statistics == 1 or position is None:
            return tuple(table[-1] for table in tables)
        lower, fraction = position
        fraction = ops.cast(fraction, wide_dtype(self))[..., None]
        return tuple(
            (1.0 - fraction) * ops.take(table, lower, axis=0)
            + fraction * ops.take(table, lower + 1, axis=0)
            for table in tables
        )

    def get_config(self):
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
            "num_statistics": self.num_statistics,
        }

    def compute_output_shape(self, x_shape, condition_shape=None):
        return x_shape


@keras.saving.register_keras_serializable(package="tf_biggan")
class BatchNorm(BatchNormCore):
    """Batch norm of [N, H, W, C] with a learnt gain (initially 1) and offset (initially 0).

    A condition is accepted and ignored, so that this layer can replace a conditional batch norm.
    """

    def build(self, x_shape, condition_shape=None):
        channels = x_shape[-1]
        self.add_statistics(channels)
        settings = dict(shape=(channels,), dtype=wide_dtype(self), autocast=False)
        self.gain = self.add_weight(name="gain", initializer="ones", **settings)
        self.offset = self.add_weight(name="offset", initializer="zeros", **settings)

    def call(self, x, condition=None, position=None, training=False):
        return self.normalize(x, self.gain, self.offset, position, training)


@keras.saving.register_keras_serializable(package="tf_biggan")
class ConditionalBatchNorm(BatchNormCore):
    """Batch norm of [N, H, W, C] whose gain and offset are computed from a condition.

    The gain is 1 + gain(condition), and the offset is offset(condition).

    Source: BigGAN-PyTorch, layers.py `ccbn`. In compare_gan the gain has no "1 +".

    Args:
      gain: A layer that maps the condition to [N, C]: a dense layer without bias if conditions are
        vectors, or an `Embedding` with a row for each class if conditions are labels.
      offset: A second layer of the same kind.
      **kwargs: Arguments of `BatchNormCore` and of `keras.Layer`.
    """

    def __init__(self, gain, offset, **kwargs):
        super().__init__(**kwargs)
        self.gain = gain
        self.offset = offset

    def build(self, x_shape, condition_shape=None):
        self.add_statistics(x_shape[-1])
        for part in (self.gain, self.offset):
            # Keras has already built a layer that it deserialised.
            if not part.built:
                part.build(condition_shape)

    def call(self, x, condition, position=None, training=False):
        gain = 1.0 + ops.cast(self.gain(condition, training=training), wide_dtype(self))
        offset = self.offset(condition, training=training)
        return self.normalize(x, gain, offset, position, training)

    def get_config(self):
        parts = {name: getattr(self, name) for name in ("gain", "offset")}
        serialized = {
            name: keras.saving.serialize_keras_object(layer) for name, layer in parts.items()
        }
        return {**super().get_config(), **serialized}

    @classmethod
    def from_config(cls, config):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name]) for name in ("gain", "offset")
        }
        return cls(**{**config, **parts})


def _scaled(x, gain, offset, mean, inverse):
    scale = gain * inverse
    return x * _as_factor(scale) + _as_factor(offset - mean * scale)


def _over_map(x):
    """Returns the means [N, C] of [N, H, W, C] over pixels.

    Two means over one axis each are as fast as one mean over both axes, and ten times closer to the
    exact result, because TensorFlow adds up rows one after another.
    """
    return ops.mean(ops.mean(x, axis=2), axis=1)


def _as_factor(values):
    """Reshapes [C], [1, C] or [N, C] so that it can multiply [N, H, W, C]."""
    if len(values.shape) == 1:
        return values
    return ops.reshape(values, (-1, 1, 1, values.shape[-1]))


def mean_over_replicas(value):
    """Returns the mean of `value` over all replicas, whose batches must have the same size.

    Gradients flow through the mean. `value` is returned unchanged outside a strategy, on a single
    replica, and with another Keras backend than TensorFlow. This is the only function of the layers
    that uses `tf.distribute`.

    Keras's own synchronised moments compute the variance as E[x^2] - E[x]^2, which is inexact if
    the mean is large. Here, the mean over replicas is computed twice: of x, then of (x - mean)^2.
    """
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value) / context.num_replicas_in_sync
