"""Kernel distance, compared with torch-fidelity and with the formula in loops."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.scores.metric_goldens import METRICS, feature_sets
from tf_biggan.evaluation.scores.feature_scores import kernel_distance, largest_subset_size


def loops(x, y):
    """Returns the unbiased squared MMD, computed pair by pair."""

    def kernel(a, b):
        return (np.dot(a, b) / len(a) + 1) ** 3

    def within(z):
        pairs = [(i, j) for i in range(len(z)) for j in range(len(z)) if i != j]
        return np.mean([kernel(z[i], z[j]) for i, j in pairs])

    return within(x) + within(y) - 2 * np.mean([[kernel(a, b) for b in y] for a in x])


@pytest.fixture
def sides():
    random = np.random.RandomState(0)
    return random.standard_normal((11, 5)), 0.5 + random.standard_normal((8, 5))


@pytest.mark.parametrize("case", ["d64", "d2048"])
@pytest.mark.parametrize(
    "key, options",
    [
        ("kid_subsets10_size100", {"subsets": 10, "subset_size": 100}),
        ("kid_subsets100_size250", {"subsets": 100, "subset_size": 250}),
        ("kid_subsets1_size500", {"subsets": 1, "subset_size": 500}),
        ("kid_subsets10_size100_rng7", {"subsets": 10, "subset_size": 100, "seed": 7}),
    ],
)
def test_distances_are_torch_fidelitys(case, key, options):
    expected = METRICS[case]
    mean, std = kernel_distance(*feature_sets(case), **options)
    # The value is close to torch-fidelity's in float64, and within the recorded bound of its
    # float32 value.
    for name, atol in ((key, 5e-6), (f"{key}_float64", 1e-6)):
        values = expected[name]
        assert mean == pytest.approx(values["kernel_inception_distance_mean"], rel=0, abs=atol)
        assert std == pytest.approx(values["kernel_inception_distance_std"], rel=0, abs=atol)


def test_whole_sets_in_loops(sides):
    x, y = sides
    mean, std = kernel_distance(x[:8], y, subsets=3, subset_size=8)
    assert (mean, std) == pytest.approx((loops(x[:8], y), 0))


def test_one_distribution_is_at_distance_zero_on_average():
    features = np.random.RandomState(1).standard_normal((2000, 4))
    mean, std = kernel_distance(features[:1000], features[1000:], subsets=200, subset_size=100)
    assert abs(mean) < 0.01 and std > 0.01
    assert kernel_distance(np.ones((5, 3)), np.ones((4, 3)), subset_size=4) == (0, 0)


def test_a_subset_larger_than_a_side_is_refused(sides):
    with pytest.raises(
        ValueError, match=r"at most the number of images in each set.*subset_size=9.*num_real=8"
    ):
        kernel_distance(*sides, subset_size=9)
    assert largest_subset_size(11, 8) == 8 and largest_subset_size(5000, 8000) == 1000
    assert largest_subset_size(11, 8, subset_size=5) == 5


def test_broken_features_are_refused(sides):
    x, y = sides
    with pytest.raises(ValueError, match=r"`real` must be finite numbers.*first_bad_row=1"):
        kernel_distance(x, np.array([[0.0] * 5, [np.inf] * 5]), subset_size=2)
    with pytest.raises(ValueError, match="`generated` must have at least 2 rows"):
        kernel_distance(x[:1], y)
    with pytest.raises(ValueError, match="same number of features"):
        kernel_distance(x, y[:, :4], subset_size=4)
