"""A folder beside an output that is not complete yet, and the request that it belongs to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping

from tf_biggan import checks
from tf_biggan.replaced_file import replaced

SUFFIX = ".unfinished"
REQUEST_FILE = "request.json"
# Where a model lies or what wrote the images does not change them.
UNSEEN = ("software", "model")
LONGEST = 60


def unfinished_folder(output: str) -> str:
    """The folder in which `output` is made."""
    return output + SUFFIX


def begin(output: str, request: Mapping[str, object]) -> str:
    """Makes the folder in which `output` is made, or goes on with it; returns its path.

    Raises:
      ValueError: it belongs to another request.
    """
    folder = unfinished_folder(output)
    there = read_request(folder)
    if there is not None:
        require_same(there, request, folder)
        return folder
    os.makedirs(folder, exist_ok=True)
    checks.require(
        not os.listdir(folder), "the folder must be an interrupted command's, or empty", path=folder
    )
    write_request(folder, request)
    return folder


def discard(output: str) -> None:
    """Removes the folder in which `output` was made."""
    shutil.rmtree(unfinished_folder(output), ignore_errors=True)


def read_request(folder: str) -> dict | None:
    """The request that a folder belongs to; None where it tells of none."""
    try:
        with open(os.path.join(folder, REQUEST_FILE), encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_request(folder: str, request: Mapping[str, object]) -> None:
    """Writes the request into a folder."""
    with (
        replaced(os.path.join(folder, REQUEST_FILE)) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        file.write(json.dumps(dict(request), indent=2, ensure_ascii=False) + "\n")


def require_same(there: Mapping[str, object], asked: Mapping[str, object], path: str) -> None:
    """Raises ValueError naming what differs unless both requests give the same images."""
    # As JSON, which knows no tuples.
    asked = json.loads(json.dumps(dict(asked)))
    names = [name for name in {**there, **asked} if name not in UNSEEN]
    differing = [
        f"{name} {_brief(there.get(name))} there, {_brief(asked.get(name))} now"
        for name in names
        if there.get(name) != asked.get(name)
    ]
    checks.require(
        not differing,
        "these are images of another request; remove them, or choose another `output`",
        path=path,
        differing="; ".join(differing),
    )


def _brief(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]}.."
