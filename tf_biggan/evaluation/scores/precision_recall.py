"""The nearest of many rows, which are seen block by block and not kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tf_biggan.checks import require, require_integer
from tf_biggan.evaluation.features.feature_matrix import blocks, checked_features, checked_pair

NONE = -1


class NearestRows:
    """Keeps the `k` rows nearest to every query of all rows added so far.

    Args:
      queries: features [Q, D].
      k: how many.
      labels: [Q], classes that a query's rows must have; None for any.
      excluded: [Q], number of a row that is not counted, such as the query itself; -1 for none.

    Attributes:
      rows: int64 [Q, k], numbers of the nearest rows, counted from 0 as they were added, the
        nearest first; of equally near ones the first; -1 where there are no more.
    """

    def __init__(self, queries, k: int, labels=None, excluded=None):
        require_integer("k", k, minimum=1)
        self._queries = checked_features("queries", queries)
        self._labels = labels
        self._excluded = None if excluded is None else np.asarray(excluded)
        self.rows = np.full((len(self._queries), k), NONE, np.int64)
        self._squares = np.full(self.rows.shape, np.inf)
        self._seen = 0

    @property
    def distances(self) -> np.ndarray:
        """float64 [Q, k], Euclidean; infinite where there are no more rows."""
        return np.sqrt(self._squares)

    def add(self, block, labels=None) -> None:
        """Looks at more rows: features [B, D], and their labels [B] where queries have some."""
        block = checked_features("block", block)
        require(
            block.shape[1] == self._queries.shape[1],
            "queries and rows must have the same number of columns",
            queries=self._queries.shape,
            block=block.shape,
        )
        numbers = self._seen + np.arange(len(block))
        for here, squares in squared_distances(self._queries, block):
            if self._labels is not None:
                squares[self._labels[here, None] != np.asarray(labels)[None]] = np.inf
            if self._excluded is not None:
                squares[self._excluded[here, None] == numbers[None]] = np.inf
            self._merge(here, squares, numbers)
        self._seen += len(block)

    def _merge(self, here, squares, numbers):
        k = self.rows.shape[1]
        squares = np.concatenate([self._squares[here], squares], axis=1)
        rows = np.concatenate(
            [self.rows[here], np.broadcast_to(numbers, (len(squares), len(numbers)))], axis=1
        )
        order = np.argsort(squares, axis=1, kind="stable")[:, :k]
        self._squares[here] = np.take_along_axis(squares, order, axis=1)
        rows = np.take_along_axis(rows, order, axis=1)
        self.rows[here] = np.where(np.isinf(self._squares[here]), NONE, rows)


DENSITY_NEIGHBOURS = 5
# Distances held at a time: 128 MiB in float64.
DISTANCES_AT_ONCE = 2**24
# A squared distance is a difference of numbers of the size of the squared norms: what lies below
# this part of them is rounding, and equal images are at distance zero.
ROUNDING = 1e-12


def precision_recall(generated, real, k: int = 3) -> tuple[float, float]:
    """Part of the generated images inside the real ones' neighbourhoods, and the reverse.

    The neighbourhood of an image reaches to its k-th neighbour, itself not counted and the border
    included.

    Args:
      generated: features [N, D].
      real: features [M, D].
      k: which neighbour.

    Raises:
      ValueError: a side is not finite numbers of shape [N, D] with more than k rows, or D differs.
    """
    generated, real = _checked(generated, real, k)
    return _inside(generated, real, k), _inside(real, generated, k)


def density_coverage(generated, real, k: int = DENSITY_NEIGHBOURS) -> tuple[float, float]:
    """Density: neighbourhoods of real images an average generated one lies in, divided by k.
    Coverage: part of the real images with a generated one in their neighbourhood.

    The border of a neighbourhood is not included, as in the authors' code.

    Args:
      generated: features [N, D].
      real: features [M, D].
      k: which neighbour of a real image, among the real ones, its neighbourhood reaches to.

    Raises:
      ValueError: a side is not finite numbers of shape [N, D] with more than k rows, or D differs.
    """
    generated, real = _checked(generated, real, k)
    reach = squared_reach(real, k)
    hits = np.zeros(len(real), np.int64)
    for _, distances in squared_distances(generated, real):
        hits += np.sum(distances < reach, axis=0)
    return float(hits.sum() / (k * len(generated))), float(np.mean(hits > 0))


def squared_reach(features: np.ndarray, k: int) -> np.ndarray:
    """Squared distance [N] of every row to its k-th neighbour, itself not counted."""
    reach = np.empty(len(features))
    for here, distances in squared_distances(features, features):
        # The nearest of all is the row itself, at distance zero.
        reach[here] = np.partition(distances, k, axis=1)[:, k]
    return reach


def squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Where a block of rows of `x` lies, and its squared distances [n, M] to all rows of `y`."""
    # Around a common centre the norms are as small as they can be, and so is the rounding.
    centre = np.mean(y, axis=0, dtype=np.float64)
    norms = np.concatenate([np.sum((block - centre) ** 2, axis=1) for _, block in blocks(y)])
    for here, rows in blocks(x, rows=max(1, DISTANCES_AT_ONCE // len(y))):
        rows = rows - centre
        distances = np.empty((len(rows), len(y)))
        for columns, block in blocks(y):
            sums = np.sum(rows**2, axis=1)[:, None] + norms[columns]
            part = sums - 2 * (rows @ (block - centre).T)
            distances[:, columns] = np.where(part > ROUNDING * sums, part, 0.0)
        yield here, distances


def _inside(queries: np.ndarray, centres: np.ndarray, k: int) -> float:
    reach = squared_reach(centres, k)
    inside = [
        np.any(distances <= reach, axis=1) for _, distances in squared_distances(queries, centres)
    ]
    return float(np.mean(np.concatenate(inside)))


def _checked(generated, real, k: int) -> tuple[np.ndarray, np.ndarray]:
    require_integer("k", k, minimum=1)
    generated, real = checked_pair(generated, real)
    require(
        min(len(generated), len(real)) > k,
        f"neighbour {k} needs more than {k} images of either side",
        num_generated=len(generated),
        num_real=len(real),
    )
    return generated, real
