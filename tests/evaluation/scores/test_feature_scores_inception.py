"""Inception Score, compared with torch-fidelity and with the formula in loops."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.scores.metric_goldens import GOLDEN, logits_set
from tf_biggan.evaluation.scores.feature_scores import inception_score


@pytest.mark.parametrize(
    "key, splits, seed",
    [
        ("splits10_shuffle_rng2020", 10, 2020),
        ("splits10_noshuffle", 10, None),
        ("splits1", 1, None),
        ("splits7_shuffle_rng2020", 7, 2020),
    ],
)
def test_scores_are_torch_fidelitys(key, splits, seed):
    mean, std = inception_score(logits_set(), splits, seed)
    expected = GOLDEN["isc"][key]
    assert mean == pytest.approx(expected["inception_score_mean"], rel=1e-6)
    assert std == pytest.approx(expected["inception_score_std"], rel=1e-6)


def test_formula_in_loops():
    logits = np.random.RandomState(0).standard_normal((7, 4))
    scores = []
    for rows in (logits[:3], logits[3:]):
        probabilities = [np.exp(row) / np.exp(row).sum() for row in rows]
        marginal = np.mean(probabilities, axis=0)
        kl = [np.sum(row * np.log(row / marginal)) for row in probabilities]
        scores.append(np.exp(np.mean(kl)))
    assert inception_score(logits, splits=2) == pytest.approx((np.mean(scores), np.std(scores)))


def test_sure_and_varied_images_score_the_number_of_classes():
    logits = np.tile(5000 * np.eye(10), (4, 1))  # All other probabilities underflow to zero.
    assert inception_score(logits, splits=1) == pytest.approx((10, 0))
    assert inception_score(np.zeros((40, 10))) == pytest.approx((1, 0))
    assert inception_score(np.zeros((1, 10)), splits=1) == pytest.approx((1, 0))


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match=r"over 10 splits needs at least 10 images.*num_images=9"):
        inception_score(np.zeros((9, 4)))
    with pytest.raises(ValueError, match=r"finite numbers\. Received: first_bad_row=0"):
        inception_score(np.full((10, 4), np.nan))
    with pytest.raises(ValueError, match="`splits` must be an integer at least 1"):
        inception_score(np.zeros((9, 4)), splits=0)
