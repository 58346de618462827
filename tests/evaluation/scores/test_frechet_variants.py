"""FID of infinitely many images and of each class, for Gaussians with known distances."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.evaluation.scores.frechet import (
    FeatureStatistics,
    feature_statistics,
    frechet_distance,
    frechet_infinity,
    intra_class_distance,
)

DIM = 30
REFERENCE = FeatureStatistics(np.zeros(DIM), np.eye(DIM), 10**6)


def test_extrapolation_comes_closer_to_the_truth():
    # Both sides have the same distribution, so the true distance is zero.
    errors = []
    for seed in range(5):
        features = np.random.RandomState(seed).standard_normal((2000, DIM))
        at_all = frechet_distance(feature_statistics(features), REFERENCE)
        errors.append((abs(frechet_infinity(features, REFERENCE).value), at_all))
    extrapolated, at_all = np.mean(errors, axis=0)
    assert extrapolated < at_all / 3


def test_points_are_distances_of_parts_of_those_sizes():
    features = np.random.RandomState(0).standard_normal((1000, DIM)) + 1
    result = frechet_infinity(features, REFERENCE)
    assert len(result.sizes) == len(result.distances) == 15
    assert result.sizes[:2] == (100, 164) and result.sizes[-1] == 1000
    whole = frechet_distance(feature_statistics(features), REFERENCE)
    assert result.distances[-1] == pytest.approx(whole, rel=1e-12)
    part = features[np.random.RandomState(0).permutation(1000)[:164]]
    expected = frechet_distance(feature_statistics(part), REFERENCE)
    assert result.distances[1] == pytest.approx(expected, rel=1e-10)
    line = np.polyfit(1 / np.array(result.sizes), result.distances, 1)
    assert result.value == pytest.approx(line[1])


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match=r"needs at least 310 images\. Received: num_images=309"):
        frechet_infinity(np.random.RandomState(0).standard_normal((309, DIM)), REFERENCE)


def labelled(seed, labels):
    return np.random.RandomState(seed).standard_normal((len(labels), 3)), np.array(labels)


def test_each_class_is_compared_with_itself():
    generated, ours = labelled(0, [0, 1, 7] * 10)
    real, theirs = labelled(1, [7] * 20 + [0] * 15 + [1] * 12)
    result = intra_class_distance(generated, ours, real, theirs)
    expected = {
        label: frechet_distance(
            feature_statistics(generated[ours == label]), feature_statistics(real[theirs == label])
        )
        for label in (0, 1, 7)
    }
    assert result.of_class == pytest.approx(expected)
    assert result.mean == pytest.approx(np.mean(list(expected.values())))
    assert result.too_few == ()


def test_classes_with_too_few_images_are_named():
    generated, ours = labelled(0, [0] * 5 + [1] + [2] * 5)
    real, theirs = labelled(1, [0] * 5 + [1] * 5 + [3] * 5)
    result = intra_class_distance(generated, ours, real, theirs)
    assert list(result.of_class) == [0] and result.too_few == (1, 2, 3)
    assert result.mean == result.of_class[0]
    assert intra_class_distance(generated[5:6], [1], real, theirs).mean is None


def test_labels_must_fit_the_features():
    generated, ours = labelled(0, [0] * 5)
    with pytest.raises(ValueError, match=r"`generated_labels` must be integers of shape \[5\]"):
        intra_class_distance(generated, ours[:4], generated, ours)
    with pytest.raises(ValueError, match=r"`real_labels` .*float64"):
        intra_class_distance(generated, ours, generated, ours.astype(float))
