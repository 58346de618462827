"""Describes a SavedModel as text: its metadata and its signatures. No weights are loaded."""

from __future__ import annotations

import dataclasses
import json
import os

import tensorflow as tf

from tf_biggan import checks
from tf_biggan.files import file_system, tensorflow_files
from tf_biggan.store.opened_model import is_saved_model, read_metadata, require_no_other_export

# Longest list of metadata values that `description` prints in full.
MANY = 8
# Metadata fields that `description` prints after the others, or shortened, or not at all.
LATER = ("format", "format_version", "config", "provenance", "class_names", "truncation_grid")


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
    file_system.require_existing("SavedModel", folder, "a folder that `export` wrote")
    if not is_saved_model(folder):
        require_no_other_export(folder, "--format=saved_model")
    checks.require(
        is_saved_model(folder),
        "the folder holds no SavedModel; give the folder of a version, such as"
        f" {os.path.join(folder, '1')}",
        path=folder,
    )
    return [
        Signature(name, _tensors(signature.inputs), _tensors(signature.outputs))
        for name, signature in tensorflow_files.serving_signatures(folder).items()
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
    return {
        name: tensor_text(tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape))
        for name, info in sorted(infos.items())
    }


def tensor_text(dtype: tf.DType, shape: tf.TensorShape) -> str:
    """Returns a text such as "float32 [N, 128]" for the dtype and shape of a tensor."""
    if shape.rank is None:
        return f"{dtype.name} of any shape"
    sizes = ["N" if place == 0 else str(size or "?") for place, size in enumerate(shape)]
    return f"{dtype.name} [{', '.join(sizes)}]"


def description(folder: str) -> str:
    """Returns a description of a SavedModel as text: its metadata and its signatures.

    Raises:
      ValueError: The folder holds no SavedModel.
    """
    signatures, metadata = read_signatures(folder), read_metadata(folder)
    lines = [folder, ""]
    if metadata:
        lines += _metadata_lines(metadata)
    else:
        lines.append("There is no metadata, because tf_biggan did not export this SavedModel.")
    return "\n".join([*lines, "", "signatures", *signature_lines(signatures)])


def _metadata_lines(metadata):
    facts = {k: v for k, v in metadata.items() if k not in LATER}
    facts |= {k: _shortened(metadata[k]) for k in ("class_names", "truncation_grid")}
    width = max(map(len, facts))
    lines = [f"{name:<{width}}  {_plain(value)}" for name, value in facts.items()]
    for name in ("provenance", "config"):
        lines += ["", name]
        lines += [f"  {key}: {_plain(value)}" for key, value in metadata[name].items()]
    return lines


def _shortened(values):
    if len(values) <= MANY:
        return "; ".join(map(_plain, values)) or "none"
    ends = "; ".join(map(_plain, values[:3])), "; ".join(map(_plain, values[-1:]))
    return f"{len(values)}: {ends[0]}; ... {ends[1]}"


def _plain(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
