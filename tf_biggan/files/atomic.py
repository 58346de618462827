"""Files and folders that appear whole or not at all: written under a temporary name, then renamed.

A temporary name is PATH.PROCESS.tmp. A process that was killed leaves one behind; the next that
writes to the same path removes it.
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
    """Gives a temporary name beside `path`; what is written there takes the place of `path`.

    After an exception the temporary file is gone and `path` is as it was.

    Raises:
      OSError: it cannot be written; it names `path`.
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


@contextlib.contextmanager
def new_folder(path: str) -> Iterator[str]:
    """Gives a temporary folder beside `path`, which has the name `path` once all went well.

    After an exception nothing of it is left.

    Raises:
      ValueError: there is something at `path`.
      OSError: it cannot be written.
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
    """Raises ValueError unless `path` does not exist or is an empty folder."""
    free = not os.path.exists(path) or (os.path.isdir(path) and not os.listdir(path))
    checks.require(free, "the output must not exist, or be an empty folder", path=path)


def temporary_name(path: str) -> str:
    """Returns a name for what is to become `path`; removes what killed processes left for it."""
    folder, name = os.path.split(path)
    remove_leftovers(folder, name)
    return f"{path}.{os.getpid()}.tmp"


def remove_leftovers(folder: str, name: str | None = None) -> None:
    """Removes temporary files and folders that killed processes of this machine left in a folder.

    Args:
      folder: where; its sub-folders stay as they are. It need not exist.
      name: only what was to have this name; None for all.
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
    """Returns the temporary names in a folder whose process is not running."""
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
        # It is somebody else's; or no number of a process, and so nothing that was left here.
        return True
    return True
