"""Writes files and folders completely or not at all, by renaming them when they are complete.

Until then, the file or folder PATH is called PATH.PROCESS.tmp, where PROCESS is the number of the
process. If a process is killed, its temporary file stays and is removed by the next process that
writes to the same path.

At an address such as gs://bucket/run, files are first written on this machine. A file is then
copied to the address under the temporary name tmp.MACHINE-PROCESS.NAME and renamed there. A folder
at an address cannot be renamed in one step, so its files are copied one by one. The file that marks
the folder as complete comes last.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator

from tf_biggan import checks
from tf_biggan.files import file_system

_LOCAL = re.compile(r"(?P<name>.+)\.(?P<process>\d+)\.tmp")
# The final name is at the end, because at `ram://` every beginning of a file's name counts as an
# existing file.
_REMOTE = re.compile(r"tmp\.(?P<machine>\w+)-(?P<process>\d+)\.(?P<name>.+)")


@contextlib.contextmanager
def replaced(path: str | os.PathLike) -> Iterator[str]:
    """Yields a local temporary path for a new file, which replaces `path` after the `with` block.

    After an exception, the temporary file is removed and `path` is unchanged.

    Raises:
      OSError: The file cannot be written. The error names `path`.
    """
    path = os.fspath(path)
    if file_system.is_remote(path):
        with _staged(path) as folder:
            local = os.path.join(folder, os.path.basename(path))
            yield local
            _send(local, path)
        return
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
def _staged(path: str) -> Iterator[str]:
    """Yields a local temporary folder. An OSError within the `with` block names `path`."""
    try:
        with tempfile.TemporaryDirectory(prefix="tf_biggan-") as folder:
            yield folder
    except OSError as error:
        if error.errno is None or error.filename == path:
            raise
        raise OSError(error.errno, error.strerror, path) from error


def _send(local: str, path: str) -> None:
    temporary = temporary_name(path)
    try:
        file_system.upload(local, temporary)
        file_system.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            file_system.remove(temporary)
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file in UTF-8 and creates its folder.

    Raises:
      OSError: The file cannot be written. The error names `path`.
    """
    file_system.makedirs(os.path.dirname(path) or os.curdir)
    with replaced(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


@contextlib.contextmanager
def new_folder(path: str, last: str) -> Iterator[str]:
    """Yields a local temporary folder, which becomes the folder `path` after the `with` block.

    After an exception, the temporary folder is removed.

    Args:
      path: Path of the folder.
      last: Name of the file by which readers recognise a complete folder. At an address, it is
        written last.

    Raises:
      ValueError: `path` exists and is not an empty folder.
      OSError: The folder cannot be written.
    """
    check_new(path)
    if file_system.is_remote(path):
        with _staged(path) as folder:
            yield folder
            check_new(path)
            send_folder(folder, path, last)
        return
    temporary = temporary_name(os.path.normpath(path))
    try:
        os.makedirs(temporary)
        yield temporary
        if os.path.isdir(path):
            os.rmdir(path)
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def send_folder(local: str, path: str, last: str) -> None:
    """Copies the files of a local folder to the address `path`. The file `last` is copied last.

    Files that an earlier, interrupted call copied are overwritten.
    """
    names = [os.path.relpath(found, local) for found in file_system.walk(local)]
    for folder in {os.path.dirname(os.path.join(path, name)) for name in names}:
        file_system.makedirs(folder)
    there = set(file_system.walk(path))
    for name in sorted(names, key=lambda name: name == last):
        target = os.path.join(path, name)
        if name == last:
            _send(os.path.join(local, name), target)
        else:
            # `ram://` would append to a file that exists.
            if target in there:
                file_system.remove(target)
            file_system.upload(os.path.join(local, name), target)


def check_new(path: str) -> None:
    """Raises a ValueError if `path` exists, unless it is an empty folder."""
    free = not file_system.exists(path)
    free = free or (file_system.isdir(path) and not file_system.listdir(path))
    checks.require(
        free,
        "the output exists and is not an empty folder; remove it or choose another path",
        path=path,
    )


def try_writing(path: str) -> None:
    """Creates and removes a folder next to `path`; raises OSError if that is not possible.

    `path` need not exist. Its missing parent folders are created.
    """
    probe = temporary_name(file_system.normalized(path))
    file_system.makedirs(probe)
    file_system.rmtree(probe)


def temporary_name(path: str) -> str:
    """Returns a temporary name for `path`, after removing what killed processes left for `path`."""
    folder, name = os.path.split(path)
    remove_leftovers(folder, name)
    if file_system.is_remote(path):
        return os.path.join(folder, f"tmp.{_machine()}-{os.getpid()}.{name}")
    return f"{path}.{os.getpid()}.tmp"


def _machine() -> str:
    return re.sub(r"\W", "_", platform.node()) or "unknown"


def final_name(name: str) -> str | None:
    """Returns the final name for a temporary name, or None if `name` is no temporary name."""
    match = _LOCAL.fullmatch(name) or _REMOTE.fullmatch(name)
    return match["name"] if match else None


def remove_leftovers(folder: str, name: str | None = None) -> None:
    """Removes temporary files and folders that killed processes on this machine left in a folder.

    Args:
      folder: Folder to search, without its sub-folders. It need not exist.
      name: Final name of the files to remove; None for all.
    """
    for found, final in leftovers(folder or os.curdir).items():
        if name in (None, final):
            path = os.path.join(folder, found)
            with contextlib.suppress(OSError):
                is_folder = file_system.isdir(path) and not os.path.islink(path)
                (file_system.rmtree if is_folder else file_system.remove)(path)


def leftovers(folder: str) -> dict[str, str]:
    """Maps the temporary names that killed processes left in a folder to their final names.

    At an address, names of other machines are left out, because their processes may still run.
    """
    try:
        names = file_system.listdir(folder)
    except OSError:
        return {}
    is_remote = file_system.is_remote(folder)
    matches = filter(None, map((_REMOTE if is_remote else _LOCAL).fullmatch, names))
    return {
        match[0]: match["name"]
        for match in matches
        if (not is_remote or match["machine"] == _machine())
        and not _is_running(int(match["process"]))
    }


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        # The process belongs to another user, or the number cannot be one of a process.
        return True
    return True
