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


def uniform_bits(key: tf.Tensor, count: int) -> tf.Tensor:
    """Integers [count] from 0 to below 2**24, all as likely; `key` is an int32 [2]."""
    bits = tf.random.stateless_uniform(
        (count,), seed=key, minval=None, maxval=None, dtype=tf.int32, alg=ALGORITHM
    )
    # An arithmetic shift keeps the sign; the mask leaves the 24 bits that were shifted down.
    return tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(bits, 32 - MANTISSA_BITS), 2**MANTISSA_BITS - 1
    )


def _uniform(key: tf.Tensor, count: int) -> tf.Tensor:
    """Floats [count], multiples of 2**-24 from 0 to below 1."""
    return tf.cast(uniform_bits(key, count), tf.float32) * 2.0**-MANTISSA_BITS


def _key(seed: int, stream: int, draw) -> tf.Tensor:
    return tf.stack([tf.constant(seed * STREAMS + stream, tf.int32), tf.cast(draw, tf.int32)])
