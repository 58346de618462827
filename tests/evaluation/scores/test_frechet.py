"""Fréchet distance, compared with torch-fidelity, SciPy's matrix root and closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.linalg

from tests.evaluation.scores.metric_goldens import METRICS, feature_sets
from tf_biggan.evaluation.scores import frechet
from tf_biggan.evaluation.scores.frechet import (
    FeatureStatistics,
    StatisticsAccumulator,
    feature_statistics,
    frechet_distance,
    frechet_distance_of_features,
)


def random_features(seed, count=300, dim=12):
    random = np.random.RandomState(seed)
    return random.standard_normal((count, dim)) @ random.standard_normal((dim, dim)) + 3


def distance_by_scipy(a, b):
    root = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    traces = np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * root
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(traces)


def test_64_features_give_torch_fidelitys_number():
    generated, real = feature_sets("d64")
    actual = frechet_distance(feature_statistics(generated), feature_statistics(real))
    case = METRICS["d64"]
    assert actual == pytest.approx(case["fid"]["frechet_inception_distance"], abs=1e-5)
    assert actual == pytest.approx(case["fid_by_sqrtm_float64"], abs=1e-7)


def test_500_images_of_2048_features_give_the_exact_value():
    generated, real = feature_sets("d2048")
    exact = METRICS["d2048"]["fid_by_nuclear_norm_float64"]
    assert frechet_distance_of_features(generated, real) == pytest.approx(exact, abs=1e-9)
    statistics = feature_statistics(generated), feature_statistics(real)
    assert all(side.is_rank_deficient for side in statistics)
    assert frechet_distance(*statistics) == pytest.approx(exact, abs=1e-8)


def test_matrix_root_of_scipy_agrees():
    a, b = random_features(1), random_features(2)
    expected = distance_by_scipy(a, b)
    assert frechet_distance(feature_statistics(a), feature_statistics(b)) == pytest.approx(expected)
    assert frechet_distance_of_features(a, b) == pytest.approx(expected)


def test_independent_gaussians_have_a_closed_form():
    random = np.random.RandomState(3)
    mean_a, mean_b = random.standard_normal((2, 9))
    std_a, std_b = random.uniform(0, 2, (2, 9))
    a = FeatureStatistics(mean_a, np.diag(std_a**2), 100)
    b = FeatureStatistics(mean_b, np.diag(std_b**2), 100)
    expected = np.sum((mean_a - mean_b) ** 2 + (std_a - std_b) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count, other", [(4, 4), (4, 300), (300, 4), (2, 2)])
def test_fewer_images_than_features_agree_by_both_ways(count, other):
    a, b = random_features(4, count), random_features(5, other)
    expected = frechet_distance(feature_statistics(a), feature_statistics(b))
    assert frechet_distance_of_features(a, b) == pytest.approx(expected, rel=1e-10)
    roots = np.linalg.eigvals(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False) + 0j) ** 0.5
    traces = np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False))
    by_roots = np.sum((a.mean(0) - b.mean(0)) ** 2) + traces - 2 * roots.real.sum()
    assert expected == pytest.approx(by_roots, rel=1e-5)


@pytest.mark.parametrize("count", [2, 5, 300])
def test_a_set_is_at_distance_zero_of_itself(count):
    features = 100 * random_features(6, count)
    statistics = feature_statistics(features)
    size = np.trace(statistics.covariance)
    assert 0 <= frechet_distance(statistics, statistics) <= 1e-11 * size
    assert 0 <= frechet_distance_of_features(features, features) <= 1e-11 * size


def test_constant_features_differ_by_their_means_alone():
    a, b = np.full((10, 3), 2.0), np.full((20, 3), 5.0)
    assert frechet_distance(feature_statistics(a), feature_statistics(b)) == pytest.approx(27)
    assert frechet_distance_of_features(a, b) == pytest.approx(27)


def test_many_images_with_dependent_features_agree_with_the_independent_ones():
    a, b = random_features(16, 400, 6), random_features(17, 400, 6)
    turn = np.linalg.qr(np.random.RandomState(18).standard_normal((9, 9)))[0][:6]
    expected = frechet_distance(feature_statistics(a), feature_statistics(b))
    turned = frechet_distance(feature_statistics(a @ turn), feature_statistics(b @ turn))
    assert turned == pytest.approx(expected, rel=1e-10)


def test_both_factors_of_a_covariance_are_factors():
    full = feature_statistics(random_features(19, 300, 5))
    deficient = dataclasses.replace(full, count=5)
    factors = [frechet.covariance_factor(statistics) for statistics in (full, deficient)]
    assert not np.allclose(*factors)
    for factor in factors:
        np.testing.assert_allclose(factor @ factor.T, full.covariance, atol=1e-12)


def test_statistics_are_numpys():
    features = random_features(7, 5000).astype("float32")
    statistics = feature_statistics(features)
    np.testing.assert_allclose(statistics.mean, features.mean(0, dtype="float64"), rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance, np.cov(features, rowvar=False), rtol=1e-10)
    assert statistics.count == 5000 and not statistics.is_rank_deficient


@pytest.mark.parametrize("block", [1, 7, 2048, 3000])
def test_statistics_do_not_depend_on_the_size_of_blocks(block):
    features = random_features(8, 5000)
    accumulator = StatisticsAccumulator(features.shape[1])
    for start in range(0, len(features), block):
        accumulator.add(features[start : start + block])
    for _ in range(2):  # `result` does not change the accumulated statistics.
        statistics = accumulator.result()
        np.testing.assert_array_equal(statistics.mean, feature_statistics(features).mean)
        np.testing.assert_array_equal(
            statistics.covariance, feature_statistics(features).covariance
        )


def test_order_of_images_does_not_matter():
    a, b = random_features(9, 5000), random_features(10)
    shuffled = np.random.RandomState(0).permutation(a)
    distances = [frechet_distance_of_features(side, b) for side in (a, shuffled)]
    assert distances[0] == pytest.approx(distances[1], rel=1e-12)


def test_a_mean_far_from_zero_costs_no_digits():
    features = random_features(11, 5000)
    moved = feature_statistics(features + 1e6).covariance
    np.testing.assert_allclose(moved, np.cov(features, rowvar=False), rtol=1e-7)


def test_rank_of_a_covariance_needs_more_images_than_features():
    assert feature_statistics(random_features(12, 12)).is_rank_deficient
    assert not feature_statistics(random_features(12, 13)).is_rank_deficient


def test_broken_features_are_refused():
    features = random_features(13)
    features[17, 3] = np.nan
    with pytest.raises(ValueError, match=r"must be finite numbers\. Received: first_bad_row=17\."):
        feature_statistics(features)
    with pytest.raises(ValueError, match="must be finite"):
        frechet_distance_of_features(features, random_features(1))
    for wrong in (np.zeros(5), np.zeros((2, 3, 4)), np.zeros((4, 0)), [["a"], ["b"]]):
        with pytest.raises(ValueError, match=r"real numbers of shape \[N, D\]"):
            feature_statistics(wrong)
    with pytest.raises(ValueError, match=r"at least 2 rows\. Received: shape=\(1, 12\)"):
        feature_statistics(random_features(1, 1))
    with pytest.raises(ValueError, match=r"shape \[N, 11\], .* Received: shape=\(300, 12\)"):
        StatisticsAccumulator(11).add(random_features(1))


def test_broken_statistics_are_refused():
    good = feature_statistics(random_features(14))
    wrong = {
        "covariance of shape": {"covariance": good.covariance[:-1]},
        "mean of shape": {"mean": good.mean[None]},
        "finite": {"mean": good.mean * np.nan},
        "symmetric": {"covariance": np.triu(good.covariance)},
        "at least 2": {"count": 1},
    }
    for message, change in wrong.items():
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(good, **change)
    other = feature_statistics(random_features(14, dim=5))
    with pytest.raises(ValueError, match=r"same number of features\. Received: a=12, b=5"):
        frechet_distance(good, other)
    with pytest.raises(ValueError, match="same number of features"):
        frechet_distance_of_features(random_features(1), random_features(1, dim=5))


def test_negative_rounding_never_reaches_a_score(monkeypatch):
    statistics = feature_statistics(random_features(15))
    factor = frechet.covariance_factor(statistics) * (1 + 1e-12)
    assert frechet.distance_from_factors(statistics, statistics, factor, factor) == 0


def test_decompositions_ask_for_one_thread(monkeypatch):
    asked = []

    class Limits:
        def __init__(self, limits, user_api):
            asked.append((limits, user_api))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("left")

    monkeypatch.setattr(frechet, "threadpool_limits", Limits)
    statistics = frechet.feature_statistics(np.random.RandomState(0).standard_normal((3, 4)))
    frechet.frechet_distance(statistics, statistics)
    assert asked == [(1, "blas"), "left"] * 3
