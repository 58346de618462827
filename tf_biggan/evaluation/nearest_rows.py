"""The nearest of many rows, which are seen block by block and not kept."""

from __future__ import annotations

import numpy as np

from tf_biggan.checks import require, require_integer
from tf_biggan.evaluation.feature_matrix import checked_features
from tf_biggan.evaluation.neighbours import squared_distances

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
