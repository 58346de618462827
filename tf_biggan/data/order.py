"""The order of examples: a function of (seed, epoch) alone, so a run can be resumed anywhere."""

from __future__ import annotations

import tensorflow as tf

SHUFFLE, FLIP = 0, 1
_PURPOSES = 2


def epoch_order(num_images: int, seed: int, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The order of one epoch.

    Args:
      epoch: int64 scalar.

    Returns:
      A permutation of the images, int64 [N], and for each place whether it is mirrored, bool [N].
    """
    keys = _random_integers(num_images, seed, epoch, SHUFFLE)
    coins = _random_integers(num_images, seed, epoch, FLIP)
    return tf.cast(tf.argsort(keys, stable=True), tf.int64), coins < 0


def examples(num_images: int, seed: int, start: int) -> tf.data.Dataset:
    """The endless stream of (image int64 scalar, mirrored bool scalar) from example `start` on.

    Example n stands at place n % N of epoch n // N, whatever `start` is.
    """
    epoch, place = divmod(start, num_images)
    epochs = tf.data.Dataset.counter(epoch)
    stream = epochs.flat_map(
        lambda epoch: tf.data.Dataset.from_tensor_slices(epoch_order(num_images, seed, epoch))
    )
    return stream.skip(place)


def _random_integers(count: int, seed: int, epoch: tf.Tensor, purpose: int) -> tf.Tensor:
    # A named algorithm: the default is chosen by device and differs under XLA.
    return tf.random.stateless_uniform(
        [count],
        seed=tf.stack([tf.constant(seed, tf.int64), _PURPOSES * epoch + purpose]),
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )
