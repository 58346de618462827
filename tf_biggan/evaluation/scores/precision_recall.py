"""Precision and recall, density and coverage, and the nearest rows to queries.

Source: Kynkäänniemi et al. 2019 for precision and recall; Naeem et al. 2020 for density and
coverage.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tf_biggan.checks import require, require_integer
from tf_biggan.evaluation.features.feature_matrix import blocks, checked_features, checked_pair

# Index that stands for no row.
NONE = -1
# Number of nearest neighbours for density and coverage in the paper that introduced them.
DENSITY_NEIGHBOURS = 5
# Highest number of distances in memory at a time: 128 MiB in float64.
DISTANCES_AT_ONCE = 2**24
# A squared distance is the difference of numbers as large as the squared norms. Anything below this
# share of them is rounding and counts as zero, so that equal images have distance zero.
ROUNDING = 1e-12


class NearestRows:
    """Finds the `k` rows nearest to every query among rows that arrive in blocks.

    Args:
      queries: features [Q, D].
      k: number of nearest rows.
      labels: integers [Q]; only rows of the same class as the query count. None for all rows.
      excluded: integers [Q], index of a row that does not count, such as the query itself; -1 for
        none.

    Attributes:
      rows: int64 [Q, k], indices of the nearest rows in the order of their arrival, the nearest
        first; ties go to the earlier row. -1 if there are fewer than `k` rows.
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
        """Euclidean distances of `rows`, float64 [Q, k]; infinite if there are fewer rows."""
        return np.sqrt(self._squares)

    def add(self, block, labels=None) -> None:
        """Adds rows: features [B, D], with labels [B] if the queries have labels."""
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


def precision_recall(generated, real, k: int = 3) -> tuple[float, float]:
    """Returns precision and recall.

    Precision is the share of generated images in the neighbourhood of a real image; recall is the
    reverse. The neighbourhood of an image reaches to its k-th neighbour, which it includes.

    Args:
      generated: features [N, D].
      real: features [M, D].
      k: the neighbour that a neighbourhood reaches to; the image itself does not count.

    Raises:
      ValueError: `generated` or `real` is not a finite array [N, D] of more than k rows, or their
        D differ.
    """
    generated, real = _checked(generated, real, k)
    return _inside(generated, real, k), _inside(real, generated, k)


def density_coverage(generated, real, k: int = DENSITY_NEIGHBOURS) -> tuple[float, float]:
    """Returns density and coverage.

    Density is the mean number of real images' neighbourhoods that a generated image lies in,
    divided by k. Coverage is the share of real images with a generated image in their
    neighbourhood. As in the authors' code, a neighbourhood does not include its border.

    Args:
      generated: features [N, D].
      real: features [M, D].
      k: the real neighbour that the neighbourhood of a real image reaches to.

    Raises:
      ValueError: `generated` or `real` is not a finite array [N, D] of more than k rows, or their
        D differ.
    """
    generated, real = _checked(generated, real, k)
    reach = squared_reach(real, k)
    hits = np.zeros(len(real), np.int64)
    for _, distances in squared_distances(generated, real):
        hits += np.sum(distances < reach, axis=0)
    return float(hits.sum() / (k * len(generated))), float(np.mean(hits > 0))


def squared_reach(features: np.ndarray, k: int) -> np.ndarray:
    """Returns the squared distance [N] of every row to its k-th neighbour other than itself."""
    reach = np.empty(len(features))
    for here, distances in squared_distances(features, features):
        # The nearest row is the row itself, at distance zero.
        reach[here] = np.partition(distances, k, axis=1)[:, k]
    return reach


def squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields blocks of rows of `x` as (slice, squared distances [n, M] to all rows of `y`)."""
    # Subtracting a common centre makes the norms small, and the rounding with them.
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
        f"k = {k} needs more than {k} images on either side",
        num_generated=len(generated),
        num_real=len(real),
    )
    return generated, real
