"""PyTorch's files (.pth, .pt, .bin), zipped and older ones, read without PyTorch.

Both forms hold a pickle that names storages, and the storages' bytes. Since PyTorch 1.6 they are
entries of a zip archive; before, one file: four pickles, then each storage after its size.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tf_biggan.conversion.readers.restricted_pickle import Inert, RestrictedUnpickler
from tf_biggan.conversion.readers.tensors import StoredTensor, from_bfloat16, widened

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
PICKLE_ENTRY = "/data.pkl"


@dataclasses.dataclass(frozen=True)
class Storage:
    """A one-dimensional array in the file; `read_bytes` reads all of it."""

    dtype: str
    size: int
    byte_order: str
    read_bytes: Callable[[], bytes]

    @property
    def element(self) -> np.dtype:
        """The stored element; bfloat16 as its bits."""
        name = "uint16" if self.dtype == "bfloat16" else self.dtype
        return np.dtype(name).newbyteorder(self.byte_order)

    def read(self) -> np.ndarray:
        """The array in native byte order."""
        data = self.read_bytes()
        if len(data) != self.size * self.element.itemsize:
            raise ValueError(
                f"A storage of {self.size} elements must have"
                f" {self.size * self.element.itemsize} bytes. Received: {len(data)}."
            )
        array = np.frombuffer(data, self.element)
        array = array.astype(self.element.newbyteorder("="), copy=False)
        return from_bfloat16(array) if self.dtype == "bfloat16" else widened(array)


def read_contents(path: str) -> Any:
    """What was given to `torch.save`: dictionaries, lists and plain values, with `StoredTensor`s.

    Objects of no interest are `Inert`.

    Raises:
      ValueError: the file is damaged, or names anything but tensors and bookkeeping.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_older(path)
    except ValueError as error:
        raise ValueError(f"{error} File: {path}.") from error
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise ValueError(
            "A PyTorch file must be complete and of a form that torch.save writes."
            f" Received: {path} ({type(error).__name__}: {error})."
        ) from error


def _read_zip(path):
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        (pickle_name,) = [name for name in names if name.endswith(PICKLE_ENTRY)]
        folder = pickle_name.removesuffix(PICKLE_ENTRY)
        order = "little"
        if f"{folder}/byteorder" in names:
            order = archive.read(f"{folder}/byteorder").decode()
        byte_order = {"little": "<", "big": ">"}[order]

        def storage(dtype, key, size):
            entry = f"{folder}/data/{key}"
            if entry not in names:
                raise ValueError(
                    f"Every storage must be in the archive. Received: none at {entry}."
                )
            return Storage(dtype, size, byte_order, functools.partial(_zip_entry, path, entry))

        with archive.open(pickle_name) as file:
            return RestrictedUnpickler(file, storage, _tensor).load()


def _zip_entry(path, entry):
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(entry)
    except zipfile.BadZipFile as error:
        raise ValueError(f"A PyTorch file must be complete. Received: {path} ({error}).") from error


def _read_older(path):
    storages, places = {}, {}

    def storage(dtype, key, size):
        if key not in storages:
            read = functools.partial(_span, path, places, key)
            storages[key] = Storage(dtype, size, "<", read)
        return storages[key]

    with open(path, "rb") as file:

        def load():
            return RestrictedUnpickler(file, storage, _tensor).load()

        if load() != MAGIC_NUMBER or load() != PROTOCOL_VERSION:
            raise ValueError("A PyTorch file must begin with its magic number.")
        if not load().get("little_endian", True):
            raise ValueError("A PyTorch file of the older form must be little-endian.")
        contents, keys = load(), load()
        _place_storages(file, [str(key) for key in keys], storages, places)
    return contents


def _place_storages(file, keys, storages, places):
    end = os.fstat(file.fileno()).st_size
    for key in keys:
        (size,) = struct.unpack("<q", file.read(8))
        if size != storages[key].size:
            raise ValueError(
                f"A storage must have the size that the pickle says, {storages[key].size}."
                f" Received: {size}."
            )
        places[key] = (file.tell(), size * storages[key].element.itemsize)
        file.seek(places[key][1], os.SEEK_CUR)
        if file.tell() > end:
            raise ValueError("A PyTorch file must be complete. Received: one that ends too early.")
    if set(places) != set(storages):
        raise ValueError("Every storage that the pickle names must be in the file.")


def _span(path, places, key):
    start, length = places[key]
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(length)


def _tensor(storage, offset, shape, strides):
    """A view of a storage; it must lie inside, or reading it would read other memory."""
    shape, strides = tuple(map(int, shape)), tuple(map(int, strides))
    count = int(np.prod(shape, dtype=object)) if shape else 1
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    fits = not count or (min((offset, *shape, *strides)) >= 0 and last < storage.size)
    if not fits or count > storage.size:
        raise ValueError(
            f"A tensor must lie inside its storage of {storage.size} elements. Received:"
            f" offset {offset}, shape {shape}, strides {strides}."
        )
    return StoredTensor(
        shape, storage.dtype, functools.partial(_view, storage, offset, shape, strides)
    )


def _view(storage, offset, shape, strides):
    array = storage.read()
    steps = tuple(stride * array.itemsize for stride in strides)
    if not np.prod(shape):
        return np.zeros(shape, array.dtype)
    return np.lib.stride_tricks.as_strided(array[offset:], shape, steps, writeable=False)


def is_plain(value: Any) -> bool:
    """Whether a value holds no tensor and nothing inert."""
    if isinstance(value, Mapping):
        return all(is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return all(is_plain(item) for item in value)
    return not isinstance(value, (StoredTensor, Inert))
