"""Scores of features [N, D]: Inception Score, kernel distance, precision, recall and others.

The Inception Score rewards images with clear classes and sets with varied classes. Source: Salimans
et al. 2016, section 4; torch-fidelity metric_isc.py for the shuffling of images and their division
into splits.

The kernel distance is the squared MMD with a cubic kernel, which is KID if the features are
Inception's. Source: Bińkowski et al. 2018, section 4; torch-fidelity metric_kid.py for the subsets.

Precision, recall, density and coverage depend on each image's nearest neighbours. Source:
Kynkäänniemi et al. 2019 for precision and recall; Naeem et al. 2020 for density and coverage.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tf_biggan.checks import require, require_integer

SUBSET_SIZE = 1000
# Index that stands for no row.
NONE = -1
# Number of nearest neighbours for density and coverage in the paper that introduced them.
DENSITY_NEIGHBOURS = 5
# Highest number of distances in memory at a time: 128 MiB in float64.
DISTANCES_AT_ONCE = 2**24
# A squared distance is computed as the difference of numbers as large as the squared norms. A
# result below this share of these numbers is a rounding error and is set to zero, so that equal
# images have distance zero.
ROUNDING = 1e-12
# A block of this many rows of 2048 features takes 32 MiB in float64. It is large enough for fast
# matrix products, and small compared with all features.
BLOCK_ROWS = 2048


def inception_score(
    logits, splits: int = 10, shuffle_seed: int | None = None
) -> tuple[float, float]:
    """Returns the mean and population standard deviation of the Inception Score over splits.

    The Inception Score of a split is exp(mean of KL(p(y|x) || p(y)) over its images).

    Args:
      logits: logits [N, C] of the classifier.
      splits: number of splits; split i has the rows from i N // splits to (i + 1) N // splits.
      shuffle_seed: seed to shuffle the rows first; None to keep their order.

    Raises:
      ValueError: the logits are not finite numbers of shape [N, C], or N is below `splits`.
    """
    scores = [
        np.exp(divergences(probabilities).mean())
        for probabilities in split_probabilities(logits, splits, shuffle_seed)
    ]
    return float(np.mean(scores)), float(np.std(scores))


def split_probabilities(logits, splits: int, shuffle_seed: int | None) -> list[np.ndarray]:
    """Returns the class probabilities of every split, float64 [n, C].

    Raises:
      ValueError: see `inception_score`.
    """
    require_integer("splits", splits, minimum=1)
    logits = checked_features("logits", logits)
    count = len(logits)
    require(
        count >= splits,
        f"the Inception Score over {splits} splits needs at least {splits} images",
        num_images=count,
        splits=splits,
    )
    order = np.arange(count)
    if shuffle_seed is not None:
        order = np.random.RandomState(shuffle_seed).permutation(count)
    bounds = [i * count // splits for i in range(splits + 1)]
    return [softmax(logits[order[start:stop]]) for start, stop in itertools.pairwise(bounds)]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities [N, C] in float64."""
    logits = np.asarray(logits, np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def divergences(probabilities: np.ndarray) -> np.ndarray:
    """Returns KL(p(y|x) || p(y)) of every row, with p(y) the mean of the rows; 0 log 0 is 0."""
    return negative_entropy(probabilities) - probabilities @ _log(probabilities.mean(axis=0))


def negative_entropy(probabilities: np.ndarray) -> np.ndarray:
    """Returns the sum of p log p over the last axis; 0 log 0 is 0."""
    return np.sum(probabilities * _log(probabilities), axis=-1)


def _log(probabilities: np.ndarray) -> np.ndarray:
    # The logarithm of a zero probability is only multiplied by zero, so any finite value will do.
    return np.log(np.where(probabilities > 0, probabilities, 1.0))


def largest_subset_size(num_generated: int, num_real: int, subset_size: int = SUBSET_SIZE) -> int:
    """Returns `subset_size`, or the number of images in the smaller set if that is less."""
    return min(subset_size, num_generated, num_real)


def kernel_distance(
    generated, real, subsets: int = 100, subset_size: int = SUBSET_SIZE, seed: int = 2020
) -> tuple[float, float]:
    """Returns mean and population standard deviation of the squared MMD over random subsets.

    The estimate is unbiased, so it can be slightly negative. Subsets larger than a set of images
    are refused, because scores with different subset sizes cannot be compared. For a size that
    fits, see `largest_subset_size`.

    Args:
      generated: features [N, D].
      real: features [M, D].
      subsets: number of subsets.
      subset_size: number of images of each set in a subset.
      seed: seed of the subsets, which are sampled without replacement.

    Raises:
      ValueError: `generated` or `real` is not a finite array [N, D], their D differ, or a subset is
        larger than one of these sets of images.
    """
    generated, real = checked_pair(generated, real, minimum=2)
    values = [
        unbiased_squared_mmd(generated[of_generated], real[of_real])
        for of_generated, of_real in subset_indices(
            len(generated), len(real), subsets, subset_size, seed
        )
    ]
    return float(np.mean(values)), float(np.std(values))


def subset_indices(
    num_generated: int, num_real: int, subsets: int, subset_size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the indices of generated and of real images of every subset.

    Raises:
      ValueError: see `kernel_distance`.
    """
    require_integer("subsets", subsets, minimum=1)
    require_integer("subset_size", subset_size, minimum=2)
    require(
        subset_size <= min(num_generated, num_real),
        "`subset_size` must be at most the number of images in each set",
        subset_size=subset_size,
        num_generated=num_generated,
        num_real=num_real,
    )
    random = np.random.RandomState(seed)
    return (
        (
            random.choice(num_generated, subset_size, replace=False),
            random.choice(num_real, subset_size, replace=False),
        )
        for _ in range(subsets)
    )


def unbiased_squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the unbiased squared MMD of features [n, D] and [m, D].

    The estimate is unbiased because no image is compared with itself.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return mean_of_pairs(kernel(x, x)) + mean_of_pairs(kernel(y, y)) - 2 * kernel(x, y).mean()


def mean_of_pairs(matrix: np.ndarray) -> float:
    """Returns the mean of a square matrix without its diagonal."""
    count = len(matrix)
    return (matrix.sum() - np.trace(matrix)) / (count * (count - 1))


def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns (x · y / D + 1)³ of every pair of rows, [n, m]."""
    values = x @ y.T
    values /= x.shape[1]
    values += 1
    return values * values * values


class NearestRows:
    """Finds the `k` rows (feature vectors) nearest to each query, among rows that arrive in blocks.

    Args:
      queries: features [Q, D].
      k: number of nearest rows.
      labels: integers [Q]; only rows of the same class as the query count. None for all rows.
      excluded: integers [Q], for each query the index of a row that does not count, such as the
        query itself. -1 excludes no row.

    Attributes:
      rows: int64 [Q, k], for each query the indices of the nearest rows, the nearest first. The
        index of a row is the number of rows that arrived before it. Of two equally near rows, the
        row that arrived earlier comes first. If there are fewer than `k` rows, the rest is -1.
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
            "`queries` and `block` must have the same number of features (columns)",
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

    Precision is the share of generated images that lie in the neighbourhood of a real image. Recall
    is the share of real images that lie in the neighbourhood of a generated image. The
    neighbourhood of an image reaches to its k-th neighbour and includes this neighbour.

    Args:
      generated: features [N, D].
      real: features [M, D].
      k: a neighbourhood reaches to the k-th nearest image of the same set, not counting the image
        itself.

    Raises:
      ValueError: `generated` or `real` is not a finite array [N, D] of more than k rows, or their
        D differ.
    """
    generated, real = _checked(generated, real, k)
    return _inside(generated, real, k), _inside(real, generated, k)


def density_coverage(generated, real, k: int = DENSITY_NEIGHBOURS) -> tuple[float, float]:
    """Returns density and coverage.

    Density counts, for each generated image, the real images in whose neighbourhood it lies. It is
    the mean of this count, divided by k. Coverage is the share of real images with a generated
    image in their neighbourhood. As in the authors' code, a neighbourhood does not include its
    border.

    Args:
      generated: features [N, D].
      real: features [M, D].
      k: the neighbourhood of a real image reaches to its k-th nearest real image.

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
    """Returns the squared distance [N] of every row to the k-th nearest of the other rows."""
    reach = np.empty(len(features))
    for here, distances in squared_distances(features, features):
        # The nearest row is the row itself, at distance zero.
        reach[here] = np.partition(distances, k, axis=1)[:, k]
    return reach


def squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields blocks of rows of `x` as (slice, squared distances [n, M] to all rows of `y`)."""
    # Subtracting a common centre makes the norms small, and so the rounding errors.
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
        f"k = {k} needs more than {k} images in each set",
        num_generated=len(generated),
        num_real=len(real),
    )
    return generated, real


def checked_features(name: str, features, minimum: int = 1) -> np.ndarray:
    """Returns features as an array [N, D] without changing their dtype.

    Args:
      name: name of the argument, for messages.
      features: real numbers [N, D].
      minimum: smallest N.

    Raises:
      ValueError: the features are not a matrix of finite real numbers with at least `minimum` rows
        and one column.
    """
    features = np.asarray(features)
    require(
        features.ndim == 2 and features.shape[1] > 0 and features.dtype.kind in "fiu",
        f"`{name}` must be real numbers of shape [N, D]",
        shape=features.shape,
        dtype=str(features.dtype),
    )
    require(
        len(features) >= minimum,
        f"`{name}` must have at least {minimum} {'rows' if minimum > 1 else 'row'}",
        shape=features.shape,
    )
    for start in range(0, len(features), BLOCK_ROWS):
        finite = np.isfinite(features[start : start + BLOCK_ROWS]).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            require(False, f"`{name}` must be finite numbers", first_bad_row=row)
    return features


def checked_pair(generated, real, minimum: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Returns generated features [N, D] and real features [M, D] as arrays.

    Raises:
      ValueError: `generated` or `real` is not a matrix of features (see `checked_features`), or
        their numbers of columns differ.
    """
    generated = checked_features("generated", generated, minimum)
    real = checked_features("real", real, minimum)
    require(
        generated.shape[1] == real.shape[1],
        "`generated` and `real` must have the same number of features (columns)",
        generated=generated.shape,
        real=real.shape,
    )
    return generated, real


def blocks(features: np.ndarray, rows: int = BLOCK_ROWS) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields consecutive blocks of rows as (slice of the rows, rows in float64)."""
    for start in range(0, len(features), rows):
        here = slice(start, min(start + rows, len(features)))
        yield here, np.asarray(features[here], np.float64)
