"""The description inside a SavedModel: `assets.extra/tf_biggan.json`. No TensorFlow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

EXTRA_FOLDER = "assets.extra"
METADATA_FILE = "tf_biggan.json"
FORMAT, FORMAT_VERSION = "tf_biggan export", 1


def write_metadata(folder: str, metadata: Mapping[str, object]) -> None:
    """Writes the description of the SavedModel in `folder`."""
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **metadata}
    with open(os.path.join(folder, EXTRA_FOLDER, METADATA_FILE), "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_metadata(folder: str) -> dict:
    """The description of the SavedModel in `folder`; {} where it has none that can be read."""
    path = os.path.join(folder, EXTRA_FOLDER, METADATA_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(content, dict) and content.get("format") == FORMAT
    return content if is_ours else {}
