"""Reads JSON files and checks the types of their values; hashes JSON values, files and folders.

Every problem in a file raises a ValueError of one line, which names the file and, if possible, the
field.
"""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tf_biggan.files import file_system, input_bounds

LONGEST = 60


class NotJson(ValueError):  # noqa: N818
    """Raised if the content of a file is not JSON, for example after an interrupted write."""


# Maps the name of a type, as in annotations, to its words in messages and a test for values.
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "int": (
        "an integer",
        lambda value: isinstance(value, numbers.Integral) and not isinstance(value, bool),
    ),
    "float": (
        "a finite number",
        lambda value: (
            isinstance(value, numbers.Real) and not isinstance(value, bool) and _is_finite(value)
        ),
    ),
    "str": ("a text", lambda value: isinstance(value, str)),
    "list": ("a list", lambda value: isinstance(value, (list, tuple))),
    "dict": ("an object", lambda value: isinstance(value, Mapping)),
    "str | dict": (
        "a text or an object",
        lambda value: isinstance(value, (str, Mapping)),
    ),
    "int | str": (
        "an integer or a text",
        lambda value: isinstance(value, str) or KINDS["int"][1](value),
    ),
    "tuple[bool, ...]": ("a list of true and false", lambda value: _all_are("bool", value)),
    "tuple[int, ...]": ("a list of integers", lambda value: _all_are("int", value)),
    "tuple[float, ...]": ("a list of finite numbers", lambda value: _all_are("float", value)),
    "tuple[str, ...]": ("a list of texts", lambda value: _all_are("str", value)),
}
OPTIONAL = " | None"


def read_json(path: str | os.PathLike, kind: str | None = "dict") -> Any:
    """Returns the value in a JSON file.

    Args:
      path: Path of a file.
      kind: Required type of the value, a name in `KINDS`; None for any type.

    Raises:
      ValueError: The file is not JSON, or its value does not have the type `kind`. The message
        names the file.
      OSError: The file cannot be opened.
    """
    with file_system.open_file(path) as file:
        return parse_json(file.read(input_bounds.JSON_BYTES + 1), path, kind)


def parse_json(
    content: bytes | str,
    path: str | os.PathLike,
    kind: str | None = "dict",
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Returns the value of JSON text.

    Args:
      content: The JSON text.
      path: Path of its file, for messages.
      kind: Required type of the value, a name in `KINDS`; None for any type.
      pairs: Function that makes an object from its (name, value) pairs. By default, the object
        becomes a dict; if a name occurs several times, its last value counts.

    Raises:
      NotJson: The text is not JSON.
      ValueError: The value does not have the type `kind`, or is nested too deeply.
    """
    if len(content) > input_bounds.JSON_BYTES:
        raise ValueError(
            f"Cannot read {path}: it has more than {input_bounds.JSON_BYTES} bytes, the limit"
            " for JSON files"
        )
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        value = json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError(
            f"Cannot read {path}: its lists or objects are nested too deeply"
        ) from None
    except UnicodeDecodeError as error:
        raise NotJson(f"Cannot read {path}: it must be UTF-8 text ({error.reason})") from None
    except ValueError as error:
        raise NotJson(f"Cannot read {path}: it must be JSON ({error})") from None
    if kind is not None:
        require_kind(value, kind, path)
    return value


def field(
    content: Mapping[str, Any], name: str, kind: str, path: str | os.PathLike, *default: Any
) -> Any:
    """Returns one field of a JSON object.

    Args:
      content: The object.
      name: Name of the field.
      kind: Required type of the value: a name in `KINDS`, followed by " | None" if null is
        accepted.
      path: Path of the file, for messages.
      *default: At most one value, which is returned if the field is missing.

    Raises:
      ValueError: The field is missing and has no default, or its value does not have the type
        `kind`.
    """
    if name not in content:
        if default:
            return default[0]
        raise ValueError(f"Cannot read {path}: the field {name!r} is missing")
    require_kind(content[name], kind, path, name)
    return content[name]


def require_kind(value: Any, kind: str, path: str | os.PathLike, name: str | None = None) -> None:
    """Raises a ValueError, which names file and field, unless a value has the type `kind`."""
    if not is_kind(value, kind):
        what = "it" if name is None else f"the field {name!r}"
        raise ValueError(f"Cannot read {path}: {what} must be {words(kind)}, not {brief(value)}")


def is_kind(value: Any, kind: str) -> bool:
    """Returns whether a value has the type `kind`. None has every type that ends in " | None"."""
    if value is None:
        return kind.endswith(OPTIONAL)
    return KINDS[kind.removesuffix(OPTIONAL)][1](value)


def words(kind: str) -> str:
    """Returns the words for a type in messages, such as "a finite number or null"."""
    text = KINDS[kind.removesuffix(OPTIONAL)][0]
    return f"{text} or null" if kind.endswith(OPTIONAL) else text


def brief(value: Any) -> str:
    """Returns a value as JSON text, shortened for messages."""
    # A value that is nested thousands deep cannot be written as JSON.
    try:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__}"
    if len(text) <= LONGEST:
        return text
    ending = f"... ({len(value)} entries)" if isinstance(value, (list, tuple)) else "..."
    return text[: LONGEST - len(ending)] + ending


def describe_differences(
    before: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]
) -> str:
    """Describes values that differ, as in "seed was 0 and is 1 now". Returns "" if none differ.

    Args:
      before, now: JSON values by name. A missing value counts as null.
      names: Names of the values to compare.
    """
    return "; ".join(
        f"{name} was {brief(before.get(name))} and is {brief(now.get(name))} now"
        for name in names
        if before.get(name) != now.get(name)
    )


def _all_are(kind: str, values: Any) -> bool:
    is_one = KINDS[kind][1]
    return isinstance(values, (list, tuple)) and all(map(is_one, values))


def _is_finite(value: numbers.Real) -> bool:
    # JSON may hold an integer of hundreds of digits, which does not fit into a float.
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def file_sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file's bytes."""
    with file_system.open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(path: str | os.PathLike) -> str:
    """Returns a SHA-256 of all files below a folder and of their relative paths."""
    names = sorted(pathlib.PurePath(os.path.relpath(f, path)) for f in file_system.walk(path))
    return key_of([(name.as_posix(), file_sha256(os.path.join(path, name))) for name in names])


def key_of(*parts: Any) -> str:
    """Returns a SHA-256 of JSON values, which does not depend on the order of names in objects."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
