"""FID extrapolated to infinitely many images, and FID within each class."""

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

    The distances of growing parts of the features lie on a line over 1/N, whose intercept is the
    result. The sizes of the parts are spaced evenly from a tenth of the features to all of them.
    The parts are the beginnings of one random order, so one pass gives all statistics.

    Args:
      features: generated features [N, D].
      reference: statistics of the real images.

    Raises:
      ValueError: the features are not finite numbers [N, D], or a tenth of N is not above D. The
        distances of fewer images do not lie on the line.
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
    """Fréchet distances within classes.

    Attributes:
      mean: mean over the classes in `of_class`; None if it is empty.
      of_class: distance by class.
      too_few: classes with fewer than 2 images on one side, which have no distance.
    """

    mean: float | None
    of_class: dict[int, float]
    too_few: tuple[int, ...]


def intra_class_distance(generated, generated_labels, real, real_labels) -> IntraClassDistance:
    """Returns the Fréchet distance within every class that has at least 2 images on both sides.

    Args:
      generated: features [N, D].
      generated_labels: integers [N].
      real: features [M, D].
      real_labels: integers [M].

    Raises:
      ValueError: a side is not finite numbers of shape [N, D], D differs, or a side does not have
        one integer label per row.
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
