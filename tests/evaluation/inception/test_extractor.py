"""Inception as an extractor: the outputs that a protocol needs, and the names of its scores."""

from __future__ import annotations

import types

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.evaluation.features.extractors import FEATURES, LOGITS
from tf_biggan.evaluation.inception import extractor as inception_extractor


@pytest.fixture
def loaded(monkeypatch):
    """Replaces the loader by a network of channel means, and returns the arguments of its calls."""
    asked = []

    def load(path, taps, dtype):
        asked.append((path, taps, dtype))

        def outputs(images):
            means = tf.reduce_mean(tf.cast(images, tf.float32), (1, 2))
            return {tap: means * (1 + place) for place, tap in enumerate(taps)}

        is_reference = path == "reference"
        return types.SimpleNamespace(outputs=outputs, sha256="abc", is_reference=is_reference)

    monkeypatch.setattr(inception_extractor, "load_inception", load)
    return asked


def test_taps_and_names(loaded):
    ours = inception_extractor.inception_extractor("reference")
    biased = inception_extractor.inception_extractor("reference", bias=True)
    other = inception_extractor.inception_extractor(None)
    narrow = inception_extractor.inception_extractor("reference", dtype="bfloat16")
    narrow_other = inception_extractor.inception_extractor(None, dtype="bfloat16")
    assert loaded == [
        ("reference", ("2048", "logits_unbiased"), "float32"),
        ("reference", ("2048", "logits"), "float32"),
        (None, ("2048", "logits_unbiased"), "float32"),
        ("reference", ("2048", "logits_unbiased"), "bfloat16"),
        (None, ("2048", "logits_unbiased"), "bfloat16"),
    ]
    assert (ours.prefix, other.prefix) == ("", "other_inception_")
    assert (narrow.prefix, narrow_other.prefix) == ("bfloat16_", "bfloat16_other_inception_")
    assert narrow.identity == {**ours.identity, "precision": "bfloat16"}
    assert (ours.name, narrow.name) == ("Inception", "Inception in bfloat16")
    assert ours.identity["sha256"] == "abc" and ours.identity["is_reference"]
    assert ours.identity != biased.identity and not other.identity["is_reference"]


def test_grey_is_repeated(loaded):
    function = inception_extractor.inception_extractor("reference").build()
    images = np.random.RandomState(0).randint(0, 256, (2, 4, 4, 1)).astype(np.uint8)
    made = function(tf.constant(images))
    expected = images.mean(axis=(1, 2)).repeat(3, axis=1)
    np.testing.assert_allclose(made[FEATURES], expected, rtol=1e-6)
    np.testing.assert_allclose(made[LOGITS], 2 * expected, rtol=1e-6)
