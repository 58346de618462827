"""Reads tensors from NumPy archives (.npz) and safetensors files."""

from __future__ import annotations

import functools
import json

import numpy as np

from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors, from_bfloat16, widened
from tf_biggan.files import npz_files
from tf_biggan.files.safetensors_files import open_safetensors

NUMBERS = "biuf"
# NumPy dtypes by their names in safetensors files.
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
    """Returns the arrays of an archive that `numpy.savez` wrote.

    Raises:
      ValueError: The archive is damaged, or holds something other than arrays of numbers.
    """
    arrays = npz_files.open_npz(path)
    others = sorted(name for name, array in arrays.items() if array.dtype.kind not in NUMBERS)
    if others:
        raise ValueError(
            f"Tensors in an .npz file must be numbers. Received: {path} with {others[:3]}."
        )
    return Tensors(
        {
            name: StoredTensor(array.shape, array.dtype.name, functools.partial(_npy, array))
            for name, array in arrays.items()
        }
    )


def _npy(array):
    return widened(array.read())


def read_safetensors(path: str) -> Tensors:
    """Returns the tensors of a safetensors file.

    Raises:
      ValueError: The file is damaged, or holds a tensor of an unknown type.
    """
    with open_safetensors(path) as stored:
        slices = {key: stored.get_slice(key) for key in stored.keys()}
        types = {key: (tuple(s.get_shape()), s.get_dtype()) for key, s in slices.items()}
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
    with open_safetensors(path) as stored:
        return widened(stored.get_tensor(key))


def _bfloat16(path, key):
    """Reads a bfloat16 tensor from a safetensors file as float32.

    The safetensors library cannot read it, because NumPy has no bfloat16. A file consists of the
    length of its header, a JSON header and the bytes of the tensors.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[key]
        start, end = entry["data_offsets"]
        file.seek(8 + length + start)
        bits = np.frombuffer(file.read(end - start), "<u2")
    return from_bfloat16(bits).reshape(entry["shape"])
