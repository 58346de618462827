"""The cache on disk: its folder, and arrays by key with a limited total size."""

from __future__ import annotations

import contextlib
import os
import pathlib

import numpy as np

from tf_biggan.files.array_files import read_npz
from tf_biggan.files.atomic import remove_leftovers, replaced
from tf_biggan.files.file_paths import expand_home

VARIABLE = "TF_BIGGAN_CACHE"
DEFAULT_FOLDER = "~/.cache/tf_biggan"
LIMIT_BYTES = 8 << 30


def cache_folder() -> pathlib.Path:
    """Returns `$TF_BIGGAN_CACHE`, or ~/.cache/tf_biggan; the folder may not exist yet."""
    return pathlib.Path(expand_home(os.environ.get(VARIABLE) or DEFAULT_FOLDER))


class ArrayCache:
    """A cache of named arrays by key, one npz file per key.

    When the files exceed the limit, those that were read least recently are deleted.

    Args:
      folder: folder of the cache, created when something is stored; None to keep nothing.
      limit: highest number of bytes of all files together.
    """

    def __init__(self, folder: str | os.PathLike | None, limit: int = LIMIT_BYTES):
        self._folder = None if folder is None else pathlib.Path(folder)
        self._limit = limit

    @property
    def keeps(self) -> bool:
        """Whether the cache has a folder."""
        return self._folder is not None

    def read(self, key: str) -> dict[str, np.ndarray] | None:
        """Returns the arrays under a key; None if there are none or the file is damaged."""
        if self._folder is None:
            return None
        path = self._path(key)
        try:
            arrays = read_npz(path)
            os.utime(path)
        except (OSError, ValueError):
            return None
        return arrays

    def store(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        """Stores arrays, unless they alone exceed the limit or the disk is full."""
        if self._folder is None or sum(a.nbytes for a in arrays.values()) > self._limit:
            return
        path = self._path(key)
        # A full disk must not make the evaluation fail.
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            # Leftovers of other keys too, because no command may ever write those keys again.
            remove_leftovers(str(self._folder))
            with replaced(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, **arrays)
            self._make_room(path)

    def _path(self, key):
        return self._folder / f"{key}.npz"

    def _make_room(self, newest):
        entries = []
        for path in self._folder.glob("*.npz"):
            with contextlib.suppress(OSError):
                state = path.stat()
                entries.append((path != newest, -state.st_mtime, state.st_size, path))
        total = 0
        for _, _, size, path in sorted(entries):
            total += size
            if total > self._limit:
                path.unlink(missing_ok=True)
