"""NumPy's archives (.npz) from elsewhere: first shapes, then arrays that are asked for."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import os
from collections.abc import Callable

import numpy as np

from tf_biggan.checks import require_existing
from tf_biggan.files import input_bounds
from tf_biggan.files.archives import Archive

NPY = ".npy"
LONGEST_REASON = 400
# Booleans, integers, floats, complex numbers and texts; objects are pickled, records have no use.
PLAIN_KINDS = "biufcUS"
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """One array in an archive.

    Attributes:
      shape: its axes.
      dtype: as stored.
      read: gives the array; raises ValueError where its bytes are damaged.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


def read_npz(path: str | os.PathLike, content: bytes | None = None) -> dict[str, np.ndarray]:
    """All arrays of an archive by name; see `open_npz`."""
    return {name: array.read() for name, array in open_npz(path, content).items()}


def open_npz(path: str | os.PathLike, content: bytes | None = None) -> dict[str, StoredArray]:
    """The arrays of an archive by name; nothing in it is executed.

    Args:
      path: of the file, which messages name.
      content: the file's bytes where they are in memory already.

    Raises:
      ValueError: it is not there, damaged, or holds anything but plain arrays of the size that
        their headers say.
    """
    if content is None:
        require_existing(".npz file", os.fspath(path), "a file of arrays")
    try:
        archive = Archive(path, content)
        names = [name for name in archive.names if name.endswith(NPY)]
        return {name.removesuffix(NPY): _stored(archive, name) for name in names}
    except (OSError, ValueError) as error:
        raise _damaged(path, getattr(error, "strerror", None) or error) from error


def _stored(archive, name):
    with archive.open(name) as file:
        head = io.BytesIO(file.read(input_bounds.NPY_HEADER_BYTES))
    try:
        shape, fortran, dtype = HEADERS[np.lib.format.read_magic(head)](head)
    # A header is a Python literal: what parsing it raises depends on what is in it.
    except Exception as error:
        raise ValueError(f"{name} has no header that NumPy writes: {error!r}"[:200]) from error
    if dtype.hasobject:
        raise ValueError(f"{name} is pickled")
    if dtype.kind not in PLAIN_KINDS or min(shape, default=0) < 0:
        raise ValueError(f"{name} is no plain array: {dtype} {shape}"[:200])
    start, wanted = head.tell(), math.prod(shape) * dtype.itemsize
    if wanted != archive.size(name) - start:
        raise ValueError(f"{name} has {archive.size(name) - start} bytes, not {wanted}"[:200])
    read = functools.partial(_array, archive, name, start, shape, dtype, fortran)
    return StoredArray(shape, dtype, read)


def _array(archive, name, start, shape, dtype, fortran):
    try:
        content = archive.read(name)[start:]
    except ValueError as error:
        raise _damaged(archive.path, f"{name}: {error}") from error
    if not content.size:
        return np.zeros(shape, dtype)
    flat = content.view(dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _damaged(path, reason):
    lines = str(reason)[:LONGEST_REASON].splitlines()
    return ValueError(
        "An .npz file must be there, complete and of plain arrays."
        f" Received: {path} ({lines[0] if lines else 'unreadable'})."
    )
