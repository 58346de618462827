"""Latents and labels as pure functions of a seed: no generator state, the same in XLA and out.

TensorFlow's kernels and XLA agree on Philox's bits and not on the floats made of them, so that the
floats are made here.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

ALGORITHM = "philox"
LATENT_STREAM, LABEL_STREAM = 0, 1
STREAMS = 2
# Seeds of augmentations use negative draws, so that they differ from the keys of both streams.
FAKE_SEEDS, REAL_SEEDS = 0, 1
MANTISSA_BITS = 24


def normal_latents(seed: int, draw, count: int, latent_dim: int) -> tf.Tensor:
    """z ~ N(0, I), float32 [count, latent_dim], by the Box-Muller transform.

    Args:
      seed: of the run, below 2**30.
      draw: number of this draw within the run, a scalar below 2**31.
    """
    half = -(-count * latent_dim // 2)
    uniform = _uniform(_key(seed, LATENT_STREAM, draw), 2 * half)
    # Half a step away from 0, whose logarithm there is none of.
    radius = tf.sqrt(-2.0 * tf.math.log(uniform[:half] + 2.0 ** -(MANTISSA_BITS + 1)))
    angle = 2.0 * math.pi * uniform[half:]
    normal = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=0)
    return tf.reshape(normal[: count * latent_dim], (count, latent_dim))


def class_labels(seed: int, draw, count: int, probabilities: np.ndarray) -> tf.Tensor:
    """Labels drawn with `probabilities` [num_classes], int32 [count]; see `normal_latents`."""
    uniform = _uniform(_key(seed, LABEL_STREAM, draw), count)
    edges = np.cumsum(probabilities, dtype=np.float64)[:-1].astype(np.float32)
    return tf.reduce_sum(tf.cast(uniform[:, None] >= edges, tf.int32), axis=-1)


def augmentation_seeds(seed: int, draw, count: int, stream: int) -> tf.Tensor:
    """Returns one seed for each image of a batch, int32 [count, 2].

    Args:
      seed: The run's seed, below 2**30.
      draw: The number of this draw within the run, a scalar below 2**31.
      count: The number of images.
      stream: `FAKE_SEEDS` or `REAL_SEEDS`.
    """
    return tf.reshape(uniform_bits(_key(seed, stream, -1 - draw), 2 * count), (count, 2))


def uniform_for_each(seeds: tf.Tensor, shape: tuple[int, ...] = ()) -> tf.Tensor:
    """Returns floats [N, *shape] from 0 to below 1. Row i depends on `seeds[i]` alone.

    TensorFlow's generators take one seed for a whole tensor, so that the seeds are hashed here.

    Args:
      seeds: int32 [N, 2].
      shape: The shape of a row.
    """
    rows = _mixed(_mixed(seeds[:, :1]) + seeds[:, 1:])
    # The golden ratio times 2**32 spreads the columns over all integers.
    columns = tf.range(math.prod(shape)) * tf.constant(0x9E3779B9 - 2**32, tf.int32)
    floats = _as_floats(_high_bits(_mixed(rows + columns)))
    return tf.reshape(floats, (-1, *shape))


def _mixed(bits: tf.Tensor) -> tf.Tensor:
    """Returns int32 of which every bit depends on every bit given (MurmurHash3's finalizer)."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = tf.bitwise.bitwise_xor(bits, _shifted(bits, shift))
        bits *= tf.constant(factor - 2**32, tf.int32)
    return tf.bitwise.bitwise_xor(bits, _shifted(bits, 16))


def uniform_bits(key: tf.Tensor, count: int) -> tf.Tensor:
    """Integers [count] from 0 to below 2**24, all as likely; `key` is an int32 [2]."""
    bits = tf.random.stateless_uniform(
        (count,), seed=key, minval=None, maxval=None, dtype=tf.int32, alg=ALGORITHM
    )
    return _high_bits(bits)


def _high_bits(bits: tf.Tensor) -> tf.Tensor:
    return _shifted(bits, 32 - MANTISSA_BITS)


def _shifted(bits: tf.Tensor, count: int) -> tf.Tensor:
    """Shifts int32 to the right and fills up with zeros."""
    # An arithmetic shift keeps the sign; the mask leaves the bits that were shifted down.
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, count), 2 ** (32 - count) - 1)


def _uniform(key: tf.Tensor, count: int) -> tf.Tensor:
    """Floats [count], multiples of 2**-24 from 0 to below 1."""
    return _as_floats(uniform_bits(key, count))


def _as_floats(bits: tf.Tensor) -> tf.Tensor:
    return tf.cast(bits, tf.float32) * 2.0**-MANTISSA_BITS


def _key(seed: int, stream: int, draw) -> tf.Tensor:
    return tf.stack([tf.constant(seed * STREAMS + stream, tf.int32), tf.cast(draw, tf.int32)])
