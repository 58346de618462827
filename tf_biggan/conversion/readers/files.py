"""One entry for every format of file; the content says which it is, not the name."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections.abc import Mapping
from typing import Any

from tf_biggan import checks
from tf_biggan.conversion.readers.arrays import NPY, read_npz, read_safetensors
from tf_biggan.conversion.readers.pytorch import PICKLE_ENTRY, ZIP_HEAD, read_contents
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors

FORMATS = ".pth, .pt, .bin (PyTorch), .npz or .safetensors"
# Where training frameworks keep the weights beside other things.
WEIGHTS_ENTRIES = ("state_dict", "model", "model_state_dict")
PARALLEL_PREFIX = "module."


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
      tensors: the weights by key, without the prefix of DataParallel.
      other: what lies beside them, such as "optimizer" or "meta"; plain values, with
        `StoredTensor`s where there are tensors.
    """

    tensors: Tensors
    other: Mapping[str, Any]


def read_tensors(path: str) -> Tensors:
    """The tensors of a file by key, each read when it is asked for.

    A mapping below "state_dict" is taken as the weights; `module.` before every key is dropped.

    Raises:
      ValueError: the file is damaged, of an unknown format, or holds what is no tensor.
      OSError: it cannot be read.
    """
    return read_checkpoint(path).tensors


def read_checkpoint(path: str) -> Checkpoint:
    """As `read_tensors`, with what lies beside the weights."""
    checks.require(os.path.isfile(path), f"an input must be a file: {FORMATS}", path=path)
    kind = _kind(path)
    if kind in ("npz", "safetensors"):
        tensors = read_npz(path) if kind == "npz" else read_safetensors(path)
        return Checkpoint(_without_prefix(tensors), {})
    return _from_contents(path, read_contents(path))


def _kind(path):
    with open(path, "rb") as file:
        head = file.read(9)
    if head.startswith(ZIP_HEAD):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile as error:
            raise ValueError(f"A file must be complete. Received: {path} ({error}).") from error
        if any(name.endswith(PICKLE_ENTRY) for name in names):
            return "pytorch"
        checks.require(
            any(name.endswith(NPY) for name in names), f"an input must be {FORMATS}", path=path
        )
        return "npz"
    if head[8:] == b"{":
        return "safetensors"
    checks.require(head[:1] == b"\x80", f"an input must be {FORMATS}", path=path, begins_with=head)
    return "pytorch"


def _from_contents(path, contents):
    checks.require(
        isinstance(contents, Mapping),
        "a PyTorch file must hold a state_dict",
        path=path,
        holds=type(contents).__name__,
    )
    for entry in WEIGHTS_ENTRIES:
        if isinstance(contents.get(entry), Mapping):
            other = {key: value for key, value in contents.items() if key != entry}
            return Checkpoint(_tensors(contents[entry]), other)
    tensors = _tensors(contents)
    other = {key: value for key, value in contents.items() if not isinstance(value, StoredTensor)}
    return Checkpoint(tensors, other)


def _tensors(mapping):
    found = {k: v for k, v in mapping.items() if isinstance(v, StoredTensor)}
    others = [key for key in found if not isinstance(key, str)]
    checks.require(not others, "tensors must have names", keys=others[:3])
    return _without_prefix(Tensors(found))


def _without_prefix(tensors):
    if tensors and all(key.startswith(PARALLEL_PREFIX) for key in tensors):
        return tensors.below(PARALLEL_PREFIX)
    return tensors
