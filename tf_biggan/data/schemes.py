"""`open_source`: from a specification on the command line to a source of images."""

from __future__ import annotations

import os

from tf_biggan import checks
from tf_biggan.data import digits, folder, tfds, tfrecord
from tf_biggan.data.source import Source

FORMS = ("digits", "tfds:NAME", "folder:PATH", "tfrecord:PATH")


def open_source(
    specification: str,
    *,
    split: str | None = None,
    data_dir: str | None = None,
    download: bool = False,
) -> Source:
    """The source that `specification` names, with its classes and labels found in the data.

    Args:
      specification: `digits`, `tfds:NAME`, `folder:PATH` or `tfrecord:PATH`.
      split: for tfds its split or slice ("train" by default); for a folder of images or records
        the sub-folder to use instead of the folder itself.
      data_dir: where prepared tfds data sets lie; else TensorFlow Datasets' own default.
      download: whether a tfds data set that is not there may be downloaded.

    Raises:
      ValueError: nothing of that form, or nothing usable there; one line says what and why.
    """
    kind, _, location = specification.partition(":")
    openers = {
        "digits": lambda: digits.open_digits(location, split),
        "tfds": lambda: tfds.open_tfds(location, split, data_dir, download),
        "folder": lambda: folder.open_folder(location, split),
        "tfrecord": lambda: tfrecord.open_tfrecord(location, split),
    }
    checks.require(
        kind in openers,
        f"a data set must be given as one of {', '.join(FORMS)}{_about_path(specification)}",
        dataset=specification,
    )
    return openers[kind]()


def _about_path(specification: str) -> str:
    if os.path.isdir(specification):
        return f"; folder:{specification} would be accepted"
    return "" if os.path.exists(specification) else "; a path of that name does not exist"
