"""JSON files: all kinds of damage give one line that names the file and the field."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tf_biggan.files.json_files import (
    brief,
    describe_differences,
    field,
    is_kind,
    parse_json,
    read_json,
)

DEEP = 100_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "must be JSON"),
        (b"{", "must be JSON"),
        (b"\0" * 16, "must be JSON"),
        (b'{"name": "caf\xe9"}', "must be UTF-8"),
        (b"[" * DEEP + b"]" * DEEP, "nested too deeply"),
        (b'{"a":' * DEEP, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "must be JSON"),
        (b"[1]", r"it must be an object, not \[1\]"),
        (b"null", "it must be an object, not null"),
        (b"7", "it must be an object, not 7"),
        (json.dumps(["x" * 1000]).encode(), "must be an object, not .{60}$"),
    ],
)
def test_what_is_no_object_is_one_line_that_names_the_file(tmp_path, content, reason):
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"Cannot read {path}: ")
    assert "\n" not in str(caught.value)


def test_values_come_back_and_a_byte_order_mark_is_no_damage(tmp_path):
    path = tmp_path / "good.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": [1, "é"]}).encode())
    assert read_json(path) == {"a": [1, "é"]}
    assert parse_json("[1, 2]", path, "tuple[int, ...]") == [1, 2]
    assert parse_json("3", path, None) == 3
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


GOOD = [
    ("int", 3),
    ("int", np.int64(3)),
    ("float", 3),
    ("float", 0.5),
    ("float", np.float32(0.5)),
    ("str", ""),
    ("bool", False),
    ("list", [1, None]),
    ("dict", {}),
    ("tuple[int, ...]", [1, 2]),
    ("tuple[str, ...]", ()),
    ("int | None", None),
]
BAD = [
    ("int", True),
    ("int", 3.0),
    ("int", "3"),
    ("int", None),
    ("float", "0.5"),
    ("float", True),
    ("float", float("nan")),
    ("float", float("inf")),
    ("float", 10**400),
    ("str", 3),
    ("bool", 0),
    ("list", "text"),
    ("dict", []),
    ("tuple[int, ...]", [1, "2"]),
    ("tuple[str, ...]", ["a", None]),
    ("int | None", "3"),
]


@pytest.mark.parametrize(("kind", "value"), GOOD)
def test_kinds_that_fit(kind, value):
    assert is_kind(value, kind)
    assert field({"name": value}, "name", kind, "file") is value


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_kinds_that_do_not_fit_name_file_and_field(kind, value):
    assert not is_kind(value, kind)
    with pytest.raises(ValueError, match=r"^Cannot read run/x\.json: the field 'name' must be "):
        field({"name": value}, "name", kind, "run/x.json")


def test_a_missing_field_has_its_default_or_is_named():
    assert field({}, "name", "int", "x.json", 7) == 7
    assert field({}, "name", "int", "x.json", None) is None
    with pytest.raises(ValueError, match=r"Cannot read x\.json: the field 'name' is missing"):
        field({}, "name", "int", "x.json")


def test_values_in_messages_are_short():
    deep = []
    for _ in range(DEEP):
        deep = [deep]
    assert brief(deep) == "a list"
    assert len(brief("x" * 1000)) == 60
    shortened = brief(["tench"] * 1000)
    assert len(shortened) == 60 and shortened.endswith("... (1000 entries)")


def test_differences_name_every_value_that_changed():
    before, now = {"seed": 0, "bn": "table", "size": 8}, {"seed": 1, "size": 8, "bn": None}
    text = 'bn was "table" and is null now; seed was 0 and is 1 now'
    assert describe_differences(before, now, ("bn", "seed", "size")) == text
    assert describe_differences(before, now, ("size", "other")) == ""
