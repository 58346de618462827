"""Handles `~` and file-pattern characters in the paths that users give.

Shells replace `~` in `--run_dir ~/x`, but neither in `--run_dir=~/x` nor in a flag file.

TensorFlow reads the prefix of a checkpoint as a file pattern. It can write a checkpoint in a folder
such as `runs/lr=[2e-4,5e-5]`, but cannot find the checkpoint again. The same holds for SavedModels,
because their variables are stored as a checkpoint.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping

from tf_biggan import checks
from tf_biggan.files import file_system

ONE_PATH, LISTED_PATHS = "one path", "paths separated by commas"
# A path may have a prefix, as in folder:~/birds.
_KIND_AND_PATH = re.compile(r"((?:folder|tfrecord):)?(~.*)", re.DOTALL)
PATTERN_CHARACTERS = frozenset("[]*?\\") - {os.sep}


def expand_home(value: str) -> str:
    """Replaces `~` or `~user` at the start of a path by the home folder of the user.

    The path may follow `folder:` or `tfrecord:`. Values without `~` there are returned unchanged.

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
    """Applies `expand_home` to every path of a list that is separated by commas."""
    parts = value.split(",")
    return ",".join(
        part[: len(part) - len(part.lstrip())] + expand_home(part.lstrip()) for part in parts
    )


EXPANDERS: Mapping[str, Callable[[str], str]] = {
    ONE_PATH: expand_home,
    LISTED_PATHS: expand_home_in_list,
}


def pattern_note(path: str) -> str | None:
    """Returns a note if TensorFlow's own loaders cannot open files at `path`, otherwise None."""
    found = [character for character in "[]\\" if character in file_system.absolute(path)]
    if not found:
        return None
    return (
        f"Note: hub.load and TensorFlow Serving cannot open {path}, because they read"
        f" {' '.join(found)} in a path as a pattern; the commands of tf_biggan can open it."
        " Move the folder to a path without these characters."
    )


def require_plain_address(path: str) -> None:
    """Raises a ValueError if an address such as gs://bucket/run has any `PATTERN_CHARACTERS`."""
    found = PATTERN_CHARACTERS & set(path) if file_system.is_remote(path) else ()
    checks.require(
        not found,
        f"TensorFlow reads {' '.join(sorted(found))} in an address as a pattern; use an address"
        " without these characters",
        path=path,
    )


class PlainFolder:
    """A folder, reached through a temporary link if its path has any `PATTERN_CHARACTERS`.

    The link exists until the `with` block ends. Without a `with` block, the link exists as long as
    this object exists, which suits readers that open their files late.

    Args:
      path: A local folder, which need not exist, or an address such as gs://bucket/run, which
        never gets a link.

    Attributes:
      path: Path of the folder without pattern characters, for use in a checkpoint's prefix.

    Raises:
      ValueError: An address contains pattern characters, or a link is needed and the path of the
        folder for temporary files contains pattern characters too.
    """

    def __init__(self, path: str):
        self._own_path = self.path = path
        require_plain_address(path)
        if not PATTERN_CHARACTERS & set(path):
            return
        holder = tempfile.mkdtemp(prefix="tf_biggan-")
        self._remove = weakref.finalize(self, shutil.rmtree, holder, ignore_errors=True)
        self.path = os.path.join(holder, "folder")
        if PATTERN_CHARACTERS & set(holder):
            raise ValueError(
                f"Cannot read {path}: it has brackets or other characters of a file pattern,"
                f" and so has the folder for temporary files, {tempfile.gettempdir()}. Set"
                " TMPDIR to a folder without them."
            )
        os.symlink(os.path.abspath(path), self.path, target_is_directory=True)

    def real(self, text: str) -> str:
        """Returns a text, such as a message, with the link replaced by the folder's real path."""
        return text if self.path == self._own_path else text.replace(self.path, self._own_path)

    def __enter__(self) -> str:
        return self.path

    def __exit__(self, *_) -> None:
        if hasattr(self, "_remove"):
            self._remove()
