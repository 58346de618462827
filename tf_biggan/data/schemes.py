"""Opens a data set by its specification: digits, tfds:NAME, folder:PATH or tfrecord:PATH.

The hand-written digits come with the package, so they need no download.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data import decoding, folder, tfds, tfrecord
from tf_biggan.data.source import Source
from tf_biggan.files import file_system

FORMS = ("digits", "tfds:NAME", "folder:PATH", "tfrecord:PATH")
DIGITS_FILE = pathlib.Path(__file__).with_name("digits.npz")
INK = 16


def open_source(
    specification: str,
    *,
    split: str | None = None,
    data_dir: str | None = None,
    download: bool = False,
) -> Source:
    """Opens a data set. Its classes and labels are read from the data.

    Args:
      specification: `digits`, `tfds:NAME`, `folder:PATH` or `tfrecord:PATH`.
      split: Split or slice of a tfds data set ("train" by default), or a sub-folder of PATH.
      data_dir: Folder of prepared tfds data sets. Default: the folder of TensorFlow Datasets.
      download: Whether a tfds data set that is not in `data_dir` is downloaded.

    Raises:
      ValueError: The specification has another form, or the data cannot be used. The message is one
        line.
    """
    kind, _, location = specification.partition(":")
    openers = {
        "digits": lambda: open_digits(location, split),
        "tfds": lambda: tfds.open_tfds(location, split, data_dir, download),
        "folder": lambda: folder.open_folder(location, split),
        "tfrecord": lambda: tfrecord.open_tfrecord(location, split),
    }
    checks.require(
        kind in openers,
        f"a data set must have one of the forms {', '.join(FORMS)}{_about_path(specification)}",
        dataset=specification,
    )
    return openers[kind]()


def _about_path(specification: str) -> str:
    if file_system.isdir(specification):
        return (
            f"; this path exists, so write folder:{specification} (images) or"
            f" tfrecord:{specification} (written by `prepare`)"
        )
    return (
        "" if file_system.exists(specification) else ", and no file or folder of this name exists"
    )


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
    """Opens the data set `digits`. `location` must be empty, and the only split is "train".

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
