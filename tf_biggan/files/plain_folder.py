"""Folders by names in which TensorFlow sees no pattern.

TensorFlow takes the prefix of a checkpoint, and so of a SavedModel's variables, for a pattern: it
finds nothing in a folder such as `runs/lr=[2e-4,5e-5]`, though it writes there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref

PATTERN_CHARACTERS = frozenset("[]*?\\") - {os.sep}


def pattern_note(path: str) -> str | None:
    """Returns one line if TensorFlow's own loaders cannot open what lies at `path`, else None."""
    found = [character for character in "[]\\" if character in os.path.abspath(path)]
    if not found:
        return None
    return (
        f"Note: hub.load and TensorFlow Serving will not open {path}, because they take"
        f" {' '.join(found)} in a path for a pattern; the commands of tf_biggan will. Move the"
        " folder to a path without them."
    )


class PlainFolder:
    """A folder by its own path, or through a link if the path has a character of a pattern.

    The link lasts until the `with` block ends, or as long as the object where it is used without
    one, which is for readers that open their files late.

    Args:
      path: a local folder, which need not exist; an address of a bucket stays as it is.

    Attributes:
      path: leads to the folder, and is safe in a prefix.

    Raises:
      ValueError: the folder for temporary files has such a path itself.
    """

    def __init__(self, path: str):
        self._own_path = self.path = path
        if "://" in path or not PATTERN_CHARACTERS & set(path):
            return
        holder = tempfile.mkdtemp(prefix="tf_biggan-")
        self._remove = weakref.finalize(self, shutil.rmtree, holder, ignore_errors=True)
        self.path = os.path.join(holder, "folder")
        if PATTERN_CHARACTERS & set(holder):
            raise ValueError(
                f"Cannot read {path} through a link in {tempfile.gettempdir()}: both paths have"
                " brackets or other characters of a pattern. Set TMPDIR to a path without them."
            )
        os.symlink(os.path.abspath(path), self.path, target_is_directory=True)

    def real(self, text: str) -> str:
        """Returns a path or message with the folder's own path in place of the link's."""
        return text if self.path == self._own_path else text.replace(self.path, self._own_path)

    def __enter__(self) -> str:
        return self.path

    def __exit__(self, *_) -> None:
        if hasattr(self, "_remove"):
            self._remove()
