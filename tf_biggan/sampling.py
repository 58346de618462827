"""Latents and labels as pure functions of a seed: no generator state, the same in XLA and out."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

ALGORITHM = "philox"
LATENT_STREAM, LABEL_STREAM = 0, 1
STREAMS = 2


def normal_latents(seed: int, draw, count: int, latent_dim: int) -> tf.Tensor:
    """z ~ N(0, I), float32 [count, latent_dim].

    Args:
      seed: of the run.
      draw: number of this draw within the run, a scalar below 2**31.
    """
    return tf.random.stateless_normal(
        (count, latent_dim), seed=_key(seed, LATENT_STREAM, draw), alg=ALGORITHM
    )


def class_labels(seed: int, draw, count: int, probabilities: np.ndarray) -> tf.Tensor:
    """Labels drawn with `probabilities` [num_classes], int32 [count]; see `normal_latents`."""
    uniform = tf.random.stateless_uniform(
        (count, 1), seed=_key(seed, LABEL_STREAM, draw), alg=ALGORITHM
    )
    edges = np.cumsum(probabilities, dtype=np.float64)[:-1].astype(np.float32)
    return tf.reduce_sum(tf.cast(uniform >= edges, tf.int32), axis=-1)


def _key(seed: int, stream: int, draw) -> tf.Tensor:
    return tf.stack([tf.constant(seed * STREAMS + stream, tf.int32), tf.cast(draw, tf.int32)])
