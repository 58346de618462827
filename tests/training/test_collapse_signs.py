"""Signs of collapse in made-up logs: each sign, its first iteration, and logs that are healthy."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.cli.collapse_settings import CollapseSettings
from tf_biggan.training.collapse_signs import (
    History,
    largest_rise,
    lower_is_better,
    signs_of_collapse,
    times_worse,
)

SETTINGS = CollapseSettings(collapse_factor=2.0, collapse_evaluations=2)


def scored(iteration, scored_as="x", **scores):
    return {"iteration": iteration, "scored_as": scored_as, **scores}


def fids(*values, start=1):
    return [scored(i, classifier_fid=v) for i, v in enumerate(values, start)]


def losses(iterations, real, fake):
    return [{"iteration": i, "d_loss_real": real, "d_loss_fake": fake} for i in iterations]


def sigmas(*values):
    return [{"iteration": i, "sigma/generator/first": v} for i, v in enumerate(values, 1)]


def gaps(*values):
    pairs = enumerate(values, 1)
    return [scored(i, d_score_train=1.0, d_score_held_out=1.0 - gap) for i, gap in pairs]


def varieties(*values):
    return [scored(i, sample_variety=value) for i, value in enumerate(values, 1)]


def signs(entries, settings=SETTINGS, loss="hinge"):
    history = History(loss)
    for entry in entries:
        history.add(entry)
    return signs_of_collapse(history, settings)


ROLLBACK = {"iteration": 6, "rollback": "to iteration 1"}


@pytest.mark.parametrize(
    ("entries", "kind", "since", "value"),
    [
        (fids(9, 4, 8.1, 30), "worse classifier_fid", 3, "was 4 at iteration 2 and is 30 now"),
        (fids(4, 9, None), "worse classifier_fid", 2, "is not finite now"),
        (
            [scored(i, **{"is": v}) for i, v in enumerate((2, 8, 3.9, 1), 1)],
            *("worse is", 3, "was 8 at iteration 2 and is 1 now"),
        ),
        (
            losses(range(10), 0.4, 0.0) + losses(range(10, 30), 0.0, 0.04),
            *("saturated discriminator", 10, "below 0.05 since iteration 10, in 20 logs"),
        ),
        (varieties(0.5, 0.09, 0.02), "constant samples", 2, "deviation is 0.02 times that of real"),
        (
            sigmas(1, 3, 3, 3, 7),
            *("runaway singular value", 5, "generator/first rose from 3 to 7 between iterations 4"),
        ),
        (gaps(0.5, 2.5, 3.5), "memorised data", 2, "is 3.5 higher than that of held-out images"),
        (gaps(0.5, 2.5, 3.5), "memorised data", 2, "has been above 2 since iteration 2"),
        # Scores before a rollback stay the best ones.
        (
            [*fids(4, 9, 9), ROLLBACK, *fids(9, 9, start=7)],
            *("worse classifier_fid", 7, "it was 4 at iteration 1"),
        ),
    ],
)
def test_a_sign_and_its_first_iteration(entries, kind, since, value):
    (sign,) = signs(entries)
    assert (sign.kind, sign.since) == (kind, since)
    assert value in sign.sentence and f"{since:,}" in sign.sentence
    # Forewarnings are no collapse.
    assert sign.collapsed == (kind not in ("runaway singular value", "memorised data"))
    # The newest entry makes the sign.
    assert signs(entries[:-1]) == []


@pytest.mark.parametrize(
    "entries",
    [
        fids(9, 4, 8.1, 7.9, 8.1),
        fids(4, 9, 3),
        [scored(1, "a", fid=1.0), scored(2, "b", fid=9.0), scored(3, "b", fid=9.0)],
        [scored(i, accuracy=a, is_std=a) for i, a in enumerate((0.9, 0.1, 0.1))],
        [scored(i, fid=value) for i, value in enumerate((-0.01, 5.0, 6.0))],
        losses(range(19), 0.0, 0.0),
        losses(range(30), 0.03, 0.03),
        losses(range(19), 0.0, 0.0) + losses([19], None, 0.0) + losses(range(20, 39), 0.0, 0.0),
        sigmas(1, 3, 9, 12),
        sigmas(1, 2, 3, 4, 7.9),
        sigmas(1, 2, 3, 4, None),
        varieties(0.05, 0.2, 0.05),
        # The moving average has not left its start yet.
        varieties(0.05, 0.05, 0.05),
        varieties(0.2, None, None),
        gaps(2.5, 1.5, 2.5),
        [*fids(4, 9, 9), ROLLBACK],
        [*fids(4, 9, 9), ROLLBACK, *fids(9, start=7)],
        [*losses(range(6), 0.0, 0.0), ROLLBACK, *losses(range(7, 26), 0.0, 0.0)],
        [*sigmas(1, 1, 1, 1), ROLLBACK, {"iteration": 7, "sigma/generator/first": 9.0}],
        [*varieties(0.5, 0.05), ROLLBACK, *varieties(0.05)],
        [],
    ],
    ids=str,
)
def test_no_sign(entries):
    assert signs(entries) == []


def test_a_discriminator_saturates_only_by_losses_that_end_at_zero():
    entries = losses(range(20), -5.0, -5.0)
    assert signs(entries, loss="wasserstein") == signs(entries, loss="my_gan:lsgan") == []
    assert [sign.kind for sign in signs(losses(range(20), 0.0, 0.0), loss="nonsaturating")] == [
        "saturated discriminator"
    ]


def test_factor_and_count_are_settings():
    entries = fids(4, 9, 9)
    assert signs(entries, CollapseSettings(collapse_factor=2.5)) == []
    assert signs(entries, CollapseSettings(collapse_evaluations=3)) == []
    assert len(signs(entries[:2], CollapseSettings(collapse_evaluations=1))) == 1


def test_a_healthy_run_of_noisy_curves_shows_nothing_at_any_iteration():
    """The noise has the size of that of scores and losses of the quickstart at 32 px."""
    chance, history = np.random.default_rng(0), History("hinge")
    for iteration in range(10, 6_000, 10):
        noise = np.exp(0.5 * chance.standard_normal(2))
        history.add(
            {"iteration": iteration, "d_loss_real": 0.6 * noise[0], "d_loss_fake": noise[1]}
        )
        if iteration % 250 == 0:
            fid = (4 + 90 * np.exp(-iteration / 400)) * np.exp(0.1 * chance.standard_normal())
            history.add(scored(iteration, classifier_fid=fid, sample_variety=0.6))
            sigma = (1 + iteration / 2000) * np.exp(0.1 * chance.standard_normal())
            history.add({"iteration": iteration, "sigma/generator/first": sigma})
        assert signs_of_collapse(history, CollapseSettings()) == []


def test_scores_compared_by_hand():
    assert [lower_is_better(name) for name in ("fid", "classifier_fid", "is", "x_score")] == [
        *(True, True, False, False)
    ]
    names = ("is_std", "accuracy", "classifier_score_std", "sample_variety", "kid")
    assert {lower_is_better(name) for name in names} == {None}
    assert times_worse(6.0, 4.0, True) == 1.5 and times_worse(2.0, 8.0, False) == 4.0
    assert times_worse(None, 4.0, True) == times_worse(float("nan"), 4.0, True) == float("inf")
    assert times_worse(6.0, -1.0, True) == 1.0
    assert largest_rise([1, 9, 18, 72, 80]) == (4.0, 3)
    assert largest_rise([1, 9, 18, 72, 80], first=0) == (9.0, 1)
