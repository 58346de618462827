"""FID of infinitely many images, and FID of each class."""

from __future__ import annotations

import typing

import numpy as np

from tf_biggan.checks import require
from tf_biggan.evaluation.features.feature_matrix import checked_features, checked_pair
from tf_biggan.evaluation.scores.frechet import (
    FeatureStatistics,
    StatisticsAccumulator,
    covariance_factor,
    distance_from_factors,
    frechet_distance_of_features,
)

# Number of sizes on the line that FID is extrapolated along, and the seed of the images' order.
EXTRAPOLATED_SIZES = 15
ORDER_SEED = 0


class Extrapolation(typing.NamedTuple):
    """`value` at endlessly many images, from the `distances` at `sizes` images."""

    value: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_infinity(features, reference: FeatureStatistics) -> Extrapolation:
    """Intercept of the line through the distances of growing parts of `features` over 1/N.

    The sizes are spaced evenly from a tenth of the features to all of them. The parts are the
    beginnings of one random order, so that one pass over the features gives all statistics.

    Args:
      features: generated features [N, D].
      reference: statistics of the real side, taken as given.

    Raises:
      ValueError: `features` are not finite numbers [N, D], there are fewer than 2 points, or a
        tenth of them is no more than D: the distance of too few images does not lie on the line.
    """
    features = checked_features("features", features, minimum=2)
    count, dim = features.shape
    smallest = count // 10
    require(
        smallest > dim,
        f"extrapolation over {dim} features needs at least {10 * (dim + 1)} images",
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
    """Distances by class, their mean (None without any), and the classes that have none."""

    mean: float | None
    of_class: dict[int, float]
    too_few: tuple[int, ...]


def intra_class_distance(generated, generated_labels, real, real_labels) -> IntraClassDistance:
    """Fréchet distance of every class that has at least 2 images on both sides, and the mean.

    Args:
      generated: features [N, D].
      generated_labels: classes [N], integers.
      real: features [M, D].
      real_labels: classes [M], integers.

    Returns:
      The classes with fewer images on a side stand in `too_few`; the mean leaves them out.

    Raises:
      ValueError: a side is not finite numbers of shape [N, D], D differs, or there is not one
        integer label for every row.
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
