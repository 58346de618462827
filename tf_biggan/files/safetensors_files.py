"""Reads safetensors files after a check of their sizes; writes them with the usual permissions."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tf_biggan.files import input_bounds

LENGTH_BYTES = 8


def write_safetensors(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes arrays to a safetensors file whose permissions follow the umask.

    The library alone would make the file readable for its owner only.

    Args:
      path: Path of the file.
      arrays: Arrays by key.
      metadata: Texts by name for the header of the file.

    Raises:
      OSError: The file cannot be written.
      safetensors.SafetensorError: The library cannot write it.
    """
    with open(path, "wb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    save_file(dict(arrays), path, metadata)
    os.chmod(path, mode)


@contextlib.contextmanager
def open_safetensors(path: str | os.PathLike) -> Iterator[safe_open]:
    """Opens a safetensors file, whose tensors are read as NumPy arrays on demand.

    The library checks that the tensors fill the file and do not overlap.

    Raises:
      ValueError: The file does not exist or is damaged.
    """
    limit = input_bounds.SAFETENSORS_HEADER_BYTES
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if length > limit:
            raise SafetensorError(
                f"its header has {length} bytes, and at most {limit} are accepted"
            )
        with safe_open(path, framework="numpy") as stored:
            yield stored
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"Cannot read the safetensors file {os.fspath(path)}: {reason.splitlines()[0]}."
            " Copy or download it again."
        ) from error
