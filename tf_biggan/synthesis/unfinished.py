"""A folder beside an output that is not complete yet, and the request that it belongs to."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping

from tf_biggan import checks
from tf_biggan.json_files import read_json
from tf_biggan.replaced_file import replaced

SUFFIX = ".unfinished"
REQUEST_FILE = "request.json"
# Where a model lies or what wrote the images does not change them.
UNSEEN = ("software", "model")
LONGEST = 60
_OF_A_START = re.compile(rf"{re.escape(REQUEST_FILE)}\.\d+\.tmp")


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
    # A command that was killed before it had a request left a temporary file of it at most.
    others = [name for name in os.listdir(folder) if not _OF_A_START.fullmatch(name)]
    checks.require(
        not others,
        "the folder must be an interrupted command's, or empty",
        path=folder,
        holds=sorted(others)[:3],
    )
    write_request(folder, request)
    return folder


def discard(output: str) -> None:
    """Removes the folder in which `output` was made.

    The request goes last: until then the folder says what it is.
    """
    folder = unfinished_folder(output)
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        elif name != REQUEST_FILE:
            os.remove(path)
    shutil.rmtree(folder, ignore_errors=True)


def read_request(folder: str) -> dict | None:
    """Returns the request that a folder belongs to; None if it has none.

    Raises:
      ValueError: the request is damaged; the message names the file.
    """
    try:
        return read_json(os.path.join(folder, REQUEST_FILE))
    except OSError:
        return None


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
        "these are images of another request, which goes on with its own settings; choose another"
        " `output`",
        path=path,
        differing="; ".join(differing),
    )


def _brief(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]}.."
