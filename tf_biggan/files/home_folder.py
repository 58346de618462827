"""Replaces `~` at the start of a path by a home folder, as a shell does.

A shell does it for `--run_dir ~/x` and not for `--run_dir=~/x`, nor in a flag file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from tf_biggan import checks

ONE_PATH, LISTED_PATHS = "one path", "paths with commas between"
# What may stand before the path: folder:~/birds.
_KIND_AND_PATH = re.compile(r"((?:folder|tfrecord):)?(~.*)", re.DOTALL)


def expand_home(value: str) -> str:
    """A path with `~` or `~user` at its start replaced; `folder:` or `tfrecord:` may precede it.

    Other values, and a `~` further inside, stay as they are.

    Raises:
      ValueError: the path starts with a user who does not exist on this machine.
    """
    match = _KIND_AND_PATH.fullmatch(value)
    if match is None:
        return value
    kind, path = match[1] or "", match[2]
    expanded = os.path.expanduser(path)
    checks.require(
        expanded != path,
        f"{path.partition('/')[0]!r} names no user of this machine; a folder of that name is"
        f" written ./{path}",
        path=value,
    )
    return kind + expanded


def expand_home_in_list(value: str) -> str:
    """A text with commas between its parts, in which every part that is such a path is replaced."""
    parts = value.split(",")
    return ",".join(
        part[: len(part) - len(part.lstrip())] + expand_home(part.lstrip()) for part in parts
    )


EXPANDERS: Mapping[str, Callable[[str], str]] = {
    ONE_PATH: expand_home,
    LISTED_PATHS: expand_home_in_list,
}
