"""A convolution of a map that is doubled first: [N, H, W, C] to [N, 2H, 2W, F]."""

from __future__ import annotations

import keras

from tf_biggan.layers.linear import Conv2D
from tf_biggan.layers.resample import upsample
from tf_biggan.layers.spectral_norm import SNConv2D


class Upsampled:
    """Mixin for a convolution: nearest-neighbour doubling, then the convolution."""

    def call(self, inputs, training=False):
        return super().call(upsample(inputs), training=training)

    def compute_output_shape(self, input_shape):
        height, width = (None if side is None else 2 * side for side in input_shape[1:3])
        return (input_shape[0], height, width, self.filters)


@keras.saving.register_keras_serializable(package="tf_biggan")
class UpsampledConv2D(Upsampled, Conv2D):
    """`Conv2D` of the doubled map."""


@keras.saving.register_keras_serializable(package="tf_biggan")
class SNUpsampledConv2D(Upsampled, SNConv2D):
    """`SNConv2D` of the doubled map."""
