"""Reads untrusted .npz and safetensors files as NumPy arrays, and writes safetensors files.

Shapes and sizes are checked when a file is opened. An array is read when it is needed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tf_biggan.files import file_system, input_bounds
from tf_biggan.files.archives import Archive

NPY = ".npy"
LONGEST_REASON = 400
# NumPy's letters for booleans, integers, floats, complex numbers and texts. Python objects are
# refused because they are pickled, and records because this package never writes them.
PLAIN_KINDS = "biufcUS"
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
LENGTH_BYTES = 8


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array of an .npz file. Only its header has been read.

    Attributes:
      shape: Shape of the array.
      dtype: Data type of the array.
      read: Function that returns the array and raises a ValueError if its bytes are damaged.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


def read_npz(path: str | os.PathLike, content: bytes | None = None) -> dict[str, np.ndarray]:
    """Returns all arrays of an .npz file by name. See `open_npz` for arguments and errors."""
    return {name: array.read() for name, array in open_npz(path, content).items()}


def open_npz(path: str | os.PathLike, content: bytes | None = None) -> dict[str, StoredArray]:
    """Returns the arrays of an .npz file by name. `StoredArray.read` then reads their values.

    No code in the file is executed.

    Args:
      path: Path of the file, which error messages name.
      content: Bytes of the file if they are in memory already.

    Raises:
      ValueError: The file does not exist or is damaged. Or an array holds anything but numbers and
        texts, or has another size than its header declares.
    """
    if content is None:
        file_system.require_existing(".npz file", os.fspath(path), "a file of arrays")
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
    # A header is a Python literal, so the type of the error depends on its content.
    except Exception as error:
        raise ValueError(
            f"{name} does not begin with a header of NumPy: {error!r}"[:200]
        ) from error
    if dtype.hasobject:
        raise ValueError(f"{name} holds pickled Python objects, which are never read")
    if dtype.kind not in PLAIN_KINDS or min(shape, default=0) < 0:
        raise ValueError(f"{name} is not an array of numbers or texts: {dtype} {shape}"[:200])
    start, wanted = head.tell(), math.prod(shape) * dtype.itemsize
    if wanted != archive.size(name) - start:
        raise ValueError(
            f"{name} has {archive.size(name) - start} bytes; its header declares {wanted}"[:200]
        )
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
    lines = str(reason)[:LONGEST_REASON].rstrip(".").splitlines()
    return ValueError(
        f"Cannot read the .npz file {path}: {lines[0] if lines else 'it is unreadable'}. It"
        " must be complete and hold arrays without Python objects; write, copy or download it"
        " again."
    )


def write_safetensors(
    path: str | os.PathLike,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes arrays to a safetensors file whose permissions follow the umask.

    The safetensors library alone would make the file readable for its owner only.

    Args:
      path: Path of the file.
      arrays: Arrays by key.
      metadata: Strings to store in the header of the file, by name.

    Raises:
      OSError: The file cannot be written.
      safetensors.SafetensorError: The library cannot write these arrays.
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
        with file_system.open_file(path) as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if length > limit:
            raise SafetensorError(
                f"its header has {length} bytes, and at most {limit} are accepted"
            )
        # The library reads local files only.
        with (
            file_system.local_copy(path) as local,
            safe_open(local, framework="numpy") as stored,
        ):
            yield stored
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"Cannot read the safetensors file {os.fspath(path)}: {reason.splitlines()[0]}."
            " Copy or download it again."
        ) from error
