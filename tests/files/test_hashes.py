"""SHA-256 of files, folders and JSON values."""

from __future__ import annotations

import hashlib

from tf_biggan.files.json_files import file_sha256, folder_sha256, key_of


def test_a_file_is_hashed_by_its_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"content")
    assert file_sha256(path) == hashlib.sha256(b"content").hexdigest()


def test_a_folder_is_hashed_by_its_files_and_their_paths(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/a").write_text("1")
    first = folder_sha256(tmp_path)
    (tmp_path / "inner/a").rename(tmp_path / "b")
    second = folder_sha256(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, folder_sha256(tmp_path)}) == 3


def test_keys_do_not_depend_on_the_order_of_names():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert len({key_of(1), key_of("1"), key_of(1, 2), key_of([1, 2])}) == 4
