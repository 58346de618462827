"""Order of the images, which depends on seed and epoch only, so that runs can be resumed."""

from __future__ import annotations

import tensorflow as tf

SHUFFLE, FLIP = 0, 1
_PURPOSES = 2


def epoch_order(num_images: int, seed: int, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the order of the images in one epoch.

    Args:
      epoch: Number of the epoch, int64 scalar.

    Returns:
      A permutation of the images, int64 [N], and whether each of them is flipped, bool [N].
    """
    keys = _random_integers(num_images, seed, epoch, SHUFFLE)
    coins = _random_integers(num_images, seed, epoch, FLIP)
    return tf.cast(tf.argsort(keys, stable=True), tf.int64), coins < 0


def examples(num_images: int, seed: int, start: int) -> tf.data.Dataset:
    """Returns an endless data set of (image int64, flipped bool) scalars from example `start`.

    Example n is at position n % N of epoch n // N for every `start`.
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
