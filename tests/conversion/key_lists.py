"""Keys and shapes of published checkpoints at full size, as tensors without values."""

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
    """Returns each list as rows of key and shape; rows of `hf_tf_*` also have both in the port."""
    return json.loads(lzma.decompress((FOLDER / "checkpoint_keys.json.xz").read_bytes()))


def tensors_of(name: str) -> Tensors:
    """Returns the tensors of a list. Their values are 1, and they occupy no memory."""
    return of_shapes({row[0]: ast.literal_eval(row[1]) for row in key_lists()[name]})


def of_shapes(shapes) -> Tensors:
    """Returns tensors with the given shapes, by key."""
    return Tensors({key: _ones(shape) for key, shape in shapes.items()})


def _ones(shape) -> StoredTensor:
    return StoredTensor(shape, "float32", lambda: np.broadcast_to(np.int8(1), shape))
