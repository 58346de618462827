"""Keys and shapes of full-size checkpoints, as tensors without values."""

from __future__ import annotations

import ast
import functools
import json
import lzma

import numpy as np

from tests.golden_files import FOLDER
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors


@functools.cache
def key_lists() -> dict[str, list[list[str]]]:
    """Rows of every list: key and shape; or, of `hf_tf_*`, also the port's key and shape."""
    return json.loads(lzma.decompress((FOLDER / "checkpoint_keys.json.xz").read_bytes()))


def tensors_of(name: str) -> Tensors:
    """The tensors of a list. They take no memory; every value is 1."""
    return of_shapes({row[0]: ast.literal_eval(row[1]) for row in key_lists()[name]})


def of_shapes(shapes) -> Tensors:
    """Tensors of these shapes by key."""
    return Tensors({key: _ones(shape) for key, shape in shapes.items()})


def _ones(shape) -> StoredTensor:
    return StoredTensor(shape, "float32", lambda: np.broadcast_to(np.int8(1), shape))
