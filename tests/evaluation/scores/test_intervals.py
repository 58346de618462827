"""Confidence intervals, compared with resampling by copies; how often they contain the truth."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.evaluation.scores import intervals
from tf_biggan.evaluation.scores.feature_scores import inception_score, kernel_distance
from tf_biggan.evaluation.scores.frechet import (
    FeatureStatistics,
    feature_statistics,
    frechet_distance,
)
from tf_biggan.evaluation.scores.intervals import (
    frechet_interval,
    inception_interval,
    kernel_interval,
    weighted_statistics,
)

DIM = 4
REFERENCE = FeatureStatistics(np.zeros(DIM), np.eye(DIM), 10**6)


def features(seed, count=200, dim=DIM):
    return np.random.RandomState(seed).standard_normal((count, dim)) + 0.5


def test_counts_are_copies_of_rows():
    rows, counts = features(0), np.random.RandomState(1).randint(0, 4, 200)
    weighted, copied = weighted_statistics(rows, counts), feature_statistics(rows.repeat(counts, 0))
    np.testing.assert_allclose(weighted.mean, copied.mean, rtol=1e-12)
    np.testing.assert_allclose(weighted.covariance, copied.covariance, rtol=1e-10)
    assert weighted.count == copied.count


def test_counts_of_a_kernel_distance_leave_out_equal_images():
    x, y, counts = features(0, 6), features(1, 5), np.array([2, 0, 1, 3, 0, 1])

    def kernel(a, b):
        return (a @ b / DIM + 1) ** 3

    def pairs(z, ids):
        return np.mean(
            [kernel(z[i], z[j]) for i in ids for j in ids if i != j],
        )

    drawn = np.arange(6).repeat(counts)
    cross = np.mean([[kernel(x[i], b) for b in y] for i in drawn])
    expected = pairs(x, drawn) + pairs(y, range(5)) - 2 * cross
    actual = intervals._resampled_squared_mmd(x, y, counts[None].astype(float))
    np.testing.assert_allclose(actual, [expected], rtol=1e-12)


def test_counts_of_an_inception_score_are_copies_of_rows():
    logits, counts = features(0, 20, 6), np.random.RandomState(1).randint(0, 4, 20)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    actual = intervals._weighted_inception_score(probabilities, counts[None])
    expected, _ = inception_score(logits.repeat(counts, 0), splits=1)
    assert actual[0] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["frechet", "kernel", "inception"])
def test_intervals_hold_the_score_and_follow_the_seed(kind):
    rows, real = features(2), features(3) - 0.3
    make, score = {
        "frechet": (
            lambda **options: frechet_interval(rows, REFERENCE, **options),
            frechet_distance(feature_statistics(rows), REFERENCE),
        ),
        "kernel": (
            lambda **options: kernel_interval(rows, real, subset_size=100, **options),
            kernel_distance(rows, real, subset_size=100)[0],
        ),
        "inception": (
            lambda **options: inception_interval(3 * rows, **options),
            inception_score(3 * rows)[0],
        ),
    }[kind]
    low, high = make()
    assert low < score < high
    assert make() == (low, high) and make(seed=1) != (low, high)
    narrow = make(level=0.5)
    assert low < narrow.low < score < narrow.high < high


@pytest.mark.slow
def test_most_intervals_hold_the_value_for_such_a_number_of_images():
    scores = [frechet_distance(feature_statistics(features(s)), REFERENCE) for s in range(60)]
    expected = np.mean(scores)
    held = [
        low <= expected <= high
        for low, high in (frechet_interval(features(s), REFERENCE) for s in range(60))
    ]
    assert np.mean(held) >= 0.85


def test_more_images_make_a_narrower_interval():
    few, many = (
        frechet_interval(features(4, count), REFERENCE, resamples=100) for count in (100, 10000)
    )
    ratio = (few.high - few.low) / (many.high - many.low)
    assert 5 < ratio < 20  # The square root of the ratio of the counts is 10.


def test_options_out_of_range_are_refused():
    for message, options in {
        "`level` must be between 0 and 1": {"level": 1.0},
        "`resamples` must be an integer at least 2": {"resamples": 1},
    }.items():
        with pytest.raises(ValueError, match=message):
            frechet_interval(features(0), REFERENCE, **options)
        with pytest.raises(ValueError, match=message):
            inception_interval(features(0), **options)
        with pytest.raises(ValueError, match=message):
            kernel_interval(features(0), features(1), subset_size=9, **options)
