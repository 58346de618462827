"""Nearest-neighbour doubling and a 3x3 convolution as four 2x2 convolutions: 16/36 of the work.

Output pixels of one phase (row and column even or odd) see only 2x2 input pixels, each times the
sum of the kernel's entries that fall on it. Zero padding agrees exactly.
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_biggan import checks
from tf_biggan.layers.factory import LayerFactory

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
# Measured on two CPU cores, 256 to 1536 channels: from 8x8 it takes 0.4 to 0.6 of the time; at 4x4
# it is no faster for a batch and slower for one image, whose cost is to read the kernel.
SMALLEST_SIDE = 8


def phase_kernels(kernel: np.ndarray) -> tuple[np.ndarray, ...]:
    """The kernels [2, 2, in, out] of `PHASES` (row, column) from one [3, 3, in, out]."""
    return tuple(_halves(_halves(kernel, 0, row), 1, column) for row, column in PHASES)


def _halves(kernel, axis, phase):
    """Three taps along an axis as the two of a phase: the odd one looks half a pixel further."""
    first, middle, last = np.moveaxis(kernel, axis, 0)
    taps = (first + middle, last) if phase else (first, middle + last)
    return np.stack(taps, axis=axis)


@keras.saving.register_keras_serializable(package="tf_biggan")
class PhaseConv2D(keras.Layer):
    """`UpsampledConv2D` with a kernel of 3x3 for inference: [N, H, W, C] to [N, 2H, 2W, F].

    Args:
      filters: output channels F.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        shape = (2, 2, input_shape[-1], self.filters)
        self.kernels = [
            self.add_weight(name=f"kernel_{row}{column}", shape=shape, autocast=False)
            for row, column in PHASES
        ]
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, inputs, training=False):
        height, width = inputs.shape[1:3]
        even, odd = (
            tf.stack([self._phase(inputs, 2 * row), self._phase(inputs, 2 * row + 1)], axis=3)
            for row in (0, 1)
        )
        # [N, H, row phase, W, column phase, F]
        outputs = tf.stack([even, odd], axis=2)
        return ops.reshape(outputs, (-1, 2 * height, 2 * width, self.filters)) + self.bias

    def _phase(self, inputs, index):
        row, column = PHASES[index]
        padding = ((0, 0), (1 - row, row), (1 - column, column), (0, 0))
        kernel = ops.cast(self.kernels[index], self.compute_dtype)
        return tf.nn.conv2d(inputs, kernel, 1, padding)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * input_shape[1], 2 * input_shape[2], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@dataclasses.dataclass(frozen=True)
class PhaseFactory(LayerFactory):
    """A factory of folded layers whose convolutions of doubled maps are `PhaseConv2D`."""

    def upsampled_conv(self, owner, name, filters, size):
        checks.require(size == 3 and not self.spectral_norm, "3x3 and folded", size=size)
        return PhaseConv2D(filters, dtype=owner.dtype_policy, name=name)
