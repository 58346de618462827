"""Kernel distance of two sets of features (KID for Inception's): squared MMD, cubic kernel.

Source: Bińkowski et al. 2018, section 4; torch-fidelity metric_kid.py for the subsets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tf_biggan.checks import require, require_integer
from tf_biggan.evaluation.features.feature_matrix import checked_pair

SUBSET_SIZE = 1000


def largest_subset_size(num_generated: int, num_real: int, subset_size: int = SUBSET_SIZE) -> int:
    """`subset_size`, or the smaller number of images where that is less."""
    return min(subset_size, num_generated, num_real)


def kernel_distance(
    generated, real, subsets: int = 100, subset_size: int = SUBSET_SIZE, seed: int = 2020
) -> tuple[float, float]:
    """Mean and population standard deviation of the unbiased squared MMD over random subsets.

    Unbiased means that it can fall a little below zero. A subset larger than a side is refused
    and not silently made smaller, for the size is part of what a score means: see
    `largest_subset_size`.

    Args:
      generated: features [N, D].
      real: features [M, D].
      subsets: number of subsets.
      subset_size: images of each side in a subset.
      seed: of the drawing, without replacement within a subset.

    Raises:
      ValueError: a side is not finite numbers of shape [N, D], D differs, or a side has fewer
        images than a subset.
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
    """Indices of generated and of real images, subset by subset.

    Raises:
      ValueError: see `kernel_distance`.
    """
    require_integer("subsets", subsets, minimum=1)
    require_integer("subset_size", subset_size, minimum=2)
    require(
        subset_size <= min(num_generated, num_real),
        "a subset must not be larger than either side",
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
    """Unbiased estimate from features [n, D] and [m, D]: no image is compared with itself."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return mean_of_pairs(kernel(x, x)) + mean_of_pairs(kernel(y, y)) - 2 * kernel(x, y).mean()


def mean_of_pairs(matrix: np.ndarray) -> float:
    """Mean of a square matrix without its diagonal."""
    count = len(matrix)
    return (matrix.sum() - np.trace(matrix)) / (count * (count - 1))


def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(x · y / D + 1)³ of every pair of rows, [n, m]."""
    values = x @ y.T
    values /= x.shape[1]
    values += 1
    return values * values * values
