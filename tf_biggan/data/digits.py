"""Hand-written digits that come with the package, so that nothing has to be downloaded."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data import decoding
from tf_biggan.data.source import Source

DIGITS_FILE = pathlib.Path(__file__).with_name("digits.npz")
INK = 16


class DigitsSource(Source):
    """The data set `digits`: 1,797 hand-written digits of 8x8 pixels, in 10 classes.

    Pixels are stored as 0..16 and read as 0..255. Source: digits_attribution.txt.
    """

    def __init__(self):
        with np.load(DIGITS_FILE) as stored:
            pixels, labels = stored["images"], stored["labels"]
        super().__init__("digits", tuple("0123456789"), labels)
        levels = np.round(pixels.astype(np.float64) * (255 / INK)).astype(np.uint8)
        with tf.device("CPU:0"):
            self._pixels = tf.constant(levels[..., np.newaxis])

    def load(self, index, channels):
        return decoding.from_grey(self._pixels[index], channels)

    def locate(self, index):
        return f"{DIGITS_FILE.name} image {index}"


def open_digits(location: str, split: str | None) -> DigitsSource:
    """Opens the digits. `location` must be empty, and the only split is "train".

    Raises:
      ValueError: Another location or split is given.
    """
    checks.require(
        location == "",
        "the data set `digits` comes with the package and takes no path; write --dataset=digits",
        received=location,
    )
    checks.require(
        split in (None, "train"),
        "the data set `digits` has only the split train; leave out --split",
        split=split,
    )
    return DigitsSource()
