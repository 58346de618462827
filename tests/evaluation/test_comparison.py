"""The real images that a model is compared with, and feature extractors by name."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.folder import FolderSource
from tf_biggan.devices import hardware
from tf_biggan.evaluation import comparison
from tf_biggan.evaluation.comparison import (
    Comparison,
    cache_of,
    label_counts_for_model,
    open_real_images,
    soft_labels_for_model,
)
from tf_biggan.store.run_directory import write_config


def test_a_run_knows_its_data(tmp_path):
    run = str(tmp_path / "run")
    write_config(run, TrainConfig.from_flat({"dataset": "digits"}))
    source = open_real_images(None, model=run)
    assert (source.name, source.num_images) == ("digits", 1797)


def test_a_folder_and_its_sub_folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "train" / name / "x.png")
    source = open_real_images(str(tmp_path), split="train")
    assert source.class_names == ("a", "b")


def test_labels_of_the_reference_follow_the_classes_of_the_model():
    weights = np.array([[1, 0], [0.25, 0.75]], np.float32)
    files = ["a.png", "b.png"]
    source = FolderSource("birds", ("owl", "finch"), files, weights, collections.Counter())
    of_model = ("ant", "finch", "owl")
    found = soft_labels_for_model(source, of_model, 3)
    np.testing.assert_array_equal(found, [[0, 0, 1], [0, 0.75, 0.25]])
    np.testing.assert_array_equal(label_counts_for_model(source, of_model), [0, 1, 1])
    assert soft_labels_for_model(source, ("ant", "owl"), 2) is None
    # Without names, classes are matched by their number.
    np.testing.assert_array_equal(soft_labels_for_model(source, (), 2), weights)
    np.testing.assert_array_equal(label_counts_for_model(source, ()), [1, 1])
    assert soft_labels_for_model(source, (), 3) is None


def test_nothing_to_compare_with_is_refused(tmp_path):
    with pytest.raises(ValueError, match="only a run records its data"):
        open_real_images(None, model=str(tmp_path))
    with pytest.raises(ValueError, match="only a run records its data"):
        open_real_images(None)


def test_the_folder_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(tmp_path))
    assert [cache_of(text) for text in ("none", "default", "x")] == [None, str(tmp_path), "x"]


def test_own_extractors_need_no_reference(tmp_path):
    with pytest.raises(ValueError, match="There is no feature extractor"):
        Comparison(tf.distribute.get_strategy()).extractor(f"{tmp_path}/x.keras")


@pytest.mark.parametrize(
    "name, dtype", [("inception", "float32"), ("inception_bfloat16", "bfloat16")]
)
def test_inception_gets_its_precision(monkeypatch, capsys, name, dtype):
    monkeypatch.setattr(hardware, "cpu_info", lambda: {"flags": "avx2"})
    monkeypatch.setattr(comparison, "inception_extractor", lambda *arguments: arguments)
    strategy = tf.distribute.get_strategy()
    found = Comparison(strategy, inception_weights="w", bias=True).extractor(name)
    assert found == ("w", True, dtype)
    warned = "Warning: the extractor inception_bfloat16 may be" in capsys.readouterr().err
    assert warned == (dtype == "bfloat16")
