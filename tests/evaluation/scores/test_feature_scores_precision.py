"""Precision, recall, density, coverage and nearest rows, compared with torch-fidelity and loops."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.scores.metric_goldens import METRICS, feature_sets
from tf_biggan.evaluation.scores import feature_scores as neighbours
from tf_biggan.evaluation.scores.feature_scores import (
    NearestRows,
    density_coverage,
    precision_recall,
)


def reach(features, k):
    """Returns the distance of every row to its k-th neighbour, found by sorting."""
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
    # The package prdc 0.2 computes these values for the same features.
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
    with pytest.raises(ValueError, match=r"K = 3 needs more than 3 images .*num_real=3"):
        precision_recall(sides[0], sides[1][:3])
    with pytest.raises(ValueError, match="finite numbers"):
        density_coverage(sides[0] * np.nan, sides[1])


@pytest.fixture(scope="module")
def data():
    random = np.random.RandomState(0)
    queries, rows = random.standard_normal((7, 5)), random.standard_normal((50, 5))
    # Some rows are equal, so some distances are equal too.
    rows[30:35] = rows[:5]
    return queries, rows, random.randint(0, 3, 7), random.randint(0, 3, 50)


def brute(queries, rows, k, allowed):
    """Returns (indices, distances) of the `k` nearest allowed rows; ties go to the earlier row."""
    distances = np.sqrt(((queries[:, None] - rows[None]) ** 2).sum(-1))
    distances[~allowed] = np.inf
    places = np.argsort(distances, axis=1, kind="stable")[:, :k]
    distances = np.take_along_axis(distances, places, axis=1)
    return np.where(np.isinf(distances), -1, places), distances


@pytest.mark.parametrize("sizes", [[50], [1] * 50, [2, 40, 8], [49, 1]])
@pytest.mark.parametrize("k", [1, 4])
def test_blocks_of_any_size_are_brute_force(data, sizes, k):
    queries, rows, _, _ = data
    nearest, start = NearestRows(queries, k), 0
    for size in sizes:
        nearest.add(rows[start : start + size])
        start += size
    places, distances = brute(queries, rows, k, np.ones((7, 50), bool))
    np.testing.assert_allclose(nearest.distances, distances, rtol=1e-9)
    np.testing.assert_allclose(
        rows[nearest.rows], rows[places], err_msg="rows that are the same may stand for each other"
    )


def test_classes_and_exclusions(data):
    queries, rows, of_queries, of_rows = data
    excluded = np.array([-1, 3, -1, 7, 9, -1, 0])
    nearest = NearestRows(queries, 25, of_queries, excluded)
    nearest.add(rows[:20], of_rows[:20])
    nearest.add(rows[20:], of_rows[20:])
    allowed = (of_queries[:, None] == of_rows) & (excluded[:, None] != np.arange(50))
    places, distances = brute(queries, rows, 25, allowed)
    assert (places == -1).any() and np.array_equal(nearest.rows == -1, places == -1)
    np.testing.assert_allclose(nearest.distances, distances, rtol=1e-9)
    assert not np.any(nearest.rows == excluded[:, None], where=excluded[:, None] >= 0)


def test_rows_find_themselves_at_distance_zero(data):
    rows = data[1].astype(np.float32) + 1000
    nearest = NearestRows(rows[5:12], 1)
    nearest.add(rows[:30])
    np.testing.assert_array_equal(nearest.rows[:, 0], np.arange(5, 12))
    np.testing.assert_array_equal(nearest.distances, 0.0)


def test_wrong_blocks_are_refused(data):
    nearest = NearestRows(data[0], 2)
    with pytest.raises(ValueError, match="same number of features"):
        nearest.add(np.ones((3, 4)))
    with pytest.raises(ValueError, match="`block` must be finite"):
        nearest.add(np.full((3, 5), np.nan))
