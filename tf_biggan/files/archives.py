"""Reads untrusted zip archives after checking the sizes that they declare."""

from __future__ import annotations

import io
import os
import struct
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable

import numpy as np

from tf_biggan.checks import require
from tf_biggan.files import file_system, input_bounds

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
LOCAL_HEADER_BYTES = 30
ENCRYPTED = 1
CHUNK_BYTES = 1 << 20
# Errors that zipfile raises for a damaged archive.
DAMAGED = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
)


class Archive:
    """A zip archive whose entries match its table of contents and have bounded sizes.

    The file stays open as long as this object exists, so its table of contents is read only once.

    Args:
      path: Path of the file, which error messages name.
      content: Bytes of the file if they are in memory already.

    Raises:
      ValueError: The archive is damaged, has overlapping entries, is encrypted or is compressed by
        an unknown method. Or its compressed entries decompress to more bytes than
        `input_bounds.inflated_bound` allows for the file's length.
      OSError: The file cannot be read.
    """

    def __init__(self, path: str | os.PathLike, content: bytes | None = None):
        self.path = path
        raw = file_system.open_unbuffered(path) if content is None else io.BytesIO(content)
        file = _TableFirst(raw, path)
        weakref.finalize(self, file.close)
        self._zip = self._safely(lambda: zipfile.ZipFile(file))
        file.bounded = False
        self._check(self._zip.infolist(), file.seek(0, os.SEEK_END))

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the names of the entries."""
        return tuple(self._zip.namelist())

    def size(self, name: str) -> int:
        """Returns the decompressed size of an entry in bytes."""
        return self._zip.getinfo(name).file_size

    def read(self, name: str) -> np.ndarray:
        """Returns the decompressed bytes of an entry as uint8.

        Raises:
          ValueError: The entry is damaged.
        """
        content = np.empty(self.size(name), np.uint8)
        with self.open(name) as file:
            filled = file.readinto(memoryview(content))
        require(
            filled == len(content),
            "the archive is damaged: an entry is shorter than its header says; copy or"
            " download the file again",
            path=self.path,
            entry=name,
        )
        return content

    def open(self, name: str, kind: type = io.BufferedReader) -> io.BufferedReader:
        """Opens an entry as a file of decompressed bytes. A damaged entry raises a ValueError."""
        entry = self._safely(lambda: self._zip.open(name))
        return kind(_Entry(entry, self._safely), CHUNK_BYTES)

    def _safely(self, call: Callable):
        try:
            return call()
        except DAMAGED as error:
            raise ValueError(
                f"The archive {self.path} is damaged or incomplete ({_reason(error)}). Copy"
                " or download it again."
            ) from error

    def _check(self, entries: Iterable[zipfile.ZipInfo], length: int) -> None:
        names = [entry.filename for entry in entries]
        received = {"path": self.path}
        require(
            len(names) == len(set(names)),
            "the archive is damaged: two entries have the same name; write the file again",
            **received,
        )
        end = 0
        for entry in sorted(entries, key=lambda entry: entry.header_offset):
            received["entry"] = entry.filename
            require(
                entry.header_offset >= end,
                "the archive is damaged: two entries overlap; copy or download the file again",
                **received,
            )
            end = entry.header_offset + LOCAL_HEADER_BYTES + entry.compress_size
            require(
                entry.compress_type in METHODS and not entry.flag_bits & ENCRYPTED,
                "the archive cannot be read: an entry is encrypted or compressed by another"
                " method than deflate; write the file again without encryption and with"
                " deflate or no compression",
                **received,
            )
            require(
                entry.compress_type != zipfile.ZIP_STORED or entry.file_size == entry.compress_size,
                "the archive is damaged: an entry without compression has two different"
                " sizes; copy or download the file again",
                **received,
                sizes=(entry.compress_size, entry.file_size),
            )
        require(
            end <= self._zip.start_dir,
            "the archive is damaged: its entries are longer than the file; copy or download"
            " the file again",
            **received,
        )
        self._check_inflated(entries, length)

    def _check_inflated(self, entries, length):
        inflated = sum(e.file_size for e in entries if e.compress_type != zipfile.ZIP_STORED)
        bound = input_bounds.inflated_bound(length)
        require(
            inflated <= bound,
            "the archive is refused, because its entries are suspiciously large: a file of"
            f" {length} bytes may have {bound} bytes of decompressed entries; write the file again"
            " without compression",
            path=self.path,
            inflated=inflated,
        )


class _TableFirst(io.BufferedReader):
    """A file that refuses long reads while `bounded` is true.

    zipfile reads the archive's table of contents in one piece, so the refusal also limits the size
    of the table.
    """

    def __init__(self, raw, path):
        super().__init__(raw)
        self.path, self.bounded = path, True

    def read(self, size=-1):
        require(
            not self.bounded or size <= input_bounds.ZIP_TABLE_BYTES,
            "the archive is refused, because its table of contents is larger than"
            f" {input_bounds.ZIP_TABLE_BYTES} bytes; copy or download the file again",
            path=self.path,
            size=size,
        )
        return super().read(size)


class _Entry(io.RawIOBase):
    """An entry that is decompressed in small pieces. zipfile alone would use one piece."""

    def __init__(self, entry, safely):
        self._entry, self._safely, self._position = entry, safely, 0

    def readable(self):
        return True

    def tell(self):
        return self._position

    def readinto(self, buffer):
        content = self._safely(lambda: self._entry.read(min(len(buffer), CHUNK_BYTES)))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
