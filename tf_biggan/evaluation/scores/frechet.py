"""Fréchet distance between Gaussians that are fitted to two sets of features.

This is FID if the features are Inception's. The module also extrapolates FID to infinitely many
images and computes FID within each class.

Source: Heusel et al. 2017 (TTUR), equation 6; Dowson and Landau 1982.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing

import numpy as np
from threadpoolctl import threadpool_limits

from tf_biggan.checks import require
from tf_biggan.evaluation.scores.feature_scores import BLOCK_ROWS, checked_features, checked_pair

# Smaller pivots, relative to the largest pivot, may be rounding errors: rounding turns zero pivots
# into about 1e-8.
SMALLEST_PIVOT = 1e-6
# Number of points on the line along which FID is extrapolated, and the seed of the images' order.
EXTRAPOLATED_SIZES = 15
ORDER_SEED = 0


@dataclasses.dataclass(frozen=True)
class FeatureStatistics:
    """Mean and covariance of features.

    Attributes:
      mean: float64 [D].
      covariance: unbiased covariance (divided by count - 1), float64 [D, D].
      count: number of feature vectors.

    Raises:
      ValueError: the shapes do not match, a number is not finite, the covariance is not symmetric,
        or `count` is below 2, which allows no unbiased covariance.
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

        If so, the Fréchet distance is far larger than with many images. This does not affect the
        kernel distance.
        """
        return self.count <= self.mean.size


class StatisticsAccumulator:
    """Computes mean and covariance of features that arrive in blocks.

    Rows are regrouped into blocks of a fixed size, so that the result is bit by bit the same for
    any sizes of arriving blocks. The moments of each block are computed around its own mean and
    then merged (Chan, Golub and LeVeque 1979), which keeps precision if the mean is far from zero.

    Args:
      dim: number of features D.
    """

    def __init__(self, dim: int):
        self._waiting = np.empty((BLOCK_ROWS, dim))
        self._num_waiting = 0
        self._moments = (0, np.zeros(dim), np.zeros((dim, dim)))

    def add(self, features) -> None:
        """Adds features [N, D].

        Raises:
          ValueError: the features are not finite numbers of shape [N, D].
        """
        features = checked_features("features", features, minimum=0)
        dim = self._waiting.shape[1]
        require(
            features.shape[1] == dim,
            f"features must have the shape [N, {dim}], like the statistics that they are added to",
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
        """Returns the statistics of all features so far; more can be added afterwards.

        Raises:
          ValueError: fewer than 2 rows were added.
        """
        count, mean, scatter = _merged(self._moments, self._waiting[: self._num_waiting])
        require(count >= 2, "a covariance needs at least 2 feature vectors", count=count)
        return FeatureStatistics(mean, scatter / (count - 1), count)


def _merged(moments, block: np.ndarray):
    """Merges (count, mean, scatter matrix) with the rows of a block."""
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
    another in each step. On a machine with other work, two threads took 30 times as long as one for
    the singular values of a 1200 x 1200 matrix. On an idle machine, one thread is hardly slower.
    """
    return threadpool_limits(limits=1, user_api="blas")


def feature_statistics(features) -> FeatureStatistics:
    """Returns the statistics of features [N, D].

    The function needs memory for a few [D, D] matrices beside the features.

    Raises:
      ValueError: the features are not finite numbers of shape [N, D] with N at least 2.
    """
    features = checked_features("features", features, minimum=2)
    accumulator = StatisticsAccumulator(features.shape[1])
    accumulator.add(features)
    return accumulator.result()


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Returns |mean_a - mean_b|² + tr(C_a + C_b - 2 (C_a C_b)^½), which is never negative.

    Covariances may have any rank. With C = F Fᵀ, the trace of the root is the sum of the singular
    values of F_aᵀ F_b. The usual method takes roots of the eigenvalues of C_a^½ C_b C_a^½. Rounding
    turns eigenvalues that should be zero into noise, and the roots of this noise are about 1e-8.

    Raises:
      ValueError: the statistics differ in their number of features.
    """
    return distance_from_factors(a, b, covariance_factor(a), covariance_factor(b))


def distance_from_factors(
    a: FeatureStatistics, b: FeatureStatistics, factor_a: np.ndarray, factor_b: np.ndarray
) -> float:
    """Returns the result of `frechet_distance` from factors of the covariances.

    Args:
      a: statistics of one set of features.
      b: statistics of the other set of features.
      factor_a: factor of a's covariance, see `covariance_factor`.
      factor_b: factor of b's covariance.

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
    """Returns F [D, rank] with F Fᵀ equal to the covariance, up to rounding."""
    if not statistics.is_rank_deficient:
        # A Cholesky decomposition takes a tenth of the time of an eigendecomposition, but needs a
        # well-conditioned matrix.
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
    """Returns the Fréchet distance of two sets of features.

    If one of the sets has fewer images than features, the function uses an [N, M] matrix instead of
    [D, D] matrices.

    Args:
      generated: features [N, D].
      real: features [M, D].

    Raises:
      ValueError: `generated` or `real` is not a finite array with at least 2 rows, or their D
        differ.
    """
    generated, real = checked_pair(generated, real, minimum=2)
    if min(len(generated), len(real)) >= generated.shape[1]:
        return frechet_distance(feature_statistics(generated), feature_statistics(real))
    (mean_a, factor_a), (mean_b, factor_b) = map(_mean_and_factor, (generated, real))
    root_trace = _sum_of_singular_values(factor_a @ factor_b.T)
    traces = np.sum(factor_a**2) + np.sum(factor_b**2)
    return max(0.0, float(np.sum((mean_a - mean_b) ** 2) + traces - 2 * root_trace))


