"""Reads the signatures of a SavedModel without loading its weights, and formats them as text."""

from __future__ import annotations

import dataclasses
import os

import tensorflow as tf

from tf_biggan import checks
from tf_biggan.files import saved_model_files
from tf_biggan.store.saved_models import is_saved_model

SERVE_TAG = "serve"
INTERNAL = "__saved_model"


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature of a SavedModel, described as text.

    Attributes:
      name: Name of the signature.
      inputs, outputs: Text such as "float32 [N, 128]" for each tensor, by name.
    """

    name: str
    inputs: dict[str, str]
    outputs: dict[str, str]


def read_signatures(folder: str) -> list[Signature]:
    """Returns the signatures of the SavedModel in a folder, sorted by name.

    Raises:
      ValueError: The folder holds no SavedModel that can be read.
    """
    checks.require_existing("SavedModel", folder, "a folder that `export` wrote")
    checks.require(
        is_saved_model(folder),
        f"there must be a SavedModel in the folder, such as {os.path.join(folder, '1')}",
        path=folder,
    )
    message = saved_model_files.read(folder)
    checks.require(bool(message.meta_graphs), "a SavedModel must be complete", path=folder)
    graphs = [graph for graph in message.meta_graphs if SERVE_TAG in graph.meta_info_def.tags]
    checks.require(bool(graphs), f"a SavedModel must have the tag {SERVE_TAG}", path=folder)
    found = graphs[0].signature_def.items()
    return [
        Signature(name, _tensors(signature.inputs), _tensors(signature.outputs))
        for name, signature in sorted(found)
        if not name.startswith(INTERNAL)
    ]


def signature_lines(signatures: list[Signature]) -> list[str]:
    """Returns lines that list each signature's inputs (marked "<-") and outputs ("->")."""
    lines = []
    for signature in signatures:
        lines.append(signature.name)
        for arrow, tensors in (("<-", signature.inputs), ("->", signature.outputs)):
            width = max(map(len, tensors), default=0)
            lines += [f"  {arrow} {name:<{width}}  {kind}" for name, kind in tensors.items()]
    return lines


def _tensors(infos):
    return {name: _described(info) for name, info in sorted(infos.items())}


def _described(info):
    dtype = tf.as_dtype(info.dtype).name
    if info.tensor_shape.unknown_rank:
        return f"{dtype} of any shape"
    sizes = [
        "N" if place == 0 else str(dim.size) for place, dim in enumerate(info.tensor_shape.dim)
    ]
    return f"{dtype} [{', '.join('?' if size == '-1' else size for size in sizes)}]"
