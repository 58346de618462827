"""NumPy's archives (.npz) and safetensors files."""

from __future__ import annotations

import functools
import json
import zipfile
import zlib

import numpy as np
from safetensors import SafetensorError, safe_open

from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors, from_bfloat16, widened

NPY = ".npy"
# What a safetensors file calls the types that it may hold.
SAFETENSORS_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def read_npz(path: str) -> Tensors:
    """The arrays of an archive that `numpy.savez` wrote.

    Raises:
      ValueError: it is damaged, or holds pickled objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(NPY)]
            return Tensors({name.removesuffix(NPY): _npy(path, archive, name) for name in names})
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ValueError(
            f"An .npz file must be complete and hold arrays only. Received: {path} ({error})."
        ) from error


def _npy(path, archive, name):
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError(f"{name} is pickled")
    return StoredTensor(shape, dtype.name, functools.partial(_npy_entry, path, name))


def _npy_entry(path, name):
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            return widened(np.lib.format.read_array(file, allow_pickle=False))
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise ValueError(
            f"An .npz file must be complete. Received: {path} ({name}: {error})."
        ) from error


def read_safetensors(path: str) -> Tensors:
    """The tensors of a safetensors file.

    Raises:
      ValueError: it is damaged, or holds a type that is not known here.
    """
    try:
        with safe_open(path, framework="numpy") as stored:
            slices = {key: stored.get_slice(key) for key in stored.keys()}
            types = {key: (tuple(s.get_shape()), s.get_dtype()) for key, s in slices.items()}
    except SafetensorError as error:
        raise ValueError(
            f"A safetensors file must be complete. Received: {path} ({error})."
        ) from error
    unknown = sorted({kind for _, kind in types.values()} - set(SAFETENSORS_TYPES))
    if unknown:
        raise ValueError(
            f"A tensor's type must be one of {', '.join(SAFETENSORS_TYPES)}. Received: {unknown}."
        )
    return Tensors(
        {
            key: StoredTensor(
                shape, SAFETENSORS_TYPES[kind], functools.partial(_safetensor, path, key, kind)
            )
            for key, (shape, kind) in types.items()
        }
    )


def _safetensor(path, key, kind):
    if kind == "BF16":
        return _bfloat16(path, key)
    with safe_open(path, framework="numpy") as stored:
        return widened(stored.get_tensor(key))


def _bfloat16(path, key):
    """NumPy has no such type, so the library does not read it: a length, a JSON header, bytes."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[key]
        start, end = entry["data_offsets"]
        file.seek(8 + length + start)
        bits = np.frombuffer(file.read(end - start), "<u2")
    return from_bfloat16(bits).reshape(entry["shape"])
