"""Convolutions of stride 1 with zero padding, alone and joined with resampling.

On TensorFlow they are computed with fewer multiplications, see `fused_convolutions`; other backends
of Keras compute what is written here.
"""

from __future__ import annotations

import keras
from keras import ops

from tf_biggan.networks.layers.resample import downsample, upsample

FUSED_SIZE = 3


def convolution(x, kernel):
    """[N, H, W, C] and a kernel [k, k, C, F] to [N, H, W, F], in the dtype of x."""
    if _has_tensorflow() and kernel.shape[0] % 2 == 1:
        return _fused().convolution(x, kernel)
    return ops.conv(x, ops.cast(kernel, x.dtype), padding="same", data_format="channels_last")


def upsampled_convolution(x, kernel):
    """The convolution of x after nearest-neighbour doubling: to [N, 2H, 2W, F]."""
    if _has_tensorflow() and kernel.shape[0] == FUSED_SIZE:
        return _fused().upsampled_convolution(x, kernel)
    return convolution(upsample(x), kernel)


def pooled_convolution(x, kernel):
    """The mean of 2x2 squares of the convolution: to [N, H/2, W/2, F]."""
    if _has_tensorflow() and kernel.shape[0] == FUSED_SIZE:
        return _fused().pooled_convolution(x, kernel)
    return downsample(convolution(x, kernel))


def _has_tensorflow():
    return keras.backend.backend() == "tensorflow"


def _fused():
    from tf_biggan.networks.layers import fused_convolutions

    return fused_convolutions
