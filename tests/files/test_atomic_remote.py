"""Writes to an address: a reader meets the old or the new state, whenever the writer is killed.

The file system of the tests is TensorFlow's `ram://`. Like an object store, it cannot rename a
folder with its content.
"""

from __future__ import annotations

import os
import pathlib
import tempfile

import pytest
import tensorflow as tf

from tests.killed_files import DEAD_PROCESS, every_moment
from tests.remote_files import CHANGES, new_address
from tf_biggan.files import atomic, file_system
from tf_biggan.files.atomic import new_folder, replaced, write_text


@pytest.fixture
def address(tmp_path, monkeypatch):
    """Returns a folder of its own at an address. What killed writers leave goes to `tmp_path`."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return new_address()


def read(path):
    return tf.io.gfile.GFile(path).read()


def files_below(path):
    """Returns the content of the files below an address by their names; {} without a folder."""
    found = file_system.walk(path) if file_system.isdir(path) else ()
    return {os.path.relpath(place, path): read(place) for place in found}


def test_a_file_is_old_or_new_at_every_moment(address):
    states = []
    for moment in range(50):
        write_text(f"{address}/{moment:03d}/a.json", "old")
    for moment in every_moment(lambda m: write_text(f"{address}/{m:03d}/a.json", "new"), CHANGES):
        path = f"{address}/{moment:03d}/a.json"
        states.append(read(path))
        write_text(path, "newer")
        assert files_below(os.path.dirname(path)) == {"a.json": "newer"}
    assert states == sorted(states, reverse=True) and set(states) == {"old", "new"}
    assert 10 < len(states) < 50


WHOLE = {name: f"content of {name}" for name in ("a/variables", "config.json", "weights")}


def write_folder(path):
    with new_folder(path, last="config.json") as folder:
        for name, content in WHOLE.items():
            pathlib.Path(folder, name).parent.mkdir(exist_ok=True)
            pathlib.Path(folder, name).write_text(content)


def test_a_folder_is_valid_only_when_it_is_whole(address):
    states, refused = [], 0
    for moment in every_moment(lambda moment: write_folder(f"{address}/{moment:03d}"), CHANGES):
        path = f"{address}/{moment:03d}"
        found = files_below(path)
        states.append("config.json" in found)
        assert not states[-1] or WHOLE.items() <= found.items()
        try:
            write_folder(path)
        except ValueError as error:
            assert str(error).startswith("The output exists and is not an empty folder")
            refused += 1
        else:
            assert files_below(path) == WHOLE
    assert states == sorted(states) and set(states) == {True, False}
    assert 0 < refused < len(states)


def test_after_an_error_the_file_and_the_folder_are_as_they_were(address, tmp_path):
    write_text(f"{address}/a", "before")
    with pytest.raises(RuntimeError), replaced(f"{address}/a") as temporary:
        pathlib.Path(temporary).write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), new_folder(f"{address}/new", last="a") as folder:
        pathlib.Path(folder, "a").write_text("half")
        raise RuntimeError
    assert files_below(address) == {"a": "before"} and not list(tmp_path.iterdir())


def test_an_error_of_the_store_names_the_path_and_leaves_nothing(address, tmp_path, monkeypatch):
    write_text(f"{address}/a", "before")

    def fails(*_, **__):
        raise tf.errors.PermissionDeniedError(None, None, "403: read only")

    monkeypatch.setattr(tf.io.gfile, "rename", fails)
    with pytest.raises(PermissionError, match=rf"403: read only: '{address}/a'"):
        write_text(f"{address}/a", "after")
    assert files_below(address) == {"a": "before"} and not list(tmp_path.iterdir())


def test_temporary_files_of_other_machines_stay(address):
    own = atomic.temporary_name(f"{address}/a").replace(str(os.getpid()), str(DEAD_PROCESS))
    others = [f"{address}/tmp.other-{DEAD_PROCESS}.a", f"{address}/a.{DEAD_PROCESS}.tmp"]
    running = [atomic.temporary_name(f"{address}/a")]
    for path in (own, *others, *running):
        tf.io.gfile.GFile(path, "w").write("half")
    write_text(f"{address}/a", "whole")
    assert set(files_below(address)) == {os.path.basename(p) for p in others} | {"a"}
