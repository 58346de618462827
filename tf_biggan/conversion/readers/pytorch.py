"""Reads PyTorch files (.pth, .pt, .bin) without PyTorch and without executing any of their code.

A file holds the bytes of storages (one-dimensional arrays) and a pickle that refers to them. Since
PyTorch 1.6, the pickle and the storages are entries of a zip archive. Older files hold four pickles
in sequence, followed by the size and the bytes of each storage.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tf_biggan.checks import require
from tf_biggan.conversion.readers.restricted_pickle import (
    COPY_AGAIN,
    PickleFile,
    RestrictedUnpickler,
)
from tf_biggan.conversion.readers.tensors import (
    StoredTensor,
    from_bfloat16,
    require_plausible,
    widened,
)
from tf_biggan.files import file_system, input_bounds
from tf_biggan.files.archives import Archive

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
ZIP_HEAD = b"PK"
PICKLE_ENTRY = "/data.pkl"
BYTE_ORDERS = {b"little": "<", b"big": ">"}
READ_AHEAD = 1 << 20
LONGEST_REASON = 400


@dataclasses.dataclass(frozen=True)
class Storage:
    """A one-dimensional array in a PyTorch file. Tensors are views of such arrays.

    Attributes:
      dtype: Name of the NumPy dtype, or "bfloat16".
      size: Number of elements.
      byte_order: "<" for little-endian, ">" for big-endian.
      read_bytes: Function that reads the bytes of the whole array.
    """

    dtype: str
    size: int
    byte_order: str
    read_bytes: Callable[[], Any]

    @property
    def element(self) -> np.dtype:
        """NumPy dtype of the stored elements; uint16 for bfloat16, whose bits are read."""
        name = "uint16" if self.dtype == "bfloat16" else self.dtype
        return np.dtype(name).newbyteorder(self.byte_order)

    @property
    def num_bytes(self) -> int:
        """Number of bytes that the array has in the file."""
        return self.size * self.element.itemsize

    def read(self) -> np.ndarray:
        """Reads the array, in native byte order. float16 and bfloat16 become float32."""
        data = self.read_bytes()
        if len(data) != self.num_bytes:
            raise ValueError(
                f"the file is damaged: a storage of {self.size} elements needs"
                f" {self.num_bytes} bytes. Received: {len(data)}."
            )
        array = np.frombuffer(data, self.element)
        array = array.astype(self.element.newbyteorder("="), copy=False)
        return from_bfloat16(array) if self.dtype == "bfloat16" else widened(array)


class Storages:
    """Collects the storages to which a pickle refers, and makes tensors from them.

    Args:
      path: Path of the file.
      make: Function make(dtype, key, size) that returns the `Storage` for a new key.

    Attributes:
      by_key: The storages by key.
    """

    def __init__(self, path: str, make: Callable[[str, str, int], Storage]):
        self._path, self._make = path, make
        self._views, self._shared = Counter(), {}
        self.by_key: dict[str, Storage] = {}

    def __call__(self, dtype: str, key: str, size: int) -> str:
        """Registers a storage and returns its key."""
        storage = self.by_key.get(key) or self._make(dtype, key, size)
        require(
            (storage.dtype, storage.size) == (dtype, size),
            "the file is damaged: it declares a storage twice, with different types or sizes",
            storage=key,
        )
        self.by_key[key] = storage
        return key

    def tensor(self, key: str, offset: int, shape, strides) -> StoredTensor:
        """Returns a tensor that is a view of a storage.

        An error is raised if the view does not lie inside the storage, because reading such a view
        would access other memory of the process.
        """
        storage = self.by_key[key]
        shape, strides = _integers(shape), _integers(strides)
        count = math.prod(shape)
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        inside = not count or (min((offset, *shape, *strides)) >= 0 and last < storage.size)
        require(
            inside and 0 <= count <= storage.size and min(shape, default=0) >= 0,
            f"the file is damaged: a tensor lies outside of its storage of {storage.size} elements",
            offset=offset,
            shape=shape,
            strides=strides,
        )
        self._views[key] += 1
        read = functools.partial(self._view, key, offset, shape, strides)
        return StoredTensor(shape, storage.dtype, read)

    def _view(self, key, offset, shape, strides):
        array = self._array(key)
        if not math.prod(shape):
            return np.zeros(shape, array.dtype)
        steps = tuple(stride * array.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(array[offset:], shape, steps, writeable=False)

    def _array(self, key):
        """Returns the array of a storage. If several tensors share it, it is read only once."""
        if self._views[key] == 1:
            return self.by_key[key].read()
        if key not in self._shared:
            self._shared[key] = self.by_key[key].read()
        return self._shared[key]

    def check(self, placed: Sequence[tuple[str, int]]) -> None:
        """Raises ValueError if the tensors together are far larger than the storages.

        Tensors may share a storage. Without this limit, a file of a few bytes could describe
        tensors that fill the memory.

        Args:
          placed: Key and number of bytes of each tensor.
        """
        require_plausible([key for key, _ in placed], self._path)
        stored = sum(storage.num_bytes for storage in self.by_key.values())
        declared, ratio = sum(size for _, size in placed), input_bounds.SHARED_RATIO
        require(
            declared <= ratio * stored + input_bounds.FILLED_BYTES,
            f"the file is refused, because its tensors are more than {ratio} times as large"
            " as the stored numbers; save tensors that share no memory (tensor.clone())",
            tensors_bytes=declared,
            stored_bytes=stored,
        )


def read_contents(path: str) -> Any:
    """Returns the object that `torch.save` wrote to a file.

    The object consists of dictionaries, lists, plain values and `StoredTensor`s. Objects that a
    conversion does not need are replaced by an `Inert` object.

    Raises:
      ValueError: The file is damaged, refers to anything but tensors, plain values and objects
        that the reader knows to ignore, or would take far more memory than its size.
    """
    try:
        with file_system.open_file(path, "rb") as file:
            zipped = file.read(len(ZIP_HEAD)) == ZIP_HEAD
        return _read_zip(path) if zipped else _read_older(path)
    except ValueError as error:
        reason = str(error)[:LONGEST_REASON]
        raise ValueError(f"Cannot read {path}: {reason[:1].lower()}{reason[1:]}") from error
    except OSError:
        raise
    except Exception as error:  # A damaged pickle can raise any type of error.
        reason = f"{type(error).__name__}: {error}"[:LONGEST_REASON]
        raise ValueError(
            f"Cannot read {path}: it is damaged, or torch.save did not write it ({reason})."
            " Copy or download it again."
        ) from error


def _read_zip(path):
    archive = Archive(path)
    names = set(archive.names)
    (pickle_name,) = [name for name in names if name.endswith(PICKLE_ENTRY)]
    folder = pickle_name.removesuffix(PICKLE_ENTRY)
    byte_order = _byte_order(archive, f"{folder}/byteorder")

    def storage(dtype, key, size):
        entry = f"{folder}/data/{key}"
        require(
            entry in names,
            f"the file is incomplete: a storage is missing; {COPY_AGAIN}",
            missing=entry,
        )
        made = Storage(dtype, size, byte_order, functools.partial(archive.read, entry))
        require(
            made.num_bytes == archive.size(entry),
            f"the file is damaged: a storage of {size} elements needs {made.num_bytes} bytes;"
            f" {COPY_AGAIN}",
            entry=entry,
            bytes=archive.size(entry),
        )
        return made

    storages = Storages(path, storage)
    with archive.open(pickle_name, PickleFile) as file:
        unpickler = RestrictedUnpickler(file, storages, storages.tensor)
        value = unpickler.load()
    storages.check(unpickler.placed)
    return value


def _byte_order(archive, entry):
    if entry not in archive.names:
        return "<"
    with archive.open(entry) as file:
        order = file.read(max(map(len, BYTE_ORDERS)) + 1)
    require(
        order in BYTE_ORDERS,
        f"the file is damaged: its byte order is neither little nor big; {COPY_AGAIN}",
        byteorder=order,
    )
    return BYTE_ORDERS[order]


def _read_older(path):
    places = {}

    def storage(dtype, key, size):
        return Storage(dtype, size, "<", functools.partial(_span, path, places, key))

    storages = Storages(path, storage)
    with PickleFile(file_system.open_unbuffered(path), READ_AHEAD) as file:

        def load():
            return RestrictedUnpickler(file, storages, storages.tensor).load()

        if load() != MAGIC_NUMBER or load() != PROTOCOL_VERSION:
            raise ValueError("the file does not begin with the magic number of a PyTorch file.")
        if not load().get("little_endian", True):
            raise ValueError(
                "a file in the format of PyTorch before 1.6 must be little-endian. Save it again"
                " with a newer PyTorch."
            )
        unpickler = RestrictedUnpickler(file, storages, storages.tensor)
        value, keys = unpickler.load(), load()
        _place_storages(file, [str(key) for key in keys], storages.by_key, places)
    storages.check(unpickler.placed)
    return value


def _place_storages(file, keys, storages, places):
    position, end = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(position)
    for key in keys:
        (size,) = struct.unpack("<q", file.read(8))
        require(
            size == storages[key].size,
            f"the file is damaged: its pickle declares a storage of {storages[key].size} elements;"
            f" {COPY_AGAIN}",
            elements=size,
        )
        places[key] = (file.tell(), storages[key].num_bytes)
        if sum(places[key]) > end:
            raise ValueError(f"the file is incomplete: it ends within a storage; {COPY_AGAIN}.")
        file.seek(sum(places[key]))
    if set(places) != set(storages) or len(keys) != len(places):
        raise ValueError(
            "the file is damaged: it does not hold each storage of its pickle exactly once;"
            f" {COPY_AGAIN}."
        )


def _span(path, places, key):
    start, length = places[key]
    with file_system.open_file(path, "rb") as file:
        file.seek(start)
        return file.read(length)


def _integers(values) -> tuple[int, ...]:
    """Returns the shape or strides of a tensor as integers, after checking them."""
    plain = isinstance(values, (tuple, list)) and len(values) <= input_bounds.TENSOR_AXES
    plain = plain and all(type(value) is int and abs(value) < 1 << 63 for value in values)
    require(
        plain,
        f"a tensor may have at most {input_bounds.TENSOR_AXES} axes, with sizes that are integers",
        axes=len(values) if isinstance(values, (tuple, list)) else type(values).__name__,
    )
    return tuple(values)
