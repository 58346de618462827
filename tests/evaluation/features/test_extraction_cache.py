"""The cache of arrays: arrays are found again, the size is bounded, and errors are harmless."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from tf_biggan.evaluation.features.extraction import ArrayCache, cache_folder


def test_the_folder_is_the_environments_or_below_home(monkeypatch):
    monkeypatch.setenv("TF_BIGGAN_CACHE", "/somewhere/else")
    assert cache_folder() == "/somewhere/else"
    monkeypatch.delenv("TF_BIGGAN_CACHE")
    assert cache_folder() == str(pathlib.Path.home() / ".cache" / "tf_biggan")


def test_what_was_stored_is_found(tmp_path):
    cache = ArrayCache(tmp_path / "cache")
    assert cache.read("k") is None
    cache.store("k", {"a": np.arange(3), "b": np.ones(2)})
    np.testing.assert_array_equal(ArrayCache(tmp_path / "cache").read("k")["a"], [0, 1, 2])
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["k.npz"]


def test_a_damaged_entry_is_none(tmp_path):
    cache = ArrayCache(tmp_path)
    cache.store("k", {"a": np.arange(1000)})
    content = (tmp_path / "k.npz").read_bytes()
    (tmp_path / "k.npz").write_bytes(content[:500])
    assert cache.read("k") is None


def test_what_was_not_read_for_longest_goes_first(tmp_path):
    cache = ArrayCache(tmp_path, limit=3000)
    for number, key in enumerate("abc"):
        cache.store(key, {"x": np.zeros(1000, np.uint8)})
        if key != "c":
            os.utime(tmp_path / f"{key}.npz", (number, number))
        if key == "b":
            assert cache.read("a") is not None  # Reading makes it more recent than b.
    assert sorted(path.stem for path in tmp_path.glob("*.npz")) == ["a", "c"]
    cache.store("large", {"x": np.zeros(4000, np.uint8)})
    assert cache.read("large") is None and cache.read("c") is not None


def test_no_folder_and_one_that_cannot_be_made_keep_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file" / "below"):
        cache = ArrayCache(folder)
        cache.store("k", {"a": np.arange(3)})
        assert cache.read("k") is None
