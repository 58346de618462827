"""Order of the images. It depends on the seed and the epoch only, so that runs can be resumed.

The order "blocks" reads long pieces from storage, and mixes nearly as well as a permutation. It
divides every epoch into windows. The images of a window are held in memory and shuffled together.

The records, in their order on disk, are cut into `strata` equal parts, and each part into `windows`
blocks. In every epoch, the blocks of each part are assigned to the windows at random, one block to
each window. A window thus holds images from everywhere and of most classes, even if the records are
sorted by class. The blocks of a window are joined in random order, and the result is cut into
`lanes` equal pieces. Each piece is shuffled, and the images of the window are taken from the pieces
in turn. A host that takes every second image thus reads every second piece.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

SHUFFLE, FLIP = 0, 1
_PURPOSES = 2
# Added to the `number` of the random integers that only the order "blocks" uses.
_BLOCKS = 1 << 62
WINDOW_KEYS, BLOCK_KEYS = 0, 1
BLOCK_BYTES = 1 << 20
STRATA = 1024
LANES = 64


def epoch_order(
    num_images: int, seed: int, epoch: tf.Tensor, blocks: Blocks | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the order of the images in one epoch.

    Args:
      epoch: Number of the epoch, int64 scalar.
      blocks: Division of the epoch into windows. If None, one window holds a permutation of all
        images.

    Returns:
      Three tensors: order, a permutation of the images, int64 [N]; flips, whether the image at each
      position is flipped, bool [N]; and bounds, the first position of every window, followed by N,
      int64 [windows + 1].
    """
    keys = random_integers(num_images, seed, _PURPOSES * epoch + SHUFFLE)
    coins = random_integers(num_images, seed, _PURPOSES * epoch + FLIP)
    if blocks is None:
        order = tf.cast(tf.argsort(keys, stable=True), tf.int64)
        return order, coins < 0, tf.constant([0, num_images], tf.int64)
    window_keys, block_keys = (
        random_integers(blocks.count, seed, _BLOCKS + _PURPOSES * epoch + purpose)
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
    """Returns an endless data set of a shard's images, in which an element holds those of a window.

    The order is that of `epoch_order`. Example n is at position n % N of epoch n // N, and belongs
    to shard n % num_shards.

    Args:
      start: First example, a multiple of `num_shards`.
      blocks, shard_index, num_shards: As in `epoch_order` and `pipeline.make_dataset`.

    Returns:
      Data set of (indices of images int64 [n], flipped bool [n]). It has one element for each
      window in which the shard has images left to read; n differs between windows.
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
    """Splits a data set from `windows` into single images: (index int64, flipped bool)."""
    return images.flat_map(lambda *window: tf.data.Dataset.from_tensor_slices(window))


def random_integers(count: int, seed: int, number: int | tf.Tensor) -> tf.Tensor:
    """Returns random integers, int64 [count], that depend on the seed and `number` only.

    Each use of this function has a `number` of its own; epochs use 0 and above.
    """
    # The algorithm is named, because the default depends on the device and differs under XLA.
    return tf.random.stateless_uniform(
        [count],
        seed=tf.stack([tf.constant(seed, tf.int64), tf.cast(number, tf.int64)]),
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Division of an epoch into windows, which consist of blocks.

    Attributes:
      windows: Number of windows of an epoch. The images of a window are held in memory.
      strata: Number of blocks of a window.
      lanes: Number of pieces of a window that are shuffled separately.
    """

    windows: int
    strata: int = STRATA
    lanes: int = LANES

    @classmethod
    def of_records(cls, num_images: int, record_bytes: int) -> Blocks:
        """Returns the division whose blocks have about 1 MiB.

        Args:
          num_images: Number of records.
          record_bytes: Mean size of a record in bytes.
        """
        window_bytes = STRATA * BLOCK_BYTES
        return cls(max(1, (num_images * record_bytes + window_bytes // 2) // window_bytes))

    @property
    def count(self) -> int:
        """Number of blocks of an epoch."""
        return self.windows * self.strata


def block_order(
    num_images: int,
    blocks: Blocks,
    window_keys: tf.Tensor,
    block_keys: tf.Tensor,
    image_keys: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the order of the images in an epoch, computed from random numbers alone.

    Args:
      num_images: Number of images, N.
      blocks: The division of the epoch.
      window_keys: Random number of every block, [count]. The order of these numbers within a part
        of the records assigns the part's blocks to windows.
      block_keys: Random number of every block, [count]. It orders the blocks within a window.
      image_keys: Random number of every position, [N]. It orders the images within a piece.

    Returns:
      Order and bounds, as `epoch_order` returns them.
    """
    keys = tf.reshape(window_keys, [blocks.strata, blocks.windows])
    window_of_block = tf.reshape(tf.argsort(tf.argsort(keys, stable=True)), [-1])
    reading_order = _sorted_by(window_of_block, block_keys)
    place_of_block = tf.math.invert_permutation(reading_order)
    images = tf.range(num_images, dtype=tf.int64)
    block_of_image = images * blocks.count // num_images
    # The images in reading order: window by window, block by block.
    sequence = tf.argsort(tf.gather(place_of_block, block_of_image), stable=True)
    window = tf.gather(window_of_block, tf.gather(block_of_image, sequence))
    bounds = tf.searchsorted(window, tf.range(blocks.windows + 1), out_type=tf.int64)
    # Position p of a window belongs to piece p % lanes. Pieces follow each other in the sequence.
    piece = (images - tf.gather(bounds, window)) % blocks.lanes
    positions = _sorted_by(tf.cast(window, tf.int64) * blocks.lanes + piece, image_keys)
    return tf.cast(tf.gather(sequence, tf.math.invert_permutation(positions)), tf.int64), bounds


def _sorted_by(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Returns the indices that sort by `first`, and by `second` where `first` is equal."""
    by_second = tf.argsort(second, stable=True)
    by_first = tf.argsort(tf.gather(first, by_second), stable=True)
    return tf.gather(by_second, by_first)
