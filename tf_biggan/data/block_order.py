"""An order of records that is read from storage in long pieces and mixes nearly as a permutation.

The records, in their order on disk, are cut into `strata` equal parts, and each part into `windows`
blocks. In every epoch, each window receives one block of every part. It thus holds images from
everywhere and of most classes, even if the records are sorted by class. The blocks of a window
stand in random order and are cut into `lanes` equal pieces. Each piece is shuffled, and the images
of the window are taken from the pieces in turn. A host that takes every second image thus reads
every second piece.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

BLOCK_BYTES = 1 << 20
STRATA = 1024
LANES = 64


@dataclasses.dataclass(frozen=True)
class Blocks:
    """How an epoch is divided.

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
    """Returns the order of the images in an epoch, which depends on the random numbers alone.

    Args:
      num_images: Number of images, N.
      blocks: The division of the epoch.
      window_keys: Random number of every block, [count]: a stratum's blocks go to the windows in
        the order of these numbers.
      block_keys: Random number of every block, [count]: the order of blocks within a window.
      image_keys: Random number of every position, [N]: the order within a piece.

    Returns:
      A permutation of the images, int64 [N], and the first position of every window followed by N,
      int64 [windows + 1].
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
    """Returns the indices that sort by the first key, and equal ones by the second key."""
    by_second = tf.argsort(second, stable=True)
    by_first = tf.argsort(tf.gather(first, by_second), stable=True)
    return tf.gather(by_second, by_first)
