"""Convolutions joined with a change of size: after doubling, and before taking means."""

from __future__ import annotations

import keras

from tf_biggan.networks.layers.convolutions import pooled_convolution, upsampled_convolution
from tf_biggan.networks.layers.linear import Conv2D
from tf_biggan.networks.layers.spectral_norm import SNConv2D


class Upsampled:
    """Mixin for a convolution: nearest-neighbour doubling, then the convolution."""

    def convolve(self, inputs, kernel):
        return upsampled_convolution(inputs, kernel)

    def compute_output_shape(self, input_shape):
        height, width = (None if side is None else 2 * side for side in input_shape[1:3])
        return (input_shape[0], height, width, self.filters)


class Pooled:
    """Mixin for a convolution: the convolution, then the mean of 2x2 squares."""

    def convolve(self, inputs, kernel):
        return pooled_convolution(inputs, kernel)

    def compute_output_shape(self, input_shape):
        height, width = (None if side is None else side // 2 for side in input_shape[1:3])
        return (input_shape[0], height, width, self.filters)


@keras.saving.register_keras_serializable(package="tf_biggan")
class UpsampledConv2D(Upsampled, Conv2D):
    """`Conv2D` of the doubled map: [N, H, W, C] to [N, 2H, 2W, F]."""


@keras.saving.register_keras_serializable(package="tf_biggan")
class SNUpsampledConv2D(Upsampled, SNConv2D):
    """`SNConv2D` of the doubled map."""


@keras.saving.register_keras_serializable(package="tf_biggan")
class PooledConv2D(Pooled, Conv2D):
    """`Conv2D` whose output is halved: [N, H, W, C] to [N, H/2, W/2, F]."""


@keras.saving.register_keras_serializable(package="tf_biggan")
class SNPooledConv2D(Pooled, SNConv2D):
    """`SNConv2D` whose output is halved."""