def _mean_and_factor(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean [D] and F [N, D] with Fᵀ F equal to the covariance."""
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    return mean, (features - mean) / np.sqrt(len(features) - 1)


class Extrapolation(typing.NamedTuple):
    """Distance at infinitely many images, and the distances that it was extrapolated from.

    Attributes:
      value: extrapolated distance.
      sizes: numbers of images.
      distances: distance at each of these numbers.
    """

    value: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_infinity(features, reference: FeatureStatistics) -> Extrapolation:
    """Extrapolates the Fréchet distance to infinitely many generated images.

    The distances of parts of the features, as a function of 1 / (size of the part), lie near a
    line. The intercept of this line is the result. The sizes of the parts are spaced evenly from a
    tenth of the images to all images. Each part is the beginning of the same random order, so one
    pass gives all statistics.

    Args:
      features: generated features [N, D].
      reference: statistics of the real images.

    Raises:
      ValueError: the features are not finite numbers [N, D], or a tenth of the images is not more
        than D. Distances of parts with at most D images do not lie near the line.
    """
    features = checked_features("features", features, minimum=2)
    count, dim = features.shape
    smallest = count // 10
    require(
        smallest > dim,
        f"the extrapolation of FID with {dim} features needs at least {10 * (dim + 1)} images",
        num_images=count,
    )
    sizes = np.linspace(smallest, count, EXTRAPOLATED_SIZES).round().astype(int)
    order = np.random.RandomState(ORDER_SEED).permutation(count)
    factor = covariance_factor(reference)
    accumulator = StatisticsAccumulator(dim)
    distances = []
    for start, stop in zip([0, *sizes[:-1]], sizes, strict=True):
        accumulator.add(features[np.sort(order[start:stop])])
        part = accumulator.result()
        distances.append(distance_from_factors(part, reference, covariance_factor(part), factor))
    _, intercept = np.polyfit(1 / sizes, distances, deg=1)
    return Extrapolation(float(intercept), tuple(map(int, sizes)), tuple(distances))


class IntraClassDistance(typing.NamedTuple):
    """Fréchet distances within classes.

    Attributes:
      mean: mean over the classes in `of_class`; None if it is empty.
      of_class: distance by class.
      too_few: classes with fewer than 2 generated or 2 real images. They have no distance.
    """

    mean: float | None
    of_class: dict[int, float]
    too_few: tuple[int, ...]


def intra_class_distance(generated, generated_labels, real, real_labels) -> IntraClassDistance:
    """Returns the Fréchet distance within every class of at least 2 generated and 2 real images.

    Args:
      generated: features [N, D].
      generated_labels: integers [N].
      real: features [M, D].
      real_labels: integers [M].

    Raises:
      ValueError: `generated` or `real` is not a finite array [N, D], their D differ, or labels are
        not one integer per row.
    """
    generated, real = checked_pair(generated, real)
    generated_labels = _checked_labels("generated_labels", generated_labels, len(generated))
    real_labels = _checked_labels("real_labels", real_labels, len(real))
    of_class, too_few = {}, []
    for label in np.union1d(generated_labels, real_labels).tolist():
        ours, theirs = generated[generated_labels == label], real[real_labels == label]
        if min(len(ours), len(theirs)) < 2:
            too_few.append(label)
        else:
            of_class[label] = frechet_distance_of_features(ours, theirs)
    mean = float(np.mean(list(of_class.values()))) if of_class else None
    return IntraClassDistance(mean, of_class, tuple(too_few))


def _checked_labels(name: str, labels, count: int) -> np.ndarray:
    labels = np.asarray(labels)
    require(
        labels.shape == (count,) and labels.dtype.kind in "iu",
        f"`{name}` must be integers of shape [{count}]",
        shape=labels.shape,
        dtype=str(labels.dtype),
    )
    return labels
