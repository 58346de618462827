"""Nearest rows by blocks, against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.evaluation.scores.precision_recall import NearestRows


@pytest.fixture(scope="module")
def data():
    random = np.random.RandomState(0)
    queries, rows = random.standard_normal((7, 5)), random.standard_normal((50, 5))
    # Some rows are the same, and so are their distances.
    rows[30:35] = rows[:5]
    return queries, rows, random.randint(0, 3, 7), random.randint(0, 3, 50)


def brute(queries, rows, k, allowed):
    """(places, distances) of the `k` nearest allowed rows, of equals the first."""
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
    with pytest.raises(ValueError, match="same number of columns"):
        nearest.add(np.ones((3, 4)))
    with pytest.raises(ValueError, match="`block` must be finite"):
        nearest.add(np.full((3, 5), np.nan))
