"""Self-attention over the positions of a feature map, as in SA-GAN and BigGAN."""

from __future__ import annotations

import keras
from keras import ops

from tf_biggan.networks.layers.factory import FactoryLayer
from tf_biggan.networks.layers.precision import wide_dtype

QUERY_RATIO = 8
VALUE_RATIO = 2


@keras.saving.register_keras_serializable(package="tf_biggan")
class SelfAttention(FactoryLayer):
    """Returns x + gamma * attention(x), [N, H, W, C]; the initial gamma is 0.

    Queries (theta) and keys (phi) have C / 8 channels, values (g) have C / 2. Keys and values are
    max-pooled 2x2 after their convolutions. Scores are not scaled, and no convolution has a bias.
    The softmax runs in float32 (float64 in a float64 layer).

    Source: BigGAN-PyTorch, layers.py `Attention`.

    Args:
      factory: The `LayerFactory` that makes the four convolutions.
    """

    def build(self, input_shape):
        channels = input_shape[-1]
        keys, values = max(1, channels // QUERY_RATIO), max(1, channels // VALUE_RATIO)
        self.theta = self._projection("theta", keys, input_shape)
        self.phi = self._projection("phi", keys, input_shape)
        self.g = self._projection("g", values, input_shape)
        self.o = self._projection("o", channels, (*input_shape[:-1], values))
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def _projection(self, name, filters, input_shape):
        layer = self.factory.conv(self, name, filters, 1, use_bias=False)
        layer.build(input_shape)
        return layer

    def call(self, x, training=False):
        queries = _flattened(self.theta(x, training=training))
        keys = _flattened(_max_pool(self.phi(x, training=training)))
        values = _flattened(_max_pool(self.g(x, training=training)))
        scores = ops.matmul(queries, ops.swapaxes(keys, 1, 2))
        weights = ops.softmax(ops.cast(scores, wide_dtype(self)), axis=-1)
        mixed = ops.matmul(ops.cast(weights, values.dtype), values)
        mixed = ops.reshape(mixed, (-1, x.shape[1], x.shape[2], values.shape[-1]))
        return x + self.gamma * self.o(mixed, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape


def _flattened(x):
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))


def _max_pool(x):
    return ops.max_pool(x, 2, 2, data_format="channels_last")
