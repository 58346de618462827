"""Features do not depend on batches or replicas, are cached by content, and must be finite."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.evaluation import tiny
from tf_biggan.evaluation.features.extraction import ArrayCache, FeatureExtraction
from tf_biggan.evaluation.features.extractors import FEATURES
from tf_biggan.evaluation.features.image_sets import ArrayImages

SHAPE = (8, 8, 3)
NOTHING = ArrayCache(None)


def extraction(extractor=None, strategy=None, batch_size=4, cache=NOTHING):
    extractor = extractor or tiny.extractor(SHAPE)
    return FeatureExtraction(extractor, strategy or tf.distribute.get_strategy(), batch_size, cache)


def test_batches_and_replicas_change_nothing(mirrored_strategy):
    images = tiny.images(11)
    first = extraction(batch_size=11).of(images)
    flat = np.concatenate(list(images.batches(4))).reshape(11, -1) / 64.0 - 2.0
    random = np.random.RandomState(0)
    directions = random.standard_normal((192, 6)).astype(np.float32) / np.sqrt(192)
    np.testing.assert_allclose(first.features, np.tanh(flat @ directions), atol=1e-5)
    assert first.features.dtype == np.float32 and first.logits.shape == (11, 3)
    for other in (
        extraction(batch_size=3).of(images),
        extraction(strategy=mirrored_strategy, batch_size=3).of(images),
    ):
        np.testing.assert_allclose(other.features, first.features, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(other.digests, first.digests)
        np.testing.assert_array_equal(other.labels, first.labels)


def test_products_are_not_rounded_and_training_goes_on_as_before():
    """Checks the setting; CPUs do not use TensorFloat-32."""
    found = []
    extractor = tiny.extractor(SHAPE)

    def build():
        function = extractor.build()

        def noting(images):
            flag = tf.config.experimental.tensor_float_32_execution_enabled
            tf.py_function(lambda: found.append(flag()), [], [])
            return function(images)

        return noting

    assert tf.config.experimental.tensor_float_32_execution_enabled()
    extraction(dataclasses.replace(extractor, build=build), batch_size=2).of(tiny.images(4))
    assert found == [False, False]
    assert tf.config.experimental.tensor_float_32_execution_enabled()
    with pytest.raises(ValueError, match="does not accept images of the shape"):
        extraction().of(tiny.images(4, (9, 9, 3)))
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_the_same_content_is_looked_at_once(tmp_path):
    calls, cache = [], ArrayCache(tmp_path)
    extractor = tiny.extractor(SHAPE, calls=calls)
    first = extraction(extractor, cache=cache).of(tiny.images(5))
    again = extraction(extractor, cache=cache).of(tiny.images(5))
    assert len(calls) == 1
    for field in dataclasses.fields(first):
        one, two = getattr(first, field.name), getattr(again, field.name)
        np.testing.assert_array_equal(one, two)
    extraction(extractor, cache=cache).of(tiny.images(5, seed=1))
    assert len(calls) == 2
    other = tiny.extractor(SHAPE, seed=1, calls=calls)
    assert np.any(extraction(other, cache=cache).of(tiny.images(5)).features != first.features)
    assert len(calls) == 3


def test_an_order_of_files_does_not_show_by_content():
    images = tiny.images(9)
    pixels = np.concatenate(list(images.batches(9)))
    turned = ArrayImages("turned", pixels[::-1], images.labels[::-1])
    one, two = extraction().of(images), extraction().of(turned)
    assert np.any(one.features != two.features) and one.sha256 == two.sha256
    one, two = one.by_content(), two.by_content()
    np.testing.assert_allclose(one.features, two.features, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.digests, np.sort(one.digests))


def test_features_that_are_no_numbers_are_refused():
    whole = tiny.extractor(SHAPE)

    def build():
        function = whole.build()

        def broken(images):
            made = function(images)
            bright = tf.reduce_mean(tf.cast(images, tf.float32), (1, 2, 3)) > 128
            return {FEATURES: tf.where(bright[:, None], float("nan"), made[FEATURES])}

        return broken

    broken = dataclasses.replace(whole, build=build)
    with pytest.raises(ValueError, match=r"features that are not finite.*images_with_others=\d"):
        extraction(broken).of(tiny.images(12))


def test_images_that_the_network_does_not_take():
    with pytest.raises(ValueError, match=r"does not accept images of the shape.*\(5, 5, 3\)"):
        extraction().of(tiny.images(4, (5, 5, 3)))
