"""Bootstrap confidence intervals of the scores of generated images.

Generated images are resampled with replacement; the reference is fixed. A resample is stored as the
number of times that it contains each image. This number is the image's weight, so no features are
copied.

Resampling is biased: a resample has fewer distinct images, so its Fréchet distance is larger. The
interval is therefore the score plus quantiles of the resamples' deviations from their mean. Source:
Efron and Tibshirani 1993, chapters 10 and 13.
"""

from __future__ import annotations

import typing

import numpy as np

from tf_biggan.checks import require, require_integer
from tf_biggan.evaluation.scores.feature_scores import (
    SUBSET_SIZE,
    blocks,
    checked_features,
    checked_pair,
    kernel,
    negative_entropy,
    split_probabilities,
    subset_indices,
    unbiased_squared_mmd,
)
from tf_biggan.evaluation.scores.frechet import (
    FeatureStatistics,
    covariance_factor,
    distance_from_factors,
    feature_statistics,
)


class Interval(typing.NamedTuple):
    """Lower and upper bound around a score."""

    low: float
    high: float


def frechet_interval(
    features,
    reference: FeatureStatistics,
    *,
    resamples: int = 50,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Returns the confidence interval of the Fréchet distance of generated features to a reference.

    Each resample takes as long as the distance itself, which is seconds for 2048 features.

    Args:
      features: generated features [N, D].
      reference: statistics of the real images.
      resamples: number of resamples, at least 2.
      level: level of confidence between 0 and 1.
      seed: seed of the resamples.

    Raises:
      ValueError: the features are not finite numbers [N, D] with N at least 2, the reference has
        another D, or `resamples` or `level` is out of range.
    """
    features = checked_features("features", features, minimum=2)
    factor = covariance_factor(reference)

    def distance(statistics: FeatureStatistics) -> float:
        own = covariance_factor(statistics)
        return distance_from_factors(statistics, reference, own, factor)

    score = distance(feature_statistics(features))
    values = [
        distance(weighted_statistics(features, counts))
        for counts in _resamples(len(features), resamples, seed)
    ]
    return _around(score, values, level)


def kernel_interval(
    generated,
    real,
    *,
    subsets: int = 100,
    subset_size: int = SUBSET_SIZE,
    subset_seed: int = 2020,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Returns the confidence interval of `kernel_distance`, with the same subsets.

    An image counts as often as the resample contains it. Pairs of an image with itself are left
    out, so that the estimate remains unbiased.

    Args:
      generated: features [N, D].
      real: features [M, D].
      subsets: number of subsets.
      subset_size: number of generated and of real images in a subset.
      subset_seed: seed of the subsets.
      resamples: number of resamples, at least 2.
      level: level of confidence between 0 and 1.
      seed: seed of the resamples.

    Raises:
      ValueError: see `kernel_distance`; or `resamples` or `level` is out of range.
    """
    generated, real = checked_pair(generated, real, minimum=2)
    counts = np.stack(list(_resamples(len(generated), resamples, seed))).astype(np.float64)
    score, values = 0.0, np.zeros(resamples)
    drawn = subset_indices(len(generated), len(real), subsets, subset_size, subset_seed)
    for of_generated, of_real in drawn:
        x = np.asarray(generated[of_generated], np.float64)
        y = np.asarray(real[of_real], np.float64)
        score += unbiased_squared_mmd(x, y) / subsets
        values += _resampled_squared_mmd(x, y, counts[:, of_generated]) / subsets
    return _around(score, values, level)


def inception_interval(
    logits,
    *,
    splits: int = 10,
    shuffle_seed: int | None = None,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Returns the confidence interval of the mean Inception Score.

    Each split has its own resamples.

    Args:
      logits: logits [N, C] of the classifier.
      splits: number of splits.
      shuffle_seed: seed to shuffle the rows first; None to keep their order.
      resamples: number of resamples, at least 2.
      level: level of confidence between 0 and 1.
      seed: seed of the resamples.

    Raises:
      ValueError: see `inception_score`; or `resamples` or `level` is out of range.
    """
    score, values = 0.0, np.zeros(resamples)
    for number, probabilities in enumerate(split_probabilities(logits, splits, shuffle_seed)):
        counts = np.stack(list(_resamples(len(probabilities), resamples, (seed, number))))
        original = np.ones((1, len(probabilities)))
        score += float(_weighted_inception_score(probabilities, original)[0]) / splits
        values += _weighted_inception_score(probabilities, counts) / splits
    return _around(score, values, level)


def weighted_statistics(features: np.ndarray, counts: np.ndarray) -> FeatureStatistics:
    """Returns the statistics of features [N, D] if row i occurs counts[i] times."""
    total = int(counts.sum())
    mean = np.zeros(features.shape[1])
    for here, block in blocks(features):
        mean += counts[here] @ block / total
    scatter = np.zeros((len(mean), len(mean)))
    for here, block in blocks(features):
        scaled = (block - mean) * np.sqrt(counts[here])[:, None]
        scatter += scaled.T @ scaled
    return FeatureStatistics(mean, scatter / (total - 1), total)


def _resampled_squared_mmd(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the squared MMD [B] of `x` and `y`, where row i of `x` occurs counts[b, i] times."""
    of_x, of_y = kernel(x, x), kernel(y, y)
    np.fill_diagonal(of_x, 0)
    np.fill_diagonal(of_y, 0)
    total, squares = counts.sum(axis=1), np.sum(counts**2, axis=1)
    # A resample that repeats a single image has no pairs. This does not happen with hundreds of
    # images.
    pairs = np.maximum(total**2 - squares, 1)
    within = np.einsum("bi,bi->b", counts @ of_x, counts) / pairs
    between = counts @ kernel(x, y).mean(axis=1) / np.maximum(total, 1)
    return within + of_y.sum() / (len(y) * (len(y) - 1)) - 2 * between


def _weighted_inception_score(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the Inception Score [B] of one split, where row i occurs counts[b, i] times."""
    weights = counts / counts.sum(axis=1, keepdims=True)
    marginals = weights @ probabilities
    return np.exp(weights @ negative_entropy(probabilities) - negative_entropy(marginals))


def _resamples(count: int, resamples: int, seed):
    """Yields for each resample how often it contains each of `count` images."""
    require_integer("resamples", resamples, minimum=2)
    random = np.random.default_rng(seed)
    return (
        np.bincount(random.integers(count, size=count), minlength=count) for _ in range(resamples)
    )


def _around(score: float, values, level: float) -> Interval:
    require(0 < level < 1, "`level` must be between 0 and 1", level=level)
    deviations = np.asarray(values) - np.mean(values)
    low, high = np.quantile(deviations, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(score + low), float(score + high))
