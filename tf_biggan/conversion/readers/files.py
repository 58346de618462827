"""Reads files of weights in any supported format, which is detected from the file's content.

NumPy archives and safetensors files are read here, and PyTorch's files in `pytorch.py`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tf_biggan import checks
from tf_biggan.conversion.readers.pytorch import PICKLE_ENTRY, ZIP_HEAD, read_contents
from tf_biggan.conversion.readers.tensors import (
    StoredTensor,
    Tensors,
    from_bfloat16,
    require_plausible,
    widened,
)
from tf_biggan.files import array_files, file_system
from tf_biggan.files.archives import Archive
from tf_biggan.files.array_files import NPY, open_safetensors

FORMATS = ".pth, .pt, .bin (PyTorch), .npz or .safetensors"
# Keys under which training frameworks store the weights in a checkpoint.
WEIGHTS_ENTRIES = ("state_dict", "model", "model_state_dict")
# Parts that DataParallel and torch.compile add to keys. The networks' own keys have no such parts.
WRAPPERS = ("module", "_orig_mod")
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


def read_tensors(path: str) -> Tensors:
    """Returns the tensors of a file by key. Each tensor is read when it is accessed.

    If the file has an entry such as "state_dict", only the tensors in this entry are returned.
    Prefixes that DataParallel and torch.compile add to keys are removed.

    Raises:
      ValueError: The file is damaged, has an unknown format, or holds tensors without names.
      OSError: The file cannot be read.
    """
    contents = read_everything(path)
    entries = (contents.get(name) for name in WEIGHTS_ENTRIES)
    weights = next((entry for entry in entries if isinstance(entry, Mapping)), contents)
    found = {key: value for key, value in weights.items() if isinstance(value, StoredTensor)}
    others = [key for key in found if not isinstance(key, str)]
    checks.require(
        not others,
        "the file holds tensors without names; save the network's state_dict()",
        path=path,
        keys=others[:3],
    )
    keys, _ = without_wrappers(found)
    return Tensors({keys[key]: entry for key, entry in found.items()})


def read_everything(path: str) -> Mapping[Any, Any]:
    """Returns the contents of a file: dictionaries, lists, plain values and `StoredTensor`s.

    Raises:
      ValueError: The file is damaged, has an unknown format, or its content is not a dictionary.
      OSError: The file cannot be read.
    """
    checks.require(file_system.isfile(path), f"the weights must be a file: {FORMATS}", path=path)
    kind = _kind(path)
    if kind in ("npz", "safetensors"):
        entries = (read_npz(path) if kind == "npz" else read_safetensors(path)).entries
        require_plausible(entries, path)
        return entries
    contents = read_contents(path)
    checks.require(
        isinstance(contents, Mapping),
        "the PyTorch file holds no dictionary of tensors; save the network's state_dict()",
        path=path,
        holds=type(contents).__name__,
    )
    return contents


def without_wrappers(keys: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Removes the parts that DataParallel and torch.compile add to keys.

    If two keys would become equal, nothing is removed, because the parts then tell two networks
    apart.

    Returns:
      A tuple: the shortened key of each key, and the parts that were removed.
    """
    parts = {key: key.split(".") for key in keys}
    found = [name for name in WRAPPERS if any(name in one for one in parts.values())]
    short = {key: ".".join(p for p in one if p not in WRAPPERS) for key, one in parts.items()}
    if len(set(short.values())) < len(short):
        return {key: key for key in short}, ()
    return short, tuple(f"{name}." for name in found)


def _kind(path):
    with file_system.open_file(path, "rb") as file:
        head = file.read(9)
    if head.startswith(ZIP_HEAD):
        names = Archive(path).names
        if any(name.endswith(PICKLE_ENTRY) for name in names):
            return "pytorch"
        checks.require(
            any(name.endswith(NPY) for name in names),
            f"the zip archive has none of the accepted formats: {FORMATS}",
            path=path,
        )
        return "npz"
    if head[8:] == b"{":
        return "safetensors"
    checks.require(
        head[:1] == b"\x80",
        f"the file has none of the accepted formats: {FORMATS}",
        path=path,
        begins_with=head,
    )
    return "pytorch"


def read_npz(path: str) -> Tensors:
    """Returns the arrays of an archive that `numpy.savez` wrote.

    Raises:
      ValueError: The archive is damaged, or holds something other than arrays of numbers.
    """
    arrays = array_files.open_npz(path)
    others = sorted(name for name, array in arrays.items() if array.dtype.kind not in NUMBERS)
    if others:
        raise ValueError(
            f"Cannot read {path}: these entries are not arrays of numbers: {others[:3]}. Save"
            " the weights as numbers only."
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
            f"Cannot read {path}: a tensor has the type {unknown}. Accepted types are"
            f" {', '.join(SAFETENSORS_TYPES)}."
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

    The safetensors library cannot read such a tensor, because NumPy has no bfloat16. A safetensors
    file consists of the length of its header, a JSON header and the bytes of the tensors.
    """
    with file_system.open_file(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[key]
        start, end = entry["data_offsets"]
        file.seek(8 + length + start)
        bits = np.frombuffer(file.read(end - start), "<u2")
    return from_bfloat16(bits).reshape(entry["shape"])
