"""Latents and labels of single images as pure functions of (seed, index), truncated or not.

Codes mean different things by the truncation t:
- "scale", DeepMind's modules: t times a normal distribution cut off at 2;
- "resample", the paper: components beyond t are drawn again, a normal distribution cut off at t.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tf_biggan import checks

MODES = ("scale", "resample")
SCALED_LIMIT = 2.0
LATENT_STREAM, LABEL_STREAM = 0, 1
RANDOM_BITS = 52


def check_truncation(truncation: float | None, mode: str) -> None:
    """Raises ValueError unless the truncation is None or above 0, and the mode is known."""
    checks.require_choice("truncation_mode", mode, MODES)
    limit = 1.0 if mode == "scale" else math.inf
    checks.require(
        truncation is None or 0 < truncation <= limit,
        f"`truncation` must be above 0 and, where the mode is {mode!r}, at most {limit:g}",
        truncation=truncation,
    )


def latents(
    seed: int, indices, latent_dim: int, truncation: float | None = None, mode: str = "scale"
) -> np.ndarray:
    """z of images by their index, float32 [N, latent_dim].

    Args:
      seed: non-negative integer, or one for each index.
      indices: non-negative integers [N].
      truncation: None for N(0, I), which no mode gives.
      mode: what the truncation means, one of `MODES`.

    Raises:
      ValueError: the truncation is out of range.
    """
    check_truncation(truncation, mode)
    uniform = uniforms(seed, indices, latent_dim, LATENT_STREAM)
    if truncation is None:
        return truncated_normal(uniform, math.inf).astype(np.float32)
    if mode == "scale":
        return (truncation * truncated_normal(uniform, SCALED_LIMIT)).astype(np.float32)
    return truncated_normal(uniform, truncation).astype(np.float32)


def labels(seed: int, indices, probabilities: np.ndarray) -> np.ndarray:
    """Classes of images by their index, drawn with `probabilities` [classes]; int32 [N]."""
    edges = np.cumsum(probabilities, dtype=np.float64)[:-1]
    uniform = uniforms(seed, indices, 1, LABEL_STREAM)[:, 0]
    return np.searchsorted(edges, uniform, side="right").astype(np.int32)


def truncated_normal(uniform: np.ndarray, limit: float) -> np.ndarray:
    """Quantiles of N(0, 1) cut off at -limit and limit, float64; `uniform` lies from 0 to 1."""
    below = 0.5 * math.erfc(limit / math.sqrt(2.0))
    with tf.device("CPU:0"):
        return tf.math.ndtri(below + np.asarray(uniform) * (1.0 - 2.0 * below)).numpy()


def uniforms(seed: int, indices, count: int, stream: int) -> np.ndarray:
    """Floats strictly between 0 and 1, float64 [N, count]; row i depends on its index alone."""
    indices = np.asarray(indices, np.int64)
    seeds = np.broadcast_to(np.asarray(seed, np.int64), indices.shape)
    bits = [
        np.random.Philox(key=[own, stream], counter=[0, 0, index, 0]).random_raw(count)
        for own, index in zip(seeds.tolist(), indices.tolist(), strict=True)
    ]
    whole = np.reshape(bits, (len(indices), count)).astype(np.uint64) >> np.uint64(64 - RANDOM_BITS)
    # Half a step away from both ends, whose quantiles are infinite.
    return (whole.astype(np.float64) + 0.5) * 2.0**-RANDOM_BITS
