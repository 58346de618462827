"""Reads untrusted protocol buffers after counting their fields.

A message of two bytes occupies a hundred bytes in memory. The fields of large files are therefore
counted before they are parsed.
"""

from __future__ import annotations

import os
from typing import TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from tf_biggan.files import input_bounds

MessageT = TypeVar("MessageT", bound=Message)
# Wire types of fields: numbers of variable length, fields that begin with their length, and fields
# of 8 and of 4 bytes.
VARINT, LENGTH, FIXED = 0, 2, {1: 8, 5: 4}
PACKED = "packed"
ONE_BYTE = 127
# Types of numbers that may occupy one byte in the file and four or eight bytes in memory.
VARINT_TYPES = frozenset(
    getattr(FieldDescriptor, f"CPPTYPE_{name}")
    for name in ("INT32", "INT64", "UINT32", "UINT64", "ENUM")
)


def read_message(message: MessageT, path: str | os.PathLike) -> MessageT:
    """Parses a file into a message and returns the message.

    Raises:
      ValueError: The file does not exist, is damaged or is too large.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(input_bounds.GRAPH_BYTES + 1)
    except OSError as error:
        raise _damaged(message, path, error.strerror) from error
    return parse_message(message, content, path)


def parse_message(message: MessageT, content: bytes, path: str | os.PathLike) -> MessageT:
    """Parses bytes into a message; path: path of the file, for messages."""
    if len(content) > input_bounds.GRAPH_BYTES:
        raise _damaged(
            message,
            path,
            f"it has more than {input_bounds.GRAPH_BYTES} bytes, the limit for graphs",
        )
    if len(content) > input_bounds.SMALL_GRAPH_BYTES:
        fields = _count_fields(content, message.DESCRIPTOR, input_bounds.GRAPH_FIELDS)
        if fields > input_bounds.GRAPH_FIELDS:
            raise _damaged(
                message,
                path,
                f"it has more than {input_bounds.GRAPH_FIELDS} fields, the limit for graphs",
            )
    try:
        message.ParseFromString(content)
    # ParseFromString raises a ValueError for a text that is not UTF-8.
    except (DecodeError, ValueError) as error:
        raise _damaged(message, path, error) from error
    return message


def _damaged(message, path, reason) -> ValueError:
    kind = message.DESCRIPTOR.name
    return ValueError(f"Cannot read the {kind} {os.fspath(path)!r}: {reason}.")


def _count_fields(content: bytes, kind: Descriptor, limit: int) -> int:
    """Counts fields and packed numbers in a message and its submessages, up to `limit`.

    In a damaged message, only the fields before the damage are counted.
    """
    count, left, tables = 0, [(0, len(content), kind)], {}
    while left and count <= limit:
        position, end, kind = left.pop()
        lengths = tables.get(kind) or tables.setdefault(kind, _of_lengths(kind))
        while position < end and count <= limit:
            count += 1
            tag = content[position]
            position += 1
            if tag > ONE_BYTE:
                tag, position = varint(content, position - 1, end)
            if tag & 7 == LENGTH:
                length, position = varint(content, position, end)
                inside, inner = min(position + length, end), lengths.get(tag >> 3)
                if inner is PACKED:
                    count += inside - position
                elif inner is not None:
                    left.append((position, inside, inner))
                position = inside
            elif tag & 7 == VARINT:
                position = varint(content, position, end)[1]
            else:
                position += FIXED.get(tag & 7, 0)
    return count


def _of_lengths(kind: Descriptor) -> dict[int, Descriptor | str]:
    """Maps numbers of fields with a length to their message type, or to `PACKED` for numbers."""
    found = {number: field.message_type for number, field in kind.fields_by_number.items()}
    packed = {n: PACKED for n, f in kind.fields_by_number.items() if f.cpp_type in VARINT_TYPES}
    return {number: inner for number, inner in (found | packed).items() if inner is not None}


def varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """Returns a variable-length number and the position after it."""
    value = shift = 0
    while position < end:
        byte = content[position]
        position += 1
        value |= (byte & ONE_BYTE) << shift
        shift += 7
        if byte <= ONE_BYTE or shift > 63:
            break
    return value, position
