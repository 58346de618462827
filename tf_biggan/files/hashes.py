"""SHA-256 of files, folders and JSON values."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from typing import Any


def file_sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(path: str | os.PathLike) -> str:
    """Returns a SHA-256 of all files below a folder and of their relative paths."""
    root = pathlib.Path(path)
    files = sorted(found for found in root.rglob("*") if found.is_file())
    return key_of([(file.relative_to(root).as_posix(), file_sha256(file)) for file in files])


def key_of(*parts: Any) -> str:
    """Returns a SHA-256 of JSON values, which does not depend on the order of names in objects."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
