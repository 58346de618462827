"""Where pictures go, checked before the work begins."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

from tf_biggan import checks


def check_output_file(path: str, endings: Sequence[str]) -> None:
    """Raises ValueError unless a file of one of these endings can be written at `path`."""
    checks.require(
        path.lower().endswith(tuple(endings)),
        f"`output` must end in {' or '.join(endings)}",
        output=path,
    )
    checks.require(not os.path.isdir(path), "`output` must be a file, not a folder", output=path)
    check_output_place(path)


def output_folder(path: str) -> str:
    """The folder itself where `path` is a link to it.

    Raises:
      ValueError: it cannot be replaced by a new folder, as one of images is when it is complete.
    """
    folder = os.path.realpath(path)
    checks.require(
        not os.path.ismount(folder) and folder != os.path.realpath(os.curdir),
        "`output` must not be the current folder or a mounted one, which cannot be replaced; a new"
        " folder inside it would be accepted",
        output=path,
    )
    check_output_place(folder)
    return folder


def check_output_place(path: str) -> None:
    """Raises ValueError unless something can be written at `path`."""
    folder = os.path.dirname(path) or "."
    checks.require(os.path.isdir(folder), "the folder of `output` must exist", output=path)
    try:
        # Permissions do not tell of a full or read-only disk, nor anything to an administrator.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"The folder of `output` must be writable. Received: {path} ({error.strerror})."
        ) from error
