"""Which real images a model is compared with, and by what."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.evaluation.reference import ReferenceChoice, cache_of
from tf_biggan.store.run_directory import write_config


def test_a_run_knows_its_data(tmp_path):
    run = str(tmp_path / "run")
    write_config(run, TrainConfig.from_flat({"dataset": "digits"}))
    source = ReferenceChoice(None, model=run).open()
    assert (source.name, source.num_images) == ("digits", 1797)


def test_a_folder_and_its_sub_folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "train" / name / "x.png")
    source = ReferenceChoice(str(tmp_path), split="train").open()
    assert source.class_names == ("a", "b")


def test_nothing_to_compare_with_is_refused(tmp_path):
    with pytest.raises(ValueError, match="only a run knows its data"):
        ReferenceChoice(None, model=str(tmp_path)).open()
    with pytest.raises(ValueError, match="only a run knows its data"):
        ReferenceChoice(None).open()


def test_the_folder_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(tmp_path))
    assert [cache_of(text) for text in ("none", "default", "x")] == [None, str(tmp_path), "x"]
