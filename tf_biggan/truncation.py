"""Latents of single images as pure functions of (seed, index), truncated or not, in graphs too.

Codes mean different things by the truncation t:
- "scale", DeepMind's modules: t times a normal distribution cut off at 2;
- "resample", the paper: components beyond t are drawn again, a normal distribution cut off at t.
"""

from __future__ import annotations

import math
import numbers

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.sampling import MANTISSA_BITS, uniform_bits

MODES = ("scale", "resample")
SCALED_LIMIT = 2.0
LATENT_STREAM, LABEL_STREAM = 0, 1
STREAMS = 2
MAX_SEED = 2**30 - 1
MAX_INDEX = 2**31 - 1


def check_truncation(truncation: float | None, mode: str) -> None:
    """Raises ValueError unless the truncation is None or above 0, and the mode is known."""
    checks.require_choice("truncation_mode", mode, MODES)
    limit = 1.0 if mode == "scale" else math.inf
    checks.require(
        truncation is None or 0 < truncation <= limit,
        f"`truncation` must be above 0 and, where the mode is {mode!r}, at most {limit:g}",
        truncation=truncation,
    )


def latents(seeds, indices, latent_dim: int, truncation=None, mode: str = "scale") -> tf.Tensor:
    """z of images, float32 [N, latent_dim]; row i depends on seed and index of i alone.

    Args:
      seeds: integers from 0 to `MAX_SEED`, [N] or one for all.
      indices: integers from 0 to `MAX_INDEX` [N].
      truncation: scalar or [N]; None for N(0, I), which no mode gives.
      mode: what the truncation means, one of `MODES`.

    Raises:
      ValueError: the mode is unknown, or `truncation` is a number out of its range; a tensor is
        not looked at.
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


def labels(seeds, indices, probabilities: np.ndarray) -> tf.Tensor:
    """Classes of images, drawn with `probabilities` [num_classes], int32 [N]; see `latents`."""
    edges = np.cumsum(probabilities, dtype=np.float64)[:-1]
    uniform = uniforms(seeds, indices, 1, LABEL_STREAM)
    return tf.reduce_sum(tf.cast(uniform >= edges, tf.int32), axis=-1)


def truncated_normal(uniform, limit) -> tf.Tensor:
    """Quantiles of N(0, 1) cut off at -limit and limit, float64; `uniform` lies from 0 to 1."""
    uniform, limit = tf.cast(uniform, tf.float64), tf.cast(limit, tf.float64)
    below = 0.5 * tf.math.erfc(limit / math.sqrt(2.0))
    return tf.math.ndtri(below + uniform * (1.0 - 2.0 * below))


def uniforms(seeds, indices, count: int, stream: int) -> tf.Tensor:
    """Floats strictly between 0 and 1, float64 [N, count]; see `latents`."""
    indices = tf.cast(indices, tf.int32)
    seeds = tf.broadcast_to(tf.cast(seeds, tf.int32), tf.shape(indices))
    keys = tf.stack([seeds * STREAMS + stream, indices], axis=-1)
    whole = _bits_of_rows(keys, count)
    # Half a step away from both ends, whose quantiles are infinite.
    return (tf.cast(whole, tf.float64) + 0.5) / 2.0**MANTISSA_BITS


# Outside of a graph the loop over rows would run in Python.
@tf.function(reduce_retracing=True)
def _bits_of_rows(keys, count):
    return tf.map_fn(lambda key: uniform_bits(key, count), keys)
