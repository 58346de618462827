"""Nearest images of a source, compared with brute force over all features."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.evaluation import tiny
from tf_biggan.data.schemes import open_source
from tf_biggan.evaluation.features.extraction import ArrayCache, FeatureExtraction
from tf_biggan.evaluation.features.extractors import pixel_extractor
from tf_biggan.evaluation.features.image_sets import ArrayImages, SourceImages
from tf_biggan.pictures import nearest_images as neighbour_search
from tf_biggan.pictures.nearest_images import find_neighbours

SHAPE = (8, 8, 1)
COUNT = 150


@pytest.fixture(scope="module")
def reference():
    return SourceImages(open_source("digits"), SHAPE[:2], 1, COUNT)


@pytest.fixture(scope="module")
def pixels(reference):
    return np.concatenate(list(reference.batches(64)))


def extraction(extractor=None):
    strategy = tf.distribute.get_strategy()
    return FeatureExtraction(extractor or pixel_extractor(), strategy, 32, ArrayCache(None))


def test_real_images_find_themselves_at_distance_zero(reference, pixels):
    rows = np.array([0, 77, 149, 3])
    samples = ArrayImages("samples", pixels[rows])
    found = find_neighbours(samples, reference, extraction(), 3)
    np.testing.assert_array_equal(found.rows[:, 0], rows)
    np.testing.assert_array_equal(found.distances[:, 0], 0.0)
    flat = pixels.reshape(COUNT, -1).astype(np.float64)
    expected = np.sqrt(((flat[rows, None] - flat[None]) ** 2).mean(-1))
    np.testing.assert_allclose(found.distances, np.sort(expected)[:, :3], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(found.rows, np.argsort(expected)[:, :3])


def test_real_distances_are_those_to_the_nearest_other(reference, pixels, monkeypatch):
    monkeypatch.setattr(neighbour_search, "PROBES", COUNT)
    samples = ArrayImages("samples", pixels[:1])
    found = find_neighbours(samples, reference, extraction(), 1)
    flat = pixels.reshape(COUNT, -1).astype(np.float64)
    distances = np.sqrt(((flat[:, None] - flat[None]) ** 2).mean(-1)) + np.diag([np.inf] * COUNT)
    np.testing.assert_allclose(found.real_distances, distances.min(1), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("held", [1 << 30, 0])
def test_same_class_held_or_streamed(reference, pixels, held, monkeypatch):
    monkeypatch.setattr(neighbour_search, "HELD_BYTES", held)
    samples = ArrayImages("samples", 255 - pixels[:5], [0, 1, 2, 3, 4])
    network = tiny.extractor(SHAPE)
    found = find_neighbours(samples, reference, extraction(network), 4, same_class=True)
    features = [
        network.build()(tf.constant(x))["features"].numpy() for x in (255 - pixels[:5], pixels)
    ]
    distances = np.sqrt(((features[0][:, None] - features[1][None]) ** 2).sum(-1))
    distances[np.arange(5)[:, None] != reference.labels[None]] = np.inf
    np.testing.assert_array_equal(found.rows, np.argsort(distances)[:, :4])
    np.testing.assert_allclose(found.distances, np.sort(distances)[:, :4], rtol=1e-3, atol=1e-5)


def test_images_are_fetched_by_place(reference, pixels):
    fresh = SourceImages(open_source("digits"), SHAPE[:2], 1, COUNT)
    rows = np.array([140, 2, 2])
    np.testing.assert_array_equal(fresh.take(rows), pixels[rows])
    np.testing.assert_array_equal(reference.take(rows), pixels[rows])


def test_the_same_class_needs_classes(reference, pixels):
    samples = ArrayImages("samples", pixels[:2])
    with pytest.raises(ValueError, match="needs samples and a reference with classes"):
        find_neighbours(samples, reference, extraction(), 1, same_class=True)
