"""Brackets in paths: TensorFlow takes them for patterns, but every reader works."""

from __future__ import annotations

import gc
import os
import pathlib
import shutil
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.conversion.weight_sources import open_source
from tf_biggan.evaluation.features.extractors import open_extractor
from tf_biggan.files.file_paths import PlainFolder, pattern_note
from tf_biggan.serving.served_model import load_saved_model
from tf_biggan.store.opened_model import open_model

FIXTURES = pathlib.Path(__file__).parents[1] / "version_0_1"


@pytest.mark.parametrize("name", ["lr=[2e-4,5e-5]", "a*", "b?", "c\\d"])
def test_the_link_leads_to_the_folder_and_goes_away(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "file").write_text("x")
    with PlainFolder(str(tmp_path / name)) as folder:
        assert not set("[]*?\\") & set(folder)
        assert pathlib.Path(folder, "file").read_text() == "x"
        link = pathlib.Path(folder)
    assert not link.parent.exists() and (tmp_path / name / "file").exists()
    held = PlainFolder(str(tmp_path / name))
    link = pathlib.Path(held.path)
    assert link.exists()
    del held
    gc.collect()
    assert not link.parent.exists() and (tmp_path / name / "file").exists()


def test_a_plain_path_is_its_own(tmp_path):
    with PlainFolder(str(tmp_path)) as folder:
        assert folder == str(tmp_path)


def test_what_others_cannot_open_is_told_of(tmp_path):
    assert pattern_note(str(tmp_path / "a*b?" / "1")) is None
    note = pattern_note(str(tmp_path / "abc[v2]" / "1"))
    assert "read [ ] in a path as a pattern" in note and "\n" not in note


def test_relative_paths_and_brackets_in_the_folder_for_temporary_files(tmp_path, monkeypatch):
    (tmp_path / "[t]").mkdir()
    monkeypatch.chdir(tmp_path)
    with PlainFolder("[t]") as folder:
        assert os.path.samefile(folder, "[t]")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "[t]"))
    with pytest.raises(ValueError, match="Set TMPDIR to a folder without them"):
        PlainFolder("[t]")
    gc.collect()
    assert os.listdir("[t]") == []


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models[v2]"


@pytest.mark.parametrize("kind", ["run", "model", "export/1"])
def test_models_open(folder, kind):
    shutil.copytree(FIXTURES / kind, folder / kind)
    opened = open_model(str(folder / kind))
    assert opened.description["path"] == str(folder / kind)
    z = np.ones((1, opened.generator.latent_dim), "float32")
    elsewhere = open_model(str(FIXTURES / kind)).generator
    np.testing.assert_array_equal(opened.generator(z, np.array([1])), elsewhere(z, np.array([1])))


def test_an_export_is_served(folder):
    shutil.copytree(FIXTURES / "export" / "1", folder / "1")
    assert "default" in load_saved_model(str(folder / "1")).signatures


def test_a_module_is_read_for_conversion(folder):
    module = tf.Module()
    module.v = tf.Variable([1.0, 2.0], name="blocks.0.0.conv1.weight")
    tf.saved_model.save(module, str(folder / "module"))
    source = open_source(str(folder / "module"))
    values = [entry.read() for entry in source.networks["generator"].entries.values()]
    assert any(np.array_equal(value, [1.0, 2.0]) for value in values)


class _Features(tf.Module):
    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3])])
    def serve(self, pixels):
        return {"f": self.factor * tf.reduce_mean(pixels, (1, 2))}


def test_extractors_open(folder):
    module = _Features()
    tf.saved_model.save(module, str(folder / "f"), signatures={"serving_default": module.serve})
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    model.save(str(folder / "f.keras"))
    pixels = tf.ones((1, 8, 8, 3), tf.uint8)
    for path, value in (("f", 2.0), ("f.keras", 1.0)):
        features = open_extractor(str(folder / path)).build()(pixels)["features"]
        np.testing.assert_allclose(features, [[value] * 3])
