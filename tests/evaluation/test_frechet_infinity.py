"""Extrapolation of the Fréchet distance, on Gaussians whose true distance is known."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.evaluation.scores.frechet import (
    FeatureStatistics,
    feature_statistics,
    frechet_distance,
)
from tf_biggan.evaluation.scores.frechet_variants import frechet_infinity

DIM = 30
REFERENCE = FeatureStatistics(np.zeros(DIM), np.eye(DIM), 10**6)


def test_extrapolation_comes_closer_to_the_truth():
    # Features of the reference's own distribution: the true distance is zero.
    errors = []
    for seed in range(5):
        features = np.random.RandomState(seed).standard_normal((2000, DIM))
        at_all = frechet_distance(feature_statistics(features), REFERENCE)
        errors.append((abs(frechet_infinity(features, REFERENCE).value), at_all))
    extrapolated, at_all = np.mean(errors, axis=0)
    assert extrapolated < at_all / 3


def test_points_are_distances_of_parts_of_those_sizes():
    features = np.random.RandomState(0).standard_normal((1000, DIM)) + 1
    result = frechet_infinity(features, REFERENCE, points=4, seed=3)
    assert result.sizes == (100, 400, 700, 1000)
    whole = frechet_distance(feature_statistics(features), REFERENCE)
    assert result.distances[-1] == pytest.approx(whole, rel=1e-12)
    part = features[np.random.RandomState(3).permutation(1000)[:400]]
    expected = frechet_distance(feature_statistics(part), REFERENCE)
    assert result.distances[1] == pytest.approx(expected, rel=1e-10)
    line = np.polyfit(1 / np.array(result.sizes), result.distances, 1)
    assert result.value == pytest.approx(line[1])
    again = frechet_infinity(features, REFERENCE, points=4, seed=4)
    assert again.value != result.value


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match=r"needs at least 310 images\. Received: num_images=309"):
        frechet_infinity(np.random.RandomState(0).standard_normal((309, DIM)), REFERENCE)
    with pytest.raises(ValueError, match="`points` must be an integer at least 2"):
        frechet_infinity(np.zeros((400, DIM)), REFERENCE, points=1)
