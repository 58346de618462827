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
    """1,797 images of 8x8, stored as 0..16 and read as 0..255 (see digits_attribution.txt)."""

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
      ValueError: Another location or split was asked for.
    """
    checks.require(location == "", "the digits have no path: write `digits`", received=location)
    checks.require(split in (None, "train"), "the only split of the digits is train", split=split)
    return DigitsSource()
