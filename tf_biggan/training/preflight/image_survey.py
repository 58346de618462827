"""Looks at some images of a data set as they are stored: sizes, colours and duplicates."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf

from tf_biggan.data.decoding import naming_unreadable
from tf_biggan.data.source import Source

MOST_IMAGES = 1000
RGB = 3


@dataclasses.dataclass(frozen=True)
class ImageSurvey:
    """What was found in the images that were looked at.

    Attributes:
      count: Number of images that were looked at.
      grey: How many of them have no colours.
      shortest_sides: Median, smallest and largest length of the shorter side in pixels.
      copies: How many of them have the same pixels as an earlier one.
      example: Places of two images with the same pixels; () if there are none.
    """

    count: int
    grey: int
    shortest_sides: tuple[int, int, int]
    copies: int
    example: tuple[str, ...] = ()


def survey(source: Source, most: int = MOST_IMAGES) -> ImageSurvey:
    """Looks at up to `most` images, evenly spread over the data.

    Raises:
      ValueError: An image is unreadable. The message names it.
    """
    count = min(most, source.num_images)
    indices = np.arange(count, dtype=np.int64) * source.num_images // count
    found = tf.data.Dataset.from_tensor_slices(indices).map(
        lambda index: source.load(index, RGB), num_parallel_calls=tf.data.AUTOTUNE
    )
    grey, sides, places, copies = 0, [], {}, []
    with naming_unreadable():
        for index, pixels in zip(indices.tolist(), found.as_numpy_iterator(), strict=True):
            grey += bool((pixels == pixels[..., :1]).all())
            sides.append(min(pixels.shape[:2]))
            key = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
            first = places.setdefault(key, index)
            copies += [(first, index)] if first != index else []
    example = tuple(map(source.locate, copies[0])) if copies else ()
    shortest = (int(np.median(sides)), min(sides), max(sides))
    return ImageSurvey(count, grey, shortest, len(copies), example)
