"""Upsampling, downsampling, and convolutions alone or joined with either of them.

Every convolution has stride 1 and zero padding. On TensorFlow, `fused_convolutions` computes the
joined ones with fewer multiplications. Other backends of Keras compute what is written here.
"""

from __future__ import annotations

import keras
from keras import ops

FUSED_SIZE = 3


def upsample(x):
    """Doubles the size by nearest neighbour: [N, H, W, C] to [N, 2H, 2W, C]."""
    return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)


def downsample(x):
    """Halves the size by the mean of 2x2 pixels: [N, H, W, C] to [N, H/2, W/2, C]."""
    return ops.average_pool(x, 2, 2, data_format="channels_last")


def convolution(x, kernel):
    """Convolves x [N, H, W, C] with a kernel [k, k, C, F]: [N, H, W, F] in the dtype of x."""
    if _has_tensorflow() and kernel.shape[0] % 2 == 1:
        return _fused().convolution(x, kernel)
    return ops.conv(x, ops.cast(kernel, x.dtype), padding="same", data_format="channels_last")


def upsampled_convolution(x, kernel):
    """Upsamples x, then convolves it: [N, H, W, C] to [N, 2H, 2W, F]."""
    if _has_tensorflow() and kernel.shape[0] == FUSED_SIZE:
        return _fused().upsampled_convolution(x, kernel)
    return convolution(upsample(x), kernel)


def pooled_convolution(x, kernel):
    """Convolves x, then downsamples it: [N, H, W, C] to [N, H/2, W/2, F]."""
    if _has_tensorflow() and kernel.shape[0] == FUSED_SIZE:
        return _fused().pooled_convolution(x, kernel)
    return downsample(convolution(x, kernel))


def _has_tensorflow():
    return keras.backend.backend() == "tensorflow"


def _fused():
    from tf_biggan.networks.layers import fused_convolutions

    return fused_convolutions
