"""The description inside a SavedModel: `assets.extra/tf_biggan.json`. No TensorFlow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from tf_biggan.json_files import field, read_json

EXTRA_FOLDER = "assets.extra"
METADATA_FILE = "tf_biggan.json"
FORMAT, FORMAT_VERSION = "tf_biggan export", 1
# Kinds of the fields that are read.
KINDS = {
    "class_names": "tuple[str, ...]",
    "truncation_mode": "str",
    "truncation_grid": "list",
    "provenance": "dict",
    "config": "dict",
    "max_batch": "int",
}


def write_metadata(folder: str, metadata: Mapping[str, object]) -> None:
    """Writes the description of the SavedModel in `folder`."""
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **metadata}
    with open(os.path.join(folder, EXTRA_FOLDER, METADATA_FILE), "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_metadata(folder: str) -> dict:
    """Returns the description of the SavedModel in `folder`; {} if it has none of this format.

    Raises:
      ValueError: the description is damaged; the message names the file and the field.
    """
    path = os.path.join(folder, EXTRA_FOLDER, METADATA_FILE)
    try:
        content = read_json(path)
    except OSError:
        return {}
    if content.get("format") != FORMAT:
        return {}
    for name, kind in KINDS.items():
        field(content, name, kind, path, None)
    return content
