"""Fréchet distance as it would be for endlessly many images.

Source: Chong and Forsyth 2020, "Effectively unbiased FID and Inception Score": the distance grows
linearly in 1/N, so a line through it at several N meets 1/N = 0 at the unbiased value.
"""

from __future__ import annotations

import typing

import numpy as np

from tf_biggan.checks import require, require_integer
from tf_biggan.evaluation.feature_matrix import checked_features
from tf_biggan.evaluation.frechet import (
    FeatureStatistics,
    StatisticsAccumulator,
    covariance_factor,
    distance_from_factors,
)


class Extrapolation(typing.NamedTuple):
    """`value` at endlessly many images, from the `distances` at `sizes` images."""

    value: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_infinity(
    features, reference: FeatureStatistics, *, points: int = 15, seed: int = 0
) -> Extrapolation:
    """Intercept of the line through the distances of growing parts of `features` over 1/N.

    The sizes are spaced evenly from a tenth of the features to all of them. The parts are the
    beginnings of one random order, so that one pass over the features gives all statistics.

    Args:
      features: generated features [N, D].
      reference: statistics of the real side, taken as given.
      points: number of sizes.
      seed: of the order.

    Raises:
      ValueError: `features` are not finite numbers [N, D], there are fewer than 2 points, or a
        tenth of them is no more than D: the distance of too few images does not lie on the line.
    """
    features = checked_features("features", features, minimum=2)
    require_integer("points", points, minimum=2)
    count, dim = features.shape
    smallest = count // 10
    require(
        smallest > dim,
        f"extrapolation over {dim} features needs at least {10 * (dim + 1)} images",
        num_images=count,
    )
    sizes = np.linspace(smallest, count, points).round().astype(int)
    order = np.random.RandomState(seed).permutation(count)
    factor = covariance_factor(reference)
    accumulator = StatisticsAccumulator(dim)
    distances = []
    for start, stop in zip([0, *sizes[:-1]], sizes, strict=True):
        accumulator.add(features[np.sort(order[start:stop])])
        part = accumulator.result()
        distances.append(distance_from_factors(part, reference, covariance_factor(part), factor))
    _, intercept = np.polyfit(1 / sizes, distances, deg=1)
    return Extrapolation(float(intercept), tuple(map(int, sizes)), tuple(distances))
