"""Opens a data set by its specification: digits, tfds:NAME, folder:PATH or tfrecord:PATH."""

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
    """Opens a data set. Its classes and labels are found from the data.

    Args:
      specification: `digits`, `tfds:NAME`, `folder:PATH` or `tfrecord:PATH`.
      split: Split or slice of a tfds data set, "train" by default; or sub-folder of PATH.
      data_dir: Folder of prepared tfds data sets. Default: that of TensorFlow Datasets.
      download: Whether a tfds data set that is not in `data_dir` is downloaded.

    Raises:
      ValueError: The specification has another form, or the data cannot be used. The message is one
        line.
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
        f"a data set must have one of the forms {', '.join(FORMS)}{_about_path(specification)}",
        dataset=specification,
    )
    return openers[kind]()


def _about_path(specification: str) -> str:
    if os.path.isdir(specification):
        return (
            f"; this path exists, so write folder:{specification} (images) or"
            f" tfrecord:{specification} (written by `prepare`)"
        )
    return "" if os.path.exists(specification) else ", and no file or folder of this name exists"
