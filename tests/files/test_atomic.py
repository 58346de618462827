"""Files that are written completely or not at all."""

from __future__ import annotations

import pathlib

import pytest

from tf_biggan.files.atomic import replaced, write_text


def test_a_text_is_written_with_its_folder_and_nothing_is_left(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_text(path, "é\n")
    write_text(str(path), "è\n")
    assert path.read_text(encoding="utf-8") == "è\n"
    assert [found.name for found in path.parent.iterdir()] == ["b.json"]


def test_after_an_exception_the_file_is_as_it_was(tmp_path):
    path = tmp_path / "a"
    write_text(path, "before")
    with pytest.raises(RuntimeError), replaced(path) as temporary:
        pathlib.Path(temporary).write_text("half")
        raise RuntimeError
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match=f"'{tmp_path}/a'"):
        write_text(tmp_path / "a", "text")
