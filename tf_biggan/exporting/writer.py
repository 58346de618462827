"""A SavedModel's folder, written under a temporary name beside its own, then renamed."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import tensorflow as tf

from tf_biggan import replaced_file
from tf_biggan.model_store.export_metadata import EXTRA_FOLDER
from tf_biggan.replaced_file import check_new

# What TensorFlow puts around the reason: the node before it, the operation after it.
_KERNEL_NAMES = re.compile(r"^\{\{.*?\}\}\s*| \[Op:\w+\].*$")


@contextlib.contextmanager
def new_folder(path: str) -> Iterator[str]:
    """A temporary folder with an `assets.extra`, which has the name `path` once all went well.

    After an error, an interruption, or on a full disk, nothing of it is left.

    Raises:
      ValueError: there is something at `path`.
      OSError: it cannot be written.
    """
    check_new(path)
    check_writable(path)
    try:
        # TensorFlow Serving, which may be watching, takes only names that are numbers for versions.
        with replaced_file.new_folder(path) as temporary:
            os.mkdir(os.path.join(temporary, EXTRA_FOLDER))
            yield temporary
    except tf.errors.OpError as error:
        reason = _KERNEL_NAMES.sub("", str(error).splitlines()[0])
        raise OSError(f"The SavedModel cannot be written: {path} ({reason})") from error


def check_writable(path: str) -> None:
    """Raises OSError unless a folder can be made beside `path`, before hours of work for it."""
    try:
        probe = replaced_file.temporary_name(os.path.normpath(path))
        os.makedirs(probe)
        os.rmdir(probe)
    except OSError as error:
        raise OSError(f"The SavedModel cannot be written: {path} ({error.strerror})") from error
