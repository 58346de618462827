"""Kernel distance: squared MMD with a cubic kernel. This is KID if the features are Inception's.

Source: Bińkowski et al. 2018, section 4; torch-fidelity metric_kid.py for the subsets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tf_biggan.checks import require, require_integer
from tf_biggan.evaluation.features.feature_matrix import checked_pair

SUBSET_SIZE = 1000


def largest_subset_size(num_generated: int, num_real: int, subset_size: int = SUBSET_SIZE) -> int:
    """Returns `subset_size`, or the number of images of the smaller side if that is less."""
    return min(subset_size, num_generated, num_real)


def kernel_distance(
    generated, real, subsets: int = 100, subset_size: int = SUBSET_SIZE, seed: int = 2020
) -> tuple[float, float]:
    """Returns mean and population standard deviation of the squared MMD over random subsets.

    The estimate is unbiased, so it can be slightly negative. Subsets larger than a side are
    refused, because scores of different subset sizes do not compare; see `largest_subset_size`.

    Args:
      generated: features [N, D].
      real: features [M, D].
      subsets: number of subsets.
      subset_size: number of images per side in a subset.
      seed: seed of the subsets, which are sampled without replacement.

    Raises:
      ValueError: a side is not finite numbers of shape [N, D], D differs, or a subset is larger
        than a side.
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
        "`subset_size` must be at most the number of images on either side",
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

    It is unbiased because no image is compared with itself.
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
