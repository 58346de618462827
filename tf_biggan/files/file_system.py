"""Operations on files and folders, which are local or at an address such as gs://bucket/run.

A path that begins with SCHEME:// is an address and is handled by `tf.io.gfile`. TensorFlow is
imported only for addresses. All other paths are local and are handled by `os`. In both cases,
errors are OSErrors that name the path.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Any

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Maps names of errors in `tf.errors` to error numbers of the system.
_ERROR_NUMBERS = {
    "NotFoundError": errno.ENOENT,
    "PermissionDeniedError": errno.EACCES,
    "UnauthenticatedError": errno.EACCES,
    "AlreadyExistsError": errno.EEXIST,
    "UnimplementedError": errno.EPROTONOSUPPORT,
}


def is_remote(path: str | os.PathLike) -> bool:
    """Returns whether a path is an address that TensorFlow opens, such as gs://bucket/run."""
    return _ADDRESS.match(os.fspath(path)) is not None


@contextlib.contextmanager
def _gfile(path: str) -> Iterator[Any]:
    """Yields `tf.io.gfile`, and turns its errors into OSErrors that name the path."""
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.OpError as error:
        number = _ERROR_NUMBERS.get(type(error).__name__, errno.EIO)
        reason = (error.message or os.strerror(number)).splitlines()[0]
        if number == errno.ENOENT:
            reason = os.strerror(number)
        if number == errno.EPROTONOSUPPORT:
            scheme = _ADDRESS.match(path)[0]
            reason = f"TensorFlow cannot do this operation at addresses that begin with {scheme}"
        raise OSError(number, reason, path) from error


def exists(path: str | os.PathLike) -> bool:
    """Returns whether a file or folder exists."""
    if not is_remote(path):
        return os.path.exists(path)
    with _gfile(path) as gfile:
        return gfile.exists(path)


def require_existing(what: str, path: str, accepted: str) -> None:
    """Raises a ValueError, which names the path, unless a file or folder exists there.

    Args:
      what: Role of the path, such as "model".
      path: Path of a file or folder.
      accepted: What the path must be, such as "a folder of images".
    """
    if not exists(path):
        raise ValueError(f"The {what} does not exist: {path!r}. It must be {accepted}.")


def isdir(path: str | os.PathLike) -> bool:
    """Returns whether a folder exists. In an object store, a folder exists if it holds a file."""
    if not is_remote(path):
        return os.path.isdir(path)
    # gfile.isdir returns False for every error, even if access is denied.
    with contextlib.suppress(FileNotFoundError), _gfile(path) as gfile:
        return bool(gfile.stat(path).is_directory)
    return False


def isfile(path: str | os.PathLike) -> bool:
    """Returns whether a file exists."""
    return exists(path) and not isdir(path) if is_remote(path) else os.path.isfile(path)


def listdir(path: str | os.PathLike) -> list[str]:
    """Returns the names of the files and folders in a folder, without "/" at their ends."""
    if not is_remote(path):
        return os.listdir(path)
    with _gfile(path) as gfile:
        return [name for entry in gfile.listdir(path) if (name := entry.rstrip("/"))]


def walk(path: str) -> Iterator[str]:
    """Yields the path of every file below a folder, without following links to folders."""
    if not is_remote(path):
        for folder, _, names in os.walk(path):
            yield from filter(os.path.isfile, (os.path.join(folder, name) for name in names))
        return
    for name in sorted(listdir(path)):
        found = os.path.join(path, name)
        if isdir(found):
            yield from walk(found)
        else:
            yield found


def getsize(path: str | os.PathLike) -> int:
    """Returns the length of a file in bytes."""
    if not is_remote(path):
        return os.path.getsize(path)
    return size_and_time(path)[0]


def size_and_time(path: str) -> tuple[int, float]:
    """Returns the length of a file in bytes, and the time of its last change in seconds."""
    if not is_remote(path):
        state = os.stat(path)
        return state.st_size, state.st_mtime
    with _gfile(path) as gfile:
        state = gfile.stat(path)
        return int(state.length), state.mtime_nsec / 1e9


def touch(path: str) -> None:
    """Sets the time of a local file's last change to now. A file at an address is left alone."""
    if not is_remote(path):
        os.utime(path)


def makedirs(path: str | os.PathLike) -> None:
    """Creates a folder and its parent folders, unless they exist."""
    if not is_remote(path):
        os.makedirs(path, exist_ok=True)
        return
    with _gfile(path) as gfile:
        gfile.makedirs(path)


