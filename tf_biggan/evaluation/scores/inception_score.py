"""Inception Score, which rewards images with clear classes and sets with varied classes.

Source: Salimans et al. 2016, section 4; torch-fidelity metric_isc.py for the order and the splits.
"""

from __future__ import annotations

import itertools

import numpy as np

from tf_biggan.checks import require, require_integer
from tf_biggan.evaluation.features.feature_matrix import checked_features


def inception_score(
    logits, splits: int = 10, shuffle_seed: int | None = None
) -> tuple[float, float]:
    """Returns mean and population standard deviation of exp(mean KL(p(y|x) || p(y))) over splits.

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
