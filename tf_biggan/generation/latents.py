"""Samples latents and labels as pure functions of a seed, in graphs and in eager mode.

Training samples a whole batch from (seed, draw), where draw is the number of the batch. Code
outside of training samples each image on its own, from (seed, index).
"""

from __future__ import annotations

import math
import numbers

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.seeds_and_truncations import TRUNCATION_MODES, require_truncations

ALGORITHM = "philox"
LATENT_STREAM, LABEL_STREAM = 0, 1
STREAMS = 2
# Augmentation seeds use negative draws, which latents and labels never use.
FAKE_SEEDS, REAL_SEEDS = 0, 1
MANTISSA_BITS = 24
SCALED_LIMIT = 2.0
MAX_INDEX = 2**31 - 1


def normal_latents(seed: int, draw, count: int, latent_dim: int) -> tf.Tensor:
    """Returns a training batch of z ~ N(0, I), float32 [count, latent_dim].

    The normal values come from uniform ones by the Box-Muller transform.

    Args:
      seed: Seed of the run, below 2**30.
      draw: Number of this batch within the run, a scalar below 2**31.
      count: Number of latent vectors.
      latent_dim: Length of a latent vector.
    """
    half = -(-count * latent_dim // 2)
    uniform = _uniform(_key(seed, LATENT_STREAM, draw), 2 * half)
    normal = _box_muller(uniform[:half], uniform[half:])
    return tf.reshape(normal[: count * latent_dim], (count, latent_dim))


def class_labels(seed: int, draw, count: int, probabilities: np.ndarray) -> tf.Tensor:
    """Returns the labels of a training batch, int32 [count], as indices of `probabilities`.

    Args:
      seed, draw, count: As for `normal_latents`.
      probabilities: Probability of each label, [R]; R is the number of classes, or of different
        soft labels.
    """
    uniform = _uniform(_key(seed, LABEL_STREAM, draw), count)
    edges = np.cumsum(probabilities, dtype=np.float64)[:-1].astype(np.float32)
    return tf.searchsorted(edges, uniform, side="right")


def augmentation_seeds(seed: int, draw, count: int, stream: int) -> tf.Tensor:
    """Returns one seed for each image of a batch, int32 [count, 2].

    Args:
      seed: The run's seed, below 2**30.
      draw: The number of this batch within the run, a scalar below 2**31.
      count: The number of images.
      stream: `FAKE_SEEDS` or `REAL_SEEDS`.
    """
    return tf.reshape(uniform_bits(_key(seed, stream, -1 - draw), 2 * count), (count, 2))


def uniform_for_each(seeds: tf.Tensor, shape: tuple[int, ...] = ()) -> tf.Tensor:
    """Returns floats [N, *shape] from 0 to below 1. Row i depends on `seeds[i]` alone.

    TensorFlow's generators take one seed for a whole tensor, so this function hashes the seeds.

    Args:
      seeds: int32 [N, 2].
      shape: The shape of a row.
    """
    rows = _mixed(_mixed(seeds[:, :1]) + seeds[:, 1:])
    # The golden ratio times 2**32 spreads the columns over all integers.
    columns = tf.range(math.prod(shape)) * tf.constant(0x9E3779B9 - 2**32, tf.int32)
    floats = _as_floats(_high_bits(_mixed(rows + columns)))
    return tf.reshape(floats, (-1, *shape))


def normal_for_each(seeds: tf.Tensor, size: int) -> tf.Tensor:
    """Returns numbers from N(0, 1), float32 [N, size]. Row i depends on `seeds[i]` alone.

    Args:
      seeds: int32 [N, 2].
      size: Length of a row.
    """
    half = -(-size // 2)
    uniform = uniform_for_each(seeds, (2, half))
    return _box_muller(uniform[:, 0], uniform[:, 1])[:, :size]


def seeds_for(seeds: tf.Tensor, purpose: int) -> tf.Tensor:
    """Derives seeds for one purpose, such as the noise of zCR.

    Random numbers for different purposes are then unrelated, although they come from one seed.

    Args:
      seeds: Seeds of `augmentation_seeds`, int32 [N, 2].
      purpose: From 1 to 127. Purpose 0 is `seeds` itself.
    """
    # The bits above the mantissa are 0 in `seeds`.
    return seeds + tf.constant([0, purpose << MANTISSA_BITS], tf.int32)


def _box_muller(radii: tf.Tensor, angles: tf.Tensor) -> tf.Tensor:
    """Returns normal numbers [..., 2 n] from two tensors [..., n] of uniform numbers in [0, 1)."""
    # Offset by half a step so that log(0) cannot occur.
    radius = tf.sqrt(-2.0 * tf.math.log(radii + 2.0 ** -(MANTISSA_BITS + 1)))
    angle = 2.0 * math.pi * angles
    return tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=-1)


def _mixed(bits: tf.Tensor) -> tf.Tensor:
    """Returns hashes of int32 numbers, computed by MurmurHash3's finalizer."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = tf.bitwise.bitwise_xor(bits, _shifted(bits, shift))
        bits *= tf.constant(factor - 2**32, tf.int32)
    return tf.bitwise.bitwise_xor(bits, _shifted(bits, 16))


def uniform_bits(key: tf.Tensor, count: int) -> tf.Tensor:
    """Returns integers [count], uniform in [0, 2**24); `key` is int32 [2]."""
    bits = tf.random.stateless_uniform(
        (count,), seed=key, minval=None, maxval=None, dtype=tf.int32, alg=ALGORITHM
    )
    return _high_bits(bits)


def _high_bits(bits: tf.Tensor) -> tf.Tensor:
    return _shifted(bits, 32 - MANTISSA_BITS)


def _shifted(bits: tf.Tensor, count: int) -> tf.Tensor:
    """Shifts int32 to the right and fills up with zeros."""
    # `right_shift` fills up with the sign, and the mask clears these bits.
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, count), 2 ** (32 - count) - 1)


def _uniform(key: tf.Tensor, count: int) -> tf.Tensor:
    """Returns floats [count], uniform multiples of 2**-24 in [0, 1)."""
    return _as_floats(uniform_bits(key, count))


def _as_floats(bits: tf.Tensor) -> tf.Tensor:
    return tf.cast(bits, tf.float32) * 2.0**-MANTISSA_BITS


def _key(seed: int, stream: int, draw) -> tf.Tensor:
    return tf.stack([tf.constant(seed * STREAMS + stream, tf.int32), tf.cast(draw, tf.int32)])


def check_truncation(truncation: float | None, mode: str) -> None:
    """Raises ValueError unless the mode is known and accepts the truncation, which may be None."""
    checks.require_choice("truncation_mode", mode, TRUNCATION_MODES)
    if truncation is not None:
        require_truncations((truncation,), mode)


def latents(seeds, indices, latent_dim: int, truncation=None, mode: str = "scale") -> tf.Tensor:
    """Returns latents, float32 [N, latent_dim]. Row i depends on its seed and its index alone.

    Args:
      seeds: Integers from 0 to `cli.seeds_and_truncations.MAX_SEED`, [N] or one for all rows.
      indices: Integers from 0 to `MAX_INDEX`, [N].
      latent_dim: Length of a latent vector.
      truncation: Scalar or [N]; None for N(0, I), which is not cut off.
      mode: Meaning of the truncation t. "scale" (DeepMind): t times a normal distribution cut off
        at 2. "resample" (the paper): a normal distribution cut off at t.

    Raises:
      ValueError: The mode is unknown, or `truncation` is a number that the mode does not accept.
        The values of a tensor are not checked.
    """
    number = isinstance(truncation, numbers.Real)
    check_truncation(truncation if number else None, mode)
    uniform = uniforms(seeds, indices, latent_dim, LATENT_STREAM)
    if truncation is None:
        return tf.cast(truncated_normal(uniform, math.inf), tf.float32)
    truncation = tf.reshape(tf.cast(truncation, tf.float64), (-1, 1))
    if mode == "scale":
        return tf.cast(truncation * truncated_normal(uniform, SCALED_LIMIT), tf.float32)
    return tf.cast(truncated_normal(uniform, truncation), tf.float32)


def latents_of_seeds(seeds, latent_dim: int, truncation=None, mode: str = "scale") -> np.ndarray:
    """Returns the latents of each seed with the index 0, float32 [N, latent_dim].

    The sampling commands and exported SavedModels identify an image by its seed alone.

    Args:
      seeds: Integers from 0 to `tf_biggan.cli.seeds_and_truncations.MAX_SEED`, [N].
      latent_dim, truncation, mode: As for `latents`.
    """
    seeds = np.asarray(seeds, np.int32)
    return latents(seeds, np.zeros_like(seeds), latent_dim, truncation, mode).numpy()


def labels(seeds, indices, probabilities: np.ndarray) -> tf.Tensor:
    """Returns the labels of images, int32 [N], as indices of `probabilities`.

    Args:
      seeds, indices: As for `latents`.
      probabilities: Probability of each label, [R], as for `class_labels`.
    """
    edges = np.cumsum(probabilities, dtype=np.float64)[:-1]
    uniform = uniforms(seeds, indices, 1, LABEL_STREAM)[:, 0]
    return tf.searchsorted(edges, uniform, side="right")


def truncated_normal(uniform, limit) -> tf.Tensor:
    """Returns quantiles of N(0, 1) cut off at -limit and limit, float64.

    Args:
      uniform: Probabilities in (0, 1), any shape.
      limit: Scalar or tensor that broadcasts to the shape of `uniform`; infinity for no limit.
    """
    uniform, limit = tf.cast(uniform, tf.float64), tf.cast(limit, tf.float64)
    below = 0.5 * tf.math.erfc(limit / math.sqrt(2.0))
    return tf.math.ndtri(below + uniform * (1.0 - 2.0 * below))


def uniforms(seeds, indices, count: int, stream: int) -> tf.Tensor:
    """Returns uniform floats in (0, 1), float64 [N, count].

    Args:
      seeds, indices: As for `latents`.
      count: Number of floats for each seed and index.
      stream: `LATENT_STREAM` or `LABEL_STREAM`.
    """
    indices = tf.cast(indices, tf.int32)
    seeds = tf.broadcast_to(tf.cast(seeds, tf.int32), tf.shape(indices))
    keys = tf.stack([seeds * STREAMS + stream, indices], axis=-1)
    whole = _bits_of_rows(keys, count)
    # Offset by half a step from 0 and 1, because their quantiles are infinite.
    return (tf.cast(whole, tf.float64) + 0.5) / 2.0**MANTISSA_BITS


# In eager mode, the loop over rows would run in Python.
@tf.function(reduce_retracing=True)
def _bits_of_rows(keys, count):
    return tf.map_fn(lambda key: uniform_bits(key, count), keys)
