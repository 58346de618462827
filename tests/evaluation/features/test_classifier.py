"""The classifier recognises digits, is reproducible, and is trained once for the same data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.evaluation import tiny
from tf_biggan.data.schemes import open_source
from tf_biggan.evaluation.features import classifier
from tf_biggan.evaluation.features.classifier import (
    ClassifierSettings,
    accuracy,
    classifier_of,
    training_images,
)
from tf_biggan.evaluation.features.extractors import FEATURES, LOGITS
from tf_biggan.evaluation.features.image_sets import ArrayImages, SourceImages

# Digits at their stored size of 8x8. The default settings are made for larger images.
SETTINGS = ClassifierSettings(channels=(16, 32), updates=(150, 150), shift=0)


@pytest.fixture(scope="module", autouse=True)
def settings():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "ClassifierSettings", lambda: SETTINGS)
        yield


@pytest.fixture(scope="module")
def digits():
    return SourceImages(open_source("digits"), (8, 8), 1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(settings, digits, cache):
    return classifier_of(digits, cache)


def test_it_tells_digits_apart(digits, trained):
    assert trained.held_out_accuracy > 0.9 and trained.held_out_count == 180
    pixels = np.concatenate(list(digits.batches(500)))
    made = trained.extractor().build()(tf.constant(pixels))
    assert made[FEATURES].shape == (1797, 64) and made[LOGITS].shape == (1797, 10)
    whole, by_class = accuracy(made[LOGITS].numpy(), digits.labels)
    assert whole > 0.93 and len(by_class) == 10 and min(by_class.values()) > 0.8
    # If every label is shifted by one, the accuracy is 0.
    assert accuracy(made[LOGITS].numpy(), (digits.labels + 1) % 10)[0] < 0.02
    assert trained.extractor().facts["held_out_accuracy"] == trained.held_out_accuracy


def test_it_is_made_once_and_the_same_every_time(digits, trained, cache):
    again = classifier_of(digits, cache)
    anew = classifier_of(digits, None)
    assert trained.key == again.key == anew.key
    assert trained.held_out_accuracy == again.held_out_accuracy == anew.held_out_accuracy
    for name, value in trained.weights.items():
        np.testing.assert_array_equal(again.weights[name], value, err_msg=name)
        np.testing.assert_array_equal(anew.weights[name], value, err_msg=name)


def test_other_data_labels_or_settings_make_another(monkeypatch):
    made = []
    facts = {"held_out_accuracy": 1.0, "held_out_count": 1}
    monkeypatch.setattr(classifier, "_train", lambda *args: made.append(args) or ({}, facts))
    images = tiny.images(12)
    pixels = np.concatenate(list(images.batches(12)))
    relabelled = ArrayImages("noise", pixels, (images.labels + 1) % 3)
    keys = {
        classifier_of(images, None).key,
        classifier_of(tiny.images(12, seed=1), None).key,
        classifier_of(relabelled, None).key,
    }
    monkeypatch.setattr(
        classifier, "ClassifierSettings", lambda: dataclasses.replace(SETTINGS, seed=1)
    )
    keys.add(classifier_of(images, None).key)
    assert len(keys) == len(made) == 4


def test_a_damaged_cache_is_made_anew(digits, trained, tmp_path, monkeypatch):
    folder = tmp_path / classifier.FOLDER / trained.key
    classifier._store(folder, dict(trained.weights), {"held_out_accuracy": 1, "held_out_count": 2})
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    facts = {"held_out_accuracy": 0.5, "held_out_count": 1}
    monkeypatch.setattr(classifier, "_train", lambda *args: (dict(trained.weights), facts))
    assert classifier_of(digits, tmp_path).held_out_accuracy == 0.5
    assert classifier_of(digits, tmp_path).held_out_count == 1


def test_it_is_trained_on_more_than_a_small_reference(digits, monkeypatch):
    source = open_source("digits")
    few = SourceImages(source, (8, 8), 1, count=30)
    assert training_images(source, few).count == 1797
    assert training_images(source, digits) is digits
    monkeypatch.setattr(classifier, "KEPT_BYTES", 64 * 500)
    assert training_images(source, few).count == training_images(source, digits).count == 500


def test_data_without_classes_are_refused():
    pixels = np.zeros((4, 8, 8, 3), np.uint8)
    for labels in (None, np.zeros(4)):
        with pytest.raises(
            ValueError, match=r"at least two classes; without such labels, give --inc"
        ):
            classifier_of(ArrayImages("plain", pixels, labels), None)
