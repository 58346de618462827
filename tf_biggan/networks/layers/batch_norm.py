"""Batch normalisation with cross-replica moments and a table of statistics over truncation.

The table has T rows. Row T - 1 belongs to truncation 1, row i to truncation i / (T - 1); DeepMind's
BigGAN-deep modules have 51. A network in training has one row.
"""

from __future__ import annotations

import functools

import keras
from keras import ops

from tf_biggan import checks
from tf_biggan.networks.layers.precision import wide_dtype

DEFAULT_BN_EPSILON = 1e-5
DEFAULT_BN_MOMENTUM = 0.9
ROW_TOLERANCE = 1e-6


def table_position(truncation, num_statistics: int):
    """Where a truncation lies in a table of statistics.

    Args:
      truncation: scalar or [N], in (0, 1]; values beyond the table take its nearest end.
      num_statistics: rows of the table, at least 2.

    Returns:
      (lower, fraction) of the shape of `truncation`: the statistics are
      (1 - fraction) * row[lower] + fraction * row[lower + 1]. On the grid, up to rounding, the
      fraction is exactly 0 or 1.
    """
    last = num_statistics - 1
    place = ops.clip(ops.cast(truncation, "float32") * last, 0.0, float(last))
    nearest = ops.round(place)
    place = ops.where(ops.abs(place - nearest) < ROW_TOLERANCE * num_statistics, nearest, place)
    lower = ops.minimum(ops.floor(place), last - 1)
    return ops.cast(lower, "int32"), place - lower


class BatchNormCore(keras.Layer):
    """Moments, their running table and the normalisation; subclasses give gain and offset.

    In training: (x - mean) / sqrt(variance + epsilon) with the moments of the global batch, biased
    variance, taken in two passes in float32 or wider; running = momentum * running +
    (1 - momentum) * batch. Else the moments come from the table.

    Args:
      epsilon: added to the variance.
      momentum: weight of the old running value (0.9 is PyTorch's momentum 0.1).
      synchronized: whether the moments are those of all replicas' batches together.
      num_statistics: rows T of the table.
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
        """x normalised, times gain, plus offset, each [C] or [N, C]; in the compute dtype."""
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
        """(x normalised with its own moments and scaled, mean, variance)."""

        def function(x, gain, offset):
            mean = self._over_global_batch(_over_map(x))
            variance = self._over_global_batch(_over_map(ops.square(x - mean)))
            inverse = ops.rsqrt(variance + self.epsilon)
            y = _scaled(x, gain, offset, mean, inverse)
            gradient = functools.partial(self._gradients, x, gain, mean, inverse)
            return (y, mean, variance), gradient

        if keras.backend.backend() == "tensorflow":
            return ops.custom_gradient(function)(x, gain, offset)
        return function(x, gain, offset)[0]

    def _gradients(self, x, gain, mean, inverse, upstream, *_):
        """Those of x, gain and offset: two means over maps, then one sum of three terms.

        The moments are returned for the running statistics only, and have no gradient.
        """
        positions = x.shape[1] * x.shape[2]
        of_offset = _over_map(upstream)
        of_gain = _over_map(upstream * (x - mean)) * inverse
        common = self._over_global_batch(gain * of_offset)
        slope = inverse * self._over_global_batch(gain * of_gain)
        shift = mean * slope - common
        of_x = upstream * _over_positions(gain * inverse)
        of_x = of_x - (x * (inverse * slope) - inverse * shift)
        if len(gain.shape) == 1:
            of_gain, of_offset = ops.sum(of_gain, axis=0), ops.sum(of_offset, axis=0)
        return of_x, positions * of_gain, positions * of_offset

    def _over_global_batch(self, means):
        """The mean of [N, C] over the examples of all replicas."""
        mean = ops.mean(means, axis=0)
        return mean_over_replicas(mean) if self.synchronized else mean

    def _update_statistics(self, mean, variance):
        checks.require(
            self.num_statistics == 1,
            "training needs a table of one row",
            num_statistics=self.num_statistics,
        )
        for table, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            table.assign(self.momentum * table + (1.0 - self.momentum) * batch[None])

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
    """Batch norm with a learnt gain (1 at first) and offset (0): [N, H, W, C] to the same.

    Accepts and ignores a condition, so that it can stand in a conditional norm's place.
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
    """Batch norm with gain 1 + gain(condition) and offset offset(condition).

    Source: BigGAN-PyTorch, layers.py `ccbn`. (compare_gan's has no "1 +".)

    Args:
      gain: layer from the condition to [N, C]: a bias-free (SN)Dense on a shared class embedding,
        or an Embedding of one row per class on labels.
      offset: another of the same kind.
      **kwargs: `epsilon`, `momentum`, `synchronized`, `num_statistics` and Keras's own.
    """

    def __init__(self, gain, offset, **kwargs):
        super().__init__(**kwargs)
        self.gain = gain
        self.offset = offset

    def build(self, x_shape, condition_shape=None):
        self.add_statistics(x_shape[-1])
        for part in (self.gain, self.offset):
            # A part that was deserialised has built itself.
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
    return x * _over_positions(scale) + _over_positions(offset - mean * scale)


def _over_map(x):
    """The mean of [N, H, W, C] over positions, [N, C].

    Axis by axis is as fast as all at once and ten times closer to the exact mean: TensorFlow's
    reduction over rows adds them one after another.
    """
    return ops.mean(ops.mean(x, axis=2), axis=1)


def _over_positions(values):
    """[C] or [N, C] or [1, C] made to multiply [N, H, W, C]."""
    return values if len(values.shape) == 1 else values[:, None, None, :]


def mean_over_replicas(value):
    """Returns the mean of `value` over all replicas, which must hold batches of one size.

    Gradients flow through the mean. Outside a strategy, on one replica and on another backend than
    TensorFlow, `value` is returned unchanged. This is the only function of the layers that uses
    `tf.distribute`. Keras's own synchronised moments form E[x^2] - E[x]^2, which loses the variance
    of a large mean; moments in two passes need only this mean.
    """
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value) / context.num_replicas_in_sync
