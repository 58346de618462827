"""Spherical interpolation with TensorFlow operations, for use inside exported graphs.

`tf_biggan.generation.paths` has the same function for NumPy arrays.
"""

from __future__ import annotations

import tensorflow as tf

from tf_biggan.generation.paths import PARALLEL_TOLERANCE, lerp


def slerp(start: tf.Tensor, end: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    """Interpolates spherically between the rows of two tensors.

    Args:
      start, end: Latent vectors [N, D].
      fraction: Position on each path [N], from 0 (start) to 1 (end).

    Returns:
      Interpolated vectors [N, D], float32. The interpolation is linear for parallel rows. See
      `tf_biggan.generation.paths.slerp`.
    """
    start, end = tf.cast(start, tf.float64), tf.cast(end, tf.float64)
    fraction = tf.cast(fraction, tf.float64)[:, None]
    lengths = tf.norm(start, axis=-1) * tf.norm(end, axis=-1)
    cosine = tf.math.divide_no_nan(tf.reduce_sum(start * end, axis=-1), lengths)
    angle = tf.acos(tf.clip_by_value(cosine, -1.0, 1.0))[:, None]
    parallel = tf.sin(angle) < PARALLEL_TOLERANCE
    sine = tf.where(parallel, tf.ones_like(angle), tf.sin(angle))
    mixed = tf.sin((1.0 - fraction) * angle) * start + tf.sin(fraction * angle) * end
    return tf.cast(tf.where(parallel, lerp(start, end, fraction), mixed / sine), tf.float32)
