"""Writes safetensors files that other users may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

import numpy as np
from safetensors.numpy import save_file


def write_safetensors(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes arrays to a safetensors file; its permissions follow the umask, as of other files.

    The library writes to a temporary file that only the owner may read, and renames it.

    Args:
      path: the file to write.
      arrays: the arrays by key.
      metadata: texts by name, for the file's header.

    Raises:
      OSError: the file cannot be written.
      safetensors.SafetensorError: the library cannot write it.
    """
    with open(path, "wb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    save_file(dict(arrays), path, metadata)
    os.chmod(path, mode)
