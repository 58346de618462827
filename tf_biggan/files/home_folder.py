"""Replaces `~` at the start of a path by the home folder.

Shells do so in `--run_dir ~/x`, but neither in `--run_dir=~/x` nor in a flag file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from tf_biggan import checks

ONE_PATH, LISTED_PATHS = "one path", "paths separated by commas"
# A path may have a prefix, as in folder:~/birds.
_KIND_AND_PATH = re.compile(r"((?:folder|tfrecord):)?(~.*)", re.DOTALL)


def expand_home(value: str) -> str:
    """Replaces `~` or `~user` at the start of a path, also after `folder:` or `tfrecord:`.

    Other values are returned unchanged.

    Raises:
      ValueError: The user does not exist on this machine.
    """
    match = _KIND_AND_PATH.fullmatch(value)
    if match is None:
        return value
    kind, path = match[1] or "", match[2]
    expanded = os.path.expanduser(path)
    checks.require(
        expanded != path,
        f"this machine has no user {path.partition('/')[0][1:]!r}; if a folder of that name"
        f" is meant, write ./{path}",
        path=value,
    )
    return kind + expanded


def expand_home_in_list(value: str) -> str:
    """Applies `expand_home` to every part of a text with commas."""
    parts = value.split(",")
    return ",".join(
        part[: len(part) - len(part.lstrip())] + expand_home(part.lstrip()) for part in parts
    )


EXPANDERS: Mapping[str, Callable[[str], str]] = {
    ONE_PATH: expand_home,
    LISTED_PATHS: expand_home_in_list,
}
