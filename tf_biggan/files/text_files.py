"""Reads text files in UTF-8, or in UTF-16 if they begin with a byte order mark of UTF-16."""

from __future__ import annotations

import codecs

from tf_biggan.files import file_system

# Windows editors write these byte order marks, and PowerShell's `>` writes UTF-16.
_MARKED = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: str, named: str) -> str:
    """Returns the text of a file without a byte order mark and with "\\n" as line ending.

    Args:
      path: Path of the file.
      named: Name of the file in messages, such as "flag file 'a.flags'".

    Raises:
      ValueError: The file cannot be read or is not text.
    """
    try:
        with file_system.open_file(path) as file:
            content = file.read()
    except OSError as error:
        raise ValueError(f"Cannot read {named}: {error.strerror}") from error
    encoding = next((name for mark, name in _MARKED if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"Cannot read {named}: byte 0x{content[error.start]:02x} in line {line} is not"
            " UTF-8. Save the file as UTF-8."
        ) from error
    if "\0" in text:
        raise ValueError(
            f"Cannot read {named}: it has NUL bytes, so it is not a text file in UTF-8."
            " Save it as UTF-8."
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")
