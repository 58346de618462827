"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import pathlib

import pytest

from tf_biggan.files.atomic import final_name, replaced, temporary_name, write_text


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


def test_a_temporary_name_tells_the_final_one(tmp_path):
    for folder in (str(tmp_path), "ram://names/run"):
        name = os.path.basename(temporary_name(os.path.join(folder, "config.json")))
        assert name != "config.json" and final_name(name) == "config.json"
    assert not any(map(final_name, ("config.json", "config.json.tmp", "x.1.tmpx", "tmp.a.b")))