def remove(path: str | os.PathLike) -> None:
    """Removes a file."""
    if not is_remote(path):
        os.remove(path)
        return
    with _gfile(path) as gfile:
        gfile.remove(path)


def rmtree(path: str | os.PathLike) -> None:
    """Removes a folder with its content. Files that cannot be removed stay without an error."""
    if not is_remote(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError), _gfile(path) as gfile:
        gfile.rmtree(path)


def rename(path: str, new: str) -> None:
    """Renames a file. If a file with the new name exists, it is replaced.

    Do not rename folders at addresses: an object store copies their files one after the other, so
    an interruption leaves parts under both names.
    """
    if not is_remote(path):
        os.replace(path, new)
        return
    with _gfile(path) as gfile:
        gfile.rename(path, new, overwrite=True)


def absolute(path: str) -> str:
    """Returns an absolute local path, or an address without "/" at its end."""
    return path.rstrip("/") if is_remote(path) else os.path.abspath(path)


def normalized(path: str) -> str:
    """Returns a path without "/" at its end.

    In a local path, repeated slashes and the components "." and ".." are resolved as well.
    """
    return path.rstrip("/") if is_remote(path) else os.path.normpath(path)


def open_file(path: str | os.PathLike, mode: str = "rb", **text: str) -> IO:
    """Opens a file to read it or to append to it. `atomic.replaced` writes new files.

    A file at an address such as gs://bucket/file is not fetched as a whole: only the bytes that are
    read are fetched. When bytes are appended, every flush sends them, and an object store then
    writes the whole object again.

    Args:
      path: Path of the file.
      mode: "rb", "r", "ab" or "a".
      **text: For the modes "r" and "a", the arguments `encoding` and `errors` of `open`.
    """
    if not is_remote(path):
        return open(path, mode, **text)
    file = open_unbuffered(path, mode)
    buffered = io.BufferedReader(file) if "r" in mode else io.BufferedWriter(file)
    return buffered if "b" in mode else io.TextIOWrapper(buffered, **text)


def open_unbuffered(path: str | os.PathLike, mode: str = "rb") -> io.RawIOBase:
    """Opens a file whose reads and writes go to the file system at once, as `io.FileIO` does."""
    return _RemoteFile(path, mode) if is_remote(path) else io.FileIO(path, mode)


class _RemoteFile(io.RawIOBase):
    """A file at an address."""

    def __init__(self, path: str, mode: str):
        super().__init__()
        self.name, self._reads = path, "r" in mode
        with _gfile(path) as gfile:
            self._file = gfile.GFile(path, "rb" if self._reads else "ab")
            # GFile opens a file only at its first read. Asking for the size raises an error now if
            # the file does not exist.
            self._length = self._file.size() if self._reads else 0

    def readable(self):
        return self._reads

    def seekable(self):
        return self._reads

    def writable(self):
        return not self._reads

    def readinto(self, buffer):
        with _gfile(self.name):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset, whence=os.SEEK_SET):
        start = (0, self.tell(), self._length)[whence]
        with _gfile(self.name):
            self._file.seek(start + offset)
        return start + offset

    def tell(self):
        with _gfile(self.name):
            return self._file.tell()

    def write(self, content):
        with _gfile(self.name):
            self._file.write(bytes(content))
            self._file.flush()
        return len(content)

    def close(self):
        try:
            if not self.closed:
                with _gfile(self.name):
                    self._file.close()
        finally:
            super().close()


@contextlib.contextmanager
def local_copy(path: str | os.PathLike) -> Iterator[str]:
    """Yields the path of a local file with the same name and content as the file at `path`.

    A local file is not copied. The copy of a file at an address is removed after the `with` block.
    """
    if not is_remote(path):
        yield os.fspath(path)
        return
    with tempfile.TemporaryDirectory(prefix="tf_biggan-") as folder:
        local = os.path.join(folder, os.path.basename(path))
        with _gfile(path) as gfile:
            gfile.copy(path, local)
        yield local


def upload(local: str, path: str) -> None:
    """Copies a local file to an address. If a file exists there, it is replaced.

    Unless the address is in an object store, readers may see an incomplete file during the copy.
    """
    with _gfile(path) as gfile:
        gfile.copy(local, path, overwrite=True)
