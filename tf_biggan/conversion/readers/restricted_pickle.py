"""Pickles of PyTorch's files without executing anything: what they may name is listed here.

A pickle is a program that may call whatever it names. This reader resolves names by the tables
below and never imports anything. Names of plain bookkeeping, which training frameworks store beside
the weights, become inert objects: their arguments, state and items are thrown away. Every other
name is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, BinaryIO

# By the name of a storage's class without "Storage", or of a dtype: (name of the type, bytes).
DTYPES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}

# Whole modules and single names whose objects mean nothing to a conversion.
INERT_MODULES = ("mmengine", "mmcv", "numpy")
ACTIVATIONS = ("ELU", "GELU", "LeakyReLU", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Tanh")
INERT_NAMES = frozenset(
    # BigGAN-PyTorch stores a run's activations among its flags.
    {("torch.nn.modules.activation", name) for name in ACTIVATIONS}
    | {
        ("argparse", "Namespace"),
        ("_codecs", "encode"),
        ("torch", "device"),
        ("pathlib", "PosixPath"),
        ("datetime", "datetime"),
    }
)
# Types, and how mmengine's history of metrics names its methods: here it looks nothing up.
INERT_BUILTINS = frozenset(
    ("bytearray", "bytes", "complex", "dict", "float", "frozenset", "getattr", "int", "list")
    + ("object", "set", "slice", "str", "tuple")
)
BUILTINS = ("builtins", "__builtin__")


class Dictionary(dict):
    """Stands for every kind of dictionary: keeps items, drops attributes such as `_metadata`."""

    def __setstate__(self, state):
        pass


class Inert:
    """Stands for an object of no interest: takes anything, does nothing, keeps nothing."""

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return self

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, item):
        """Drops the item."""

    def extend(self, items):
        """Drops the items."""

    def add(self, item):
        """Drops the item."""


class RestrictedUnpickler(pickle.Unpickler):
    """Reads one pickle of plain values, dictionaries and tensors.

    Args:
      file: where the pickle begins.
      storage: called as storage(dtype, key, size) for every storage that is named; returns what
        `tensor` is given.
      tensor: called as tensor(storage, offset, shape, strides); returns what stands for a tensor.

    Raises:
      ValueError: by `load`, of a name that is not listed.
    """

    def __init__(self, file: BinaryIO, storage: Callable, tensor: Callable):
        # Python 2 wrote texts as bytes.
        super().__init__(file, encoding="utf-8")
        self._storage = storage
        self._tensor = tensor

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): Dictionary,
            ("collections", "defaultdict"): lambda *args: Dictionary(),
            ("torch", "Size"): lambda sizes=(): tuple(sizes),
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild,
            ("torch._utils", "_rebuild_parameter"): lambda data, *args: data,
        }
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name.removesuffix("Storage") in DTYPES:
            return name.removesuffix("Storage")
        if module == "torch" and name in DTYPES.values():
            return name
        if _is_inert(module, name):
            return Inert
        raise ValueError(
            "A PyTorch file may only hold tensors, plain values and known bookkeeping; nothing of"
            f" it was executed. Received: one that names {module}.{name}. Of a whole network that"
            " was saved, save its state_dict() instead."
        )

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "module":
            return pid[1]  # Before 1.6: the class of a layer, with its source code.
        kind, dtype, key, _, size, *view = pid
        if kind != "storage" or dtype not in DTYPES or any(part is not None for part in view):
            raise ValueError(f"A tensor's storage must be of a known kind. Received: {pid!r}.")
        return self._storage(DTYPES[dtype], str(key), int(size))

    def _rebuild(self, storage, offset, shape, strides, *rest):
        return self._tensor(storage, offset, shape, strides)


def _is_inert(module, name):
    if module in BUILTINS:
        return name in INERT_BUILTINS
    return (module, name) in INERT_NAMES or module.split(".")[0] in INERT_MODULES
