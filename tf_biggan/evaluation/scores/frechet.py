"""Fréchet distance of two sets of features, each seen as one Gaussian (FID for Inception's).

Source: Heusel et al. 2017 (TTUR), equation 6; Dowson and Landau 1982.
"""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
from threadpoolctl import threadpool_limits

from tf_biggan.checks import require
from tf_biggan.evaluation.features.feature_matrix import BLOCK_ROWS, checked_features, checked_pair

# Relative to the largest. Rounding leaves pivots of 1e-8 where there should be zero.
SMALLEST_PIVOT = 1e-6


@dataclasses.dataclass(frozen=True)
class FeatureStatistics:
    """Mean [D], unbiased covariance [D, D] (division by count - 1) and count, in float64.

    Raises:
      ValueError: the shapes do not fit one another, a number is not finite, the covariance is not
        symmetric, or `count` is below 2, for which there is no unbiased covariance.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int

    def __post_init__(self):
        mean = np.asarray(self.mean, np.float64)
        covariance = np.asarray(self.covariance, np.float64)
        require(
            mean.ndim == 1 and mean.size > 0 and covariance.shape == mean.shape * 2,
            "statistics must be a mean of shape [D] and a covariance of shape [D, D]",
            mean=mean.shape,
            covariance=covariance.shape,
        )
        finite = bool(np.isfinite(mean).all() and np.isfinite(covariance).all())
        require(finite, "mean and covariance must be finite numbers", finite=finite)
        asymmetry = np.abs(covariance - covariance.T).max()
        require(
            asymmetry <= 1e-6 * np.abs(covariance).max(),
            "a covariance must be symmetric",
            largest_asymmetry=float(asymmetry),
        )
        require(self.count >= 2, "a covariance needs at least 2 feature vectors", count=self.count)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance)
        object.__setattr__(self, "count", int(self.count))

    @property
    def is_rank_deficient(self) -> bool:
        """Whether there are too few feature vectors for a covariance of full rank.

        The Fréchet distance is then far above its value for many images; a kernel distance is
        not.
        """
        return self.count <= self.mean.size


class StatisticsAccumulator:
    """Mean and covariance of features that come in blocks.

    The rows are grouped anew into blocks of a fixed size, so that the result does not depend, by
    a single bit, on how they came. The moments of a block are taken around its own mean and merged
    (Chan, Golub and LeVeque 1979): a mean far from zero costs no digits.

    Args:
      dim: D, the number of features.
    """

    def __init__(self, dim: int):
        self._waiting = np.empty((BLOCK_ROWS, dim))
        self._num_waiting = 0
        self._moments = (0, np.zeros(dim), np.zeros((dim, dim)))

    def add(self, features) -> None:
        """Takes rows [N, D] in.

        Raises:
          ValueError: they are not finite numbers of shape [N, D].
        """
        features = checked_features("features", features, minimum=0)
        dim = self._waiting.shape[1]
        require(
            features.shape[1] == dim,
            f"features must be of shape [N, {dim}] as the statistics are",
            shape=features.shape,
        )
        while len(features):
            taken = features[: BLOCK_ROWS - self._num_waiting]
            self._waiting[self._num_waiting : self._num_waiting + len(taken)] = taken
            self._num_waiting += len(taken)
            features = features[len(taken) :]
            if self._num_waiting == BLOCK_ROWS:
                self._moments = _merged(self._moments, self._waiting)
                self._num_waiting = 0

    def result(self) -> FeatureStatistics:
        """Statistics of everything so far; more can be added afterwards.

        Raises:
          ValueError: fewer than 2 rows came.
        """
        count, mean, scatter = _merged(self._moments, self._waiting[: self._num_waiting])
        require(count >= 2, "a covariance needs at least 2 feature vectors", count=count)
        return FeatureStatistics(mean, scatter / (count - 1), count)


def _merged(moments, block: np.ndarray):
    """(count, mean, scatter) of everything in `moments` and the rows of `block`."""
    count, mean, scatter = moments
    if not len(block):
        return moments
    total = count + len(block)
    block_mean = block.mean(axis=0)
    centred = block - block_mean
    step = block_mean - mean
    between = np.outer(step, step) * (count * len(block) / total)
    return total, mean + step * (len(block) / total), scatter + centred.T @ centred + between


def one_blas_thread() -> contextlib.AbstractContextManager:
    """Returns a context in which NumPy's matrix decompositions use one thread.

    A decomposition consists of thousands of small steps, and OpenBLAS's threads busy-wait for one
    another in each step. On a machine with other work, two threads made the singular values of a
    1200 x 1200 matrix 30 times slower than one; on an idle machine one thread loses little.
    """
    return threadpool_limits(limits=1, user_api="blas")


def feature_statistics(features) -> FeatureStatistics:
    """Statistics of features [N, D]; beside them it needs a few [D, D] matrices of memory.

    Raises:
      ValueError: `features` are not finite numbers of shape [N, D] with N of 2 or more.
    """
    features = checked_features("features", features, minimum=2)
    accumulator = StatisticsAccumulator(features.shape[1])
    accumulator.add(features)
    return accumulator.result()


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """|mean_a - mean_b|² + tr(C_a + C_b - 2 (C_a C_b)^½), never negative.

    Any rank will do. With C = F Fᵀ the trace of the root is the sum of the singular values of
    F_aᵀ F_b, which needs no root of a number near zero: the eigenvalues of C_a^½ C_b C_a^½ that
    are zero by rank would come out as rounding noise and their roots as 1e-8.

    Raises:
      ValueError: the statistics differ in their number of features.
    """
    return distance_from_factors(a, b, covariance_factor(a), covariance_factor(b))


def distance_from_factors(
    a: FeatureStatistics, b: FeatureStatistics, factor_a: np.ndarray, factor_b: np.ndarray
) -> float:
    """`frechet_distance` for factors that are known: C_a = factor_a factor_aᵀ, and so b.

    Raises:
      ValueError: the statistics differ in their number of features.
    """
    require(
        a.mean.size == b.mean.size,
        "both statistics must have the same number of features",
        a=a.mean.size,
        b=b.mean.size,
    )
    root_trace = _sum_of_singular_values(factor_a.T @ factor_b)
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return max(0.0, float(np.sum((a.mean - b.mean) ** 2) + traces - 2 * root_trace))


def covariance_factor(statistics: FeatureStatistics) -> np.ndarray:
    """F [D, rank] with F Fᵀ the covariance; what lies below rounding counts as zero."""
    if not statistics.is_rank_deficient:
        # A tenth of the time of the eigenvalues, where the covariance is well away from singular.
        with contextlib.suppress(np.linalg.LinAlgError):
            factor = np.linalg.cholesky(statistics.covariance)
            pivots = np.diag(factor)
            if pivots.min() > SMALLEST_PIVOT * pivots.max():
                return factor
    with one_blas_thread():
        values, vectors = np.linalg.eigh(statistics.covariance)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    return vectors[:, kept] * np.sqrt(values[kept])


def _sum_of_singular_values(matrix: np.ndarray) -> float:
    with one_blas_thread():
        return float(np.linalg.svd(matrix, compute_uv=False).sum())


def frechet_distance_of_features(generated, real) -> float:
    """`frechet_distance` of the statistics of two sets of features [N, D].

    With fewer images than features it works on the images' products instead of [D, D] matrices.

    Raises:
      ValueError: a side is not finite numbers of shape [N, D] with N of 2 or more, or D differs.
    """
    generated, real = checked_pair(generated, real, minimum=2)
    if min(len(generated), len(real)) >= generated.shape[1]:
        return frechet_distance(feature_statistics(generated), feature_statistics(real))
    (mean_a, factor_a), (mean_b, factor_b) = map(_mean_and_factor, (generated, real))
    root_trace = _sum_of_singular_values(factor_a @ factor_b.T)
    traces = np.sum(factor_a**2) + np.sum(factor_b**2)
    return max(0.0, float(np.sum((mean_a - mean_b) ** 2) + traces - 2 * root_trace))


def _mean_and_factor(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and F [N, D] with Fᵀ F the covariance."""
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    return mean, (features - mean) / np.sqrt(len(features) - 1)
