"""Checks of output paths, which the commands make before they compute anything."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

from tf_biggan import checks


def check_output_file(path: str, endings: Sequence[str]) -> None:
    """Raises ValueError unless `path` has one of the endings and can be written."""
    checks.require(
        path.lower().endswith(tuple(endings)),
        f"`output` must end in {' or '.join(endings)}",
        output=path,
    )
    checks.require(not os.path.isdir(path), "`output` must be a file, not a folder", output=path)
    check_output_place(path)


def output_folder(path: str) -> str:
    """Returns the path of an output folder, with symbolic links resolved.

    Raises:
      ValueError: The folder cannot be replaced by a new one when its images are complete.
    """
    folder = os.path.realpath(path)
    checks.require(
        not os.path.ismount(folder) and folder != os.path.realpath(os.curdir),
        "`output` must not be the current folder or a mounted one, because the finished folder"
        " replaces it; use a folder inside it",
        output=path,
    )
    check_output_place(folder)
    return folder


def check_output_place(path: str) -> None:
    """Raises ValueError unless the folder of `path` exists and is writable."""
    folder = os.path.dirname(path) or "."
    checks.require(os.path.isdir(folder), "the folder of `output` must exist", output=path)
    try:
        # A test file also finds full and read-only disks, which permissions do not show.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"The folder of `output` must be writable. Received: {path} ({error.strerror})."
        ) from error
