"""Bootstrap confidence intervals of the scores of generated images.

Images of the generated side are drawn anew with replacement; the reference is taken as given. A
resample is a vector of counts, used as weights: no features are copied.

Resampling adds a bias of its own (a Fréchet distance of a resample sees fewer different images,
so it is larger), hence the interval is the score plus the quantiles of how the resamples lie
around their mean. Source: Efron and Tibshirani 1993, chapters 10 and 13.
"""

from __future__ import annotations

import typing

import numpy as np

from tf_biggan.checks import require, require_integer
from tf_biggan.evaluation.features.feature_matrix import blocks, checked_features, checked_pair
from tf_biggan.evaluation.scores.frechet import (
    FeatureStatistics,
    covariance_factor,
    distance_from_factors,
    feature_statistics,
)
from tf_biggan.evaluation.scores.inception_score import negative_entropy, split_probabilities
from tf_biggan.evaluation.scores.kernel_distance import (
    SUBSET_SIZE,
    kernel,
    subset_indices,
    unbiased_squared_mmd,
)


class Interval(typing.NamedTuple):
    """Bounds around a score."""

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
    """Interval of the Fréchet distance of generated features [N, D] to a reference.

    One resample costs as much as the distance itself: seconds for 2048 features.

    Raises:
      ValueError: `features` are not finite numbers [N, D] with N of 2 or more, D is not the
        reference's, or `resamples` or `level` is out of its range.
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
    """Interval of the kernel distance over the same subsets as `kernel_distance` draws.

    Within each subset the images count as often as the resample drew them; pairs of an image with
    itself stay out, so that the estimate remains unbiased.

    Raises:
      ValueError: see `kernel_distance`; or `resamples` or `level` is out of its range.
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
    """Interval of the Inception Score's mean over the splits; images are redrawn in their split.

    Raises:
      ValueError: see `inception_score`; or `resamples` or `level` is out of its range.
    """
    score, values = 0.0, np.zeros(resamples)
    for number, probabilities in enumerate(split_probabilities(logits, splits, shuffle_seed)):
        counts = np.stack(list(_resamples(len(probabilities), resamples, (seed, number))))
        original = np.ones((1, len(probabilities)))
        score += float(_weighted_inception_score(probabilities, original)[0]) / splits
        values += _weighted_inception_score(probabilities, counts) / splits
    return _around(score, values, level)


def weighted_statistics(features: np.ndarray, counts: np.ndarray) -> FeatureStatistics:
    """Statistics of features [N, D] in which row i stands counts[i] times."""
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
    """Squared MMD [B] of `y` and the rows of `x`, weighted by counts [B, n]."""
    of_x, of_y = kernel(x, x), kernel(y, y)
    np.fill_diagonal(of_x, 0)
    np.fill_diagonal(of_y, 0)
    total, squares = counts.sum(axis=1), np.sum(counts**2, axis=1)
    # All weight on one image leaves no pair; a resample of hundreds does not come to that.
    pairs = np.maximum(total**2 - squares, 1)
    within = np.einsum("bi,bi->b", counts @ of_x, counts) / pairs
    between = counts @ kernel(x, y).mean(axis=1) / np.maximum(total, 1)
    return within + of_y.sum() / (len(y) * (len(y) - 1)) - 2 * between


def _weighted_inception_score(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Inception Score [B] of one split whose rows count counts [B, n] times."""
    weights = counts / counts.sum(axis=1, keepdims=True)
    marginals = weights @ probabilities
    return np.exp(weights @ negative_entropy(probabilities) - negative_entropy(marginals))


def _resamples(count: int, resamples: int, seed):
    """How often each of `count` images is drawn, one vector [count] for each resample."""
    require_integer("resamples", resamples, minimum=2)
    random = np.random.default_rng(seed)
    return (
        np.bincount(random.integers(count, size=count), minlength=count) for _ in range(resamples)
    )


def _around(score: float, values, level: float) -> Interval:
    require(0 < level < 1, "`level` must lie between 0 and 1", level=level)
    deviations = np.asarray(values) - np.mean(values)
    low, high = np.quantile(deviations, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(score + low), float(score + high))
