"""Doubling and halving of feature maps, as every BigGAN does it."""

from __future__ import annotations

from keras import ops


def upsample(x):
    """Nearest-neighbour doubling: [N, H, W, C] to [N, 2H, 2W, C]."""
    return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)


def downsample(x):
    """Mean of 2x2 squares: [N, H, W, C] to [N, H/2, W/2, C]."""
    return ops.average_pool(x, 2, 2, data_format="channels_last")
