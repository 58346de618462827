"""Writes files and folders completely or not at all: under a temporary name, then renamed.

The temporary name is PATH.PROCESS.tmp. If a process is killed, its temporary file stays and is
removed by the next process that writes to the same path.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator

from tf_biggan import checks

_TEMPORARY = re.compile(r".+\.(\d+)\.tmp")


@contextlib.contextmanager
def replaced(path: str | os.PathLike) -> Iterator[str]:
    """Yields a temporary name beside `path`; the file written there replaces `path` at the end.

    After an exception, the temporary file is removed and `path` is unchanged.

    Raises:
      OSError: The file cannot be written. The error names `path`.
    """
    path = os.fspath(path)
    temporary = temporary_name(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file in UTF-8 and creates its folder.

    Raises:
      OSError: The file cannot be written. The error names `path`.
    """
    os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
    with replaced(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def new_folder(path: str) -> Iterator[str]:
    """Yields a temporary folder beside `path`, which is renamed to `path` at the end.

    After an exception, the temporary folder is removed.

    Raises:
      ValueError: `path` exists and is not an empty folder.
      OSError: The folder cannot be written.
    """
    check_new(path)
    temporary = temporary_name(os.path.normpath(path))
    try:
        os.makedirs(temporary)
        yield temporary
        if os.path.isdir(path):
            os.rmdir(path)
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new(path: str) -> None:
    """Raises a ValueError if `path` exists, unless it is an empty folder."""
    free = not os.path.exists(path) or (os.path.isdir(path) and not os.listdir(path))
    checks.require(
        free,
        "the output exists and is not an empty folder; remove it or choose another path",
        path=path,
    )


def temporary_name(path: str) -> str:
    """Returns a temporary name for `path` and removes those that killed processes left."""
    folder, name = os.path.split(path)
    remove_leftovers(folder, name)
    return f"{path}.{os.getpid()}.tmp"


def remove_leftovers(folder: str, name: str | None = None) -> None:
    """Removes temporary files and folders that killed processes on this machine left in a folder.

    Args:
      folder: Folder to search, without its sub-folders. It need not exist.
      name: Final name of the files to remove; None for all.
    """
    for found in leftovers(folder or os.curdir):
        if name in (None, found.rsplit(".", 2)[0]):
            path = os.path.join(folder, found)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.remove(path)


def leftovers(folder: str) -> list[str]:
    """Returns the temporary names in a folder whose process is no longer running."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    matches = filter(None, map(_TEMPORARY.fullmatch, names))
    return [match[0] for match in matches if not _is_running(int(match[1]))]


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        # The process belongs to another user, or the number cannot be one of a process.
        return True
    return True
