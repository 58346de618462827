"""Divides a run's data into training images and held-out images, which are not trained on.

The images are sorted by class and shuffled within every class. With a share of 1/k, every k-th
image of this sequence is held out. Every class thus gives its share of images, rounded up or down.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data.order import random_integers
from tf_biggan.data.source import Source, describe

# A `number` for `order.random_integers` that no epoch uses.
HELD_OUT_KEYS = -1


@dataclasses.dataclass(frozen=True)
class Division:
    """The data of a run, divided into training images and held-out images.

    Attributes:
      whole: All images.
      training: The images to train on.
      held_out: The images that are kept away from training; None if all images are trained on.
    """

    whole: Source
    training: Source
    held_out: Source | None = None

    def describe(self) -> tuple[str, ...]:
        """Returns lines to print: all images and their classes, and how many are held out."""
        lines = describe(self.whole)
        if self.held_out is None:
            return lines
        held_out, whole = self.held_out, self.whole
        line = f"Held out of training: {held_out.num_images:,} of {whole.num_images:,} images"
        if whole.num_classes:
            classes = len(np.unique(held_out.labels))
            line += f", from {classes:,} of {whole.num_classes:,} classes"
        return (*lines, line)


def divide(source: Source, share: float, seed: int) -> Division:
    """Returns the division of a data set into images to train on and held-out images.

    The division depends on the labels, the share and the seed only. Each part keeps the order of
    its images.

    Args:
      source: All images.
      share: Share of the held-out images, from 0 (none) to 0.5.
      seed: The seed of the run.

    Raises:
      ValueError: The share is above 0, but too small to hold out an image.
    """
    if share == 0:
        return Division(source, source)
    with tf.device("CPU:0"):
        keys = random_integers(source.num_images, seed, HELD_OUT_KEYS).numpy()
    held_out = held_out_images(source.labels, share, keys)
    checks.require(
        held_out.any(),
        "`held_out_share` must hold out at least one image, and the only image of a class is never"
        " held out; use a larger share, or 0 to train on all images",
        held_out_share=share,
        images=source.num_images,
    )
    return Division(
        source,
        source.select(np.flatnonzero(~held_out)),
        source.select(np.flatnonzero(held_out)),
    )


def held_out_images(labels: np.ndarray, share: float, keys: np.ndarray) -> np.ndarray:
    """Returns which images are held out, bool [N].

    Of a class with n images, n * share (rounded up or down) are held out. At least one image of
    each class is left for training.

    Args:
      labels: Class of every image, [N].
      share: Share of the held-out images, from 0 to 0.5.
      keys: Random number of every image, [N]. It orders the images within a class.
    """
    _, class_of, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sequence = np.lexsort((keys, class_of))
    sequence = sequence[counts[class_of[sequence]] > 1]
    # Element n is the number of held-out images among the first n images of the sequence.
    before = np.floor(share * np.arange(len(sequence) + 1) + 0.5)
    held_out = np.zeros(len(labels), bool)
    held_out[sequence[np.diff(before) > 0]] = True
    return held_out
