"""Precision, recall, density and coverage against torch-fidelity's numbers and loops."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.metric_goldens import METRICS, feature_sets
from tf_biggan.evaluation.scores import precision_recall as neighbours
from tf_biggan.evaluation.scores.precision_recall import density_coverage, precision_recall


def reach(features, k):
    """Distance of every row to its k-th neighbour, by sorting."""
    return [sorted(np.linalg.norm(features - row, axis=1))[k] for row in features]


@pytest.fixture
def sides():
    random = np.random.RandomState(0)
    return random.standard_normal((40, 3)), 1.5 + random.standard_normal((25, 3))


@pytest.mark.parametrize("case", ["d64", "d2048"])
@pytest.mark.parametrize("k", [3, 5])
def test_precision_and_recall_are_torch_fidelitys(case, k):
    expected = METRICS[case][f"prc_k{k}"]
    precision, recall = precision_recall(*feature_sets(case), k=k)
    assert precision == pytest.approx(expected["precision"], abs=1e-6)
    assert recall == pytest.approx(expected["recall"], abs=1e-6)


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_in_loops(sides, k):
    def inside(queries, centres):
        radii = reach(centres, k)
        return np.mean(
            [
                any(np.linalg.norm(q - c) <= r for c, r in zip(centres, radii, strict=True))
                for q in queries
            ]
        )

    generated, real = sides
    expected = inside(generated, real), inside(real, generated)
    assert precision_recall(generated, real, k) == pytest.approx(expected)
    assert 0 < expected[0] < 1


@pytest.mark.parametrize(
    "case, density, coverage", [("d2048", 1.1984, 0.956), ("d64", 1.124, 0.928)]
)
def test_density_and_coverage_are_those_of_their_authors(case, density, coverage):
    # As the package prdc 0.2 gives them for these features.
    assert density_coverage(*feature_sets(case)) == pytest.approx((density, coverage), abs=1e-9)


@pytest.mark.parametrize("k", [1, 5])
def test_density_and_coverage_in_loops(sides, k):
    generated, real = sides
    radii = reach(real, k)
    hits = [
        [np.linalg.norm(g - r) < radius for g in generated]
        for r, radius in zip(real, radii, strict=True)
    ]
    expected = np.sum(hits) / (k * len(generated)), np.mean(np.any(hits, axis=1))
    assert density_coverage(generated, real, k) == pytest.approx(expected)
    assert 0 < expected[1] < 1


def test_blocks_change_nothing(sides, monkeypatch):
    whole = precision_recall(*sides), density_coverage(*sides)
    monkeypatch.setattr(neighbours, "DISTANCES_AT_ONCE", 70)
    assert (precision_recall(*sides), density_coverage(*sides)) == whole


def test_a_set_covers_itself_and_far_sets_nothing(sides):
    generated, _ = sides
    assert precision_recall(generated, generated) == (1, 1)
    assert density_coverage(generated, generated)[1] == 1
    assert precision_recall(generated, generated + 100) == (0, 0)
    assert density_coverage(generated, generated + 100) == (0, 0)


def test_equal_features_are_at_distance_zero():
    same = np.full((12, 300), 0.1) + 1e3
    assert precision_recall(same, same) == (1, 1)
    assert precision_recall(same, same + 1e-3) == (0, 0)


def test_too_few_images_are_refused(sides):
    with pytest.raises(ValueError, match=r"Neighbour 3 needs more than 3 images.*num_real=3"):
        precision_recall(sides[0], sides[1][:3])
    with pytest.raises(ValueError, match="finite numbers"):
        density_coverage(sides[0] * np.nan, sides[1])
