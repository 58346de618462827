"""Order of the images, which depends on seed and epoch only, so that runs can be resumed."""

from __future__ import annotations

import tensorflow as tf

from tf_biggan.data.block_order import Blocks, block_order

SHUFFLE, FLIP = 0, 1
_PURPOSES = 2
# Added to the purpose of the random numbers that only the order in blocks uses.
_BLOCKS = 1 << 62
WINDOW_KEYS, BLOCK_KEYS = 0, 1


def epoch_order(
    num_images: int, seed: int, epoch: tf.Tensor, blocks: Blocks | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the order of the images in one epoch.

    Args:
      epoch: Number of the epoch, int64 scalar.
      blocks: Division of the epoch into windows. None: a permutation of all images, one window.

    Returns:
      A permutation of the images, int64 [N]; whether the image at each position is flipped, bool
      [N]; and the first position of every window followed by N, int64 [windows + 1].
    """
    keys = _random_integers(num_images, seed, _PURPOSES * epoch + SHUFFLE)
    coins = _random_integers(num_images, seed, _PURPOSES * epoch + FLIP)
    if blocks is None:
        order = tf.cast(tf.argsort(keys, stable=True), tf.int64)
        return order, coins < 0, tf.constant([0, num_images], tf.int64)
    window_keys, block_keys = (
        _random_integers(blocks.count, seed, _BLOCKS + _PURPOSES * epoch + purpose)
        for purpose in (WINDOW_KEYS, BLOCK_KEYS)
    )
    order, bounds = block_order(num_images, blocks, window_keys, block_keys, keys)
    return order, coins < 0, bounds


def windows(
    num_images: int,
    seed: int,
    start: int,
    blocks: Blocks | None = None,
    shard_index: int = 0,
    num_shards: int = 1,
) -> tf.data.Dataset:
    """Returns an endless data set of a shard's images in order, window by window.

    Example n is at position n % N of epoch n // N, and belongs to shard n % num_shards.

    Args:
      start: First example, a multiple of `num_shards`.
      blocks, shard_index, num_shards: As in `epoch_order` and `pipeline.make_dataset`.

    Returns:
      Data set of (images int64 [n], flipped bool [n]); n differs between windows.
    """
    first_epoch, first_place = divmod(start, num_images)

    def of_epoch(epoch):
        order, flips, bounds = epoch_order(num_images, seed, epoch, blocks)
        begun = tf.where(epoch == first_epoch, tf.constant(first_place, tf.int64), 0)

        def of_window(window):
            begin, end = tf.maximum(bounds[window], begun), bounds[window + 1]
            begin += (shard_index - epoch * num_images - begin) % num_shards
            return order[begin:end:num_shards], flips[begin:end:num_shards]

        return tf.data.Dataset.range(tf.size(bounds, tf.int64) - 1).map(of_window)

    epochs = tf.data.Dataset.counter(first_epoch)
    return epochs.flat_map(of_epoch).filter(lambda images, _: tf.size(images) > 0)


def examples(images: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the elements of `windows` one by one: (image int64, flipped bool) scalars."""
    return images.flat_map(lambda *window: tf.data.Dataset.from_tensor_slices(window))


def _random_integers(count: int, seed: int, number: tf.Tensor) -> tf.Tensor:
    # A named algorithm: the default is chosen by device and differs under XLA.
    return tf.random.stateless_uniform(
        [count],
        seed=tf.stack([tf.constant(seed, tf.int64), number]),
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )
