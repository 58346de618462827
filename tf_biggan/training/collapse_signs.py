"""Signs that a training run collapses, found in the entries of its log.

Every BigGAN of the paper collapses in the end (section 4). The signs are a function of the log
alone, so that a resumed run sees them at the same iterations as an uninterrupted run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tf_biggan.cli.collapse_settings import CollapseSettings
from tf_biggan.training.discriminator_scores import SCORES
from tf_biggan.training.sample_variety import VARIETY
from tf_biggan.training.scores import SCORED_AS

ITERATION = "iteration"
# Keys in RUN/metrics.jsonl: for a sentence about a sign, for the kind of the sign, and for a
# sentence about a rollback.
WARNING, KIND, ROLLED_BACK = "collapse_warning", "collapse_sign", "rollback"
SIGMA = "sigma/"
D_LOSSES = ("d_loss_real", "d_loss_fake")
# Maps the last part of a score's name to whether a lower score is better.
LESS_IS_BETTER = {"fid": True, "is": False, "score": False}
# Losses for which the discriminator's two values, for real and for generated images, cannot fall
# below 0. The sum of the two is almost 0 only if the discriminator separates all images. Other
# losses, such as wasserstein, have no lower bound.
LOSSES_FROM_ZERO = ("hinge", "nonsaturating")
SATURATED = 0.05
SATURATED_LOGS = 20
# A singular value rises suddenly if it more than doubles from one log to the next. The first logs
# are left out, because values change fast at the start.
SUDDEN = 2.0
SETTLED_LOGS = 5
# Below this fraction of the variety of real images, the latent vector changes almost nothing.
CONSTANT = 0.1
# A larger difference between the mean logits of training and of held-out images is a sign. The
# hinge loss asks for this difference between real and generated images: logits of 1 and -1.
MEMORISED = 2.0


@dataclasses.dataclass(frozen=True)
class Sign:
    """A sign of collapse.

    Attributes:
      kind: Name of the kind of sign.
      since: The iteration at which the sign began.
      sentence: The warning. It tells what was seen, and since which iteration.
      collapsed: Whether the run counts as collapsed; False if the sign is only a warning.
    """

    kind: str
    since: int
    sentence: str
    collapsed: bool = True


class History:
    """Keeps the log entries and the counts that are needed to find signs of collapse.

    The entries of a run's log must be added in order.

    Args:
      loss: Name of the loss of the run.

    Attributes:
      evaluations: The entries with scores.
      sigmas: The two newest entries with singular values since the last rollback.
      num_sigmas: Number of entries with singular values since the last rollback.
      num_saturated: Number of consecutive newest discriminator losses that are almost 0.
      saturated_since: Iteration of the first of these losses.
      reported: The last iteration at which each kind of sign was reported.
      rollbacks: Iterations of the rollbacks.
    """

    def __init__(self, loss: str):
        self._may_saturate = loss in LOSSES_FROM_ZERO
        self.evaluations: list[Mapping] = []
        self.sigmas: list[Mapping] = []
        self.num_sigmas = 0
        self.num_saturated, self.saturated_since = 0, 0
        self.reported: dict[str, int] = {}
        self.rollbacks: list[int] = []

    @property
    def start(self) -> int:
        """Iteration of the last rollback, or 0 if there was none. Only later entries are judged."""
        return self.rollbacks[-1] if self.rollbacks else 0

    def add(self, entry: Mapping) -> None:
        """Adds the next entry of the log."""
        iteration = entry[ITERATION]
        if SCORED_AS in entry:
            self.evaluations.append(entry)
        if any(name.startswith(SIGMA) for name in entry):
            self.sigmas = [*self.sigmas[-1:], entry]
            self.num_sigmas += 1
        if self._may_saturate and D_LOSSES[0] in entry:
            self._add_losses(iteration, [entry.get(name) for name in D_LOSSES])
        if KIND in entry:
            self.reported[entry[KIND]] = iteration
        if ROLLED_BACK in entry:
            self.rollbacks.append(iteration)
            self.sigmas, self.num_sigmas, self.num_saturated = [], 0, 0

    def _add_losses(self, iteration, losses):
        is_zero = None not in losses and sum(losses) < SATURATED
        if is_zero and not self.num_saturated:
            self.saturated_since = iteration
        self.num_saturated = self.num_saturated + 1 if is_zero else 0


def signs_of_collapse(history: History, settings: CollapseSettings) -> list[Sign]:
    """Returns the signs that the newest entries of a log show."""
    return [sign for find in SIGNS for sign in find(history, settings)]


def lower_is_better(score: str) -> bool | None:
    """Returns whether a lower value of a score is better; None if the name is no known score."""
    return LESS_IS_BETTER.get(score.rpartition("_")[2])


def times_worse(value: float | None, best: float, less_is_better: bool) -> float:
    """Returns the factor by which a score is worse than the best score.

    The factor is infinity if `value` is None or not finite. Otherwise, it is 1 if one of the two
    scores is not positive, because their ratio means nothing.
    """
    if value is None or not np.isfinite(value):
        return float("inf")
    if min(value, best) <= 0:
        return 1.0
    return value / best if less_is_better else best / value


def largest_rise(values: Sequence[float], first: int = 1) -> tuple[float, int]:
    """Returns the largest ratio of a value to the value before it, and the later value's index.

    Args:
      values: Positive numbers, [N] with N > `first` + 1.
      first: How many of the first ratios are left out.
    """
    values = np.asarray(values)
    factors = values[first + 1 :] / values[first:-1]
    return float(factors.max()), int(factors.argmax()) + first + 1


def _worse_scores(history: History, settings: CollapseSettings) -> Iterator[Sign]:
    found = _comparable(history)
    for name in found[-1] if found else ():
        if lower_is_better(name) is None:
            continue
        best, bad = _bad_scores(found, name, settings.collapse_factor, history.start)
        if len(bad) >= settings.collapse_evaluations:
            yield Sign(
                f"worse {name}",
                bad[0],
                f"{name} has been worse than its best value by a factor of more than"
                f" {settings.collapse_factor:g} since iteration {bad[0]:,}: it was {best[0]:.4g} at"
                f" iteration {best[1]:,} and is {_number(found[-1][name])} now.",
            )


def _bad_scores(entries, name, factor, start) -> tuple[tuple[float, int] | None, list[int]]:
    """Returns the best value with its iteration, and the iterations of the newest bad values.

    A value is bad if it is worse than the best earlier value by a factor of more than `factor`.
    Values up to iteration `start` are never bad. The newest bad values are those after the last
    value that is not bad.
    """
    best, bad, less = None, [], lower_is_better(name)
    for entry in entries:
        value, iteration = entry.get(name), entry[ITERATION]
        worse = 0.0 if best is None else times_worse(value, best[0], less)
        bad = [*bad, iteration] if worse > factor and iteration > start else []
        if value is not None and (best is None or (value < best[0] if less else value > best[0])):
            best = value, iteration
    return best, bad


def _saturated_discriminator(history: History, settings: CollapseSettings) -> Iterator[Sign]:
    if history.num_saturated >= SATURATED_LOGS:
        since = history.saturated_since
        yield Sign(
            "saturated discriminator",
            since,
            f"The discriminator's loss (real + generated) has been below {SATURATED} since"
            f" iteration {since:,}, in {history.num_saturated} logs in a row: the discriminator"
            " separates all images, and the generator learns little from it.",
        )


def _constant_samples(history: History, settings: CollapseSettings) -> Iterator[Sign]:
    bad = _newest_in_a_row(history, lambda entry: _variety(entry) < CONSTANT)
    # At first, a slow moving average is still close to its initial weights. Its samples are almost
    # equal then, which is no collapse.
    have_varied = any(_variety(entry, 0.0) >= CONSTANT for entry in history.evaluations)
    if have_varied and len(bad) >= settings.collapse_evaluations:
        yield Sign(
            "constant samples",
            bad[0][ITERATION],
            "Samples of a class have been almost equal for different latent vectors since iteration"
            f" {bad[0][ITERATION]:,}: their standard deviation is {bad[-1][VARIETY]:.2g} times that"
            " of real images.",
        )


def _variety(entry: Mapping, missing: float = 1.0) -> float:
    value = entry.get(VARIETY)
    return missing if value is None else value


def _runaway_sigma(history: History, settings: CollapseSettings) -> Iterator[Sign]:
    """Yields a sign if a singular value exploded, as before a collapse (paper, section 4.1)."""
    if history.num_sigmas < SETTLED_LOGS:
        return
    before, now = history.sigmas
    rises = {
        name: now[name] / before[name]
        for name in now
        if name.startswith(SIGMA) and now[name] and before.get(name)
    }
    if rises and max(rises.values()) > SUDDEN:
        name = max(rises, key=rises.get)
        yield Sign(
            "runaway singular value",
            now[ITERATION],
            rise_sentence(name, (before[name], now[name]), (before[ITERATION], now[ITERATION])),
            collapsed=False,
        )


def rise_sentence(name: str, values: Sequence[float], iterations: Sequence[int]) -> str:
    """Returns the sentence about a singular value that rose suddenly."""
    return (
        f"The largest singular value of {name.removeprefix(SIGMA)} rose from {values[0]:.3g} to"
        f" {values[1]:.3g} between iterations {iterations[0]:,} and {iterations[1]:,}. Training may"
        " be about to collapse."
    )


def _memorised_data(history: History, settings: CollapseSettings) -> Iterator[Sign]:
    bad = _newest_in_a_row(history, lambda entry: _memorised(entry) > MEMORISED)
    if len(bad) >= settings.collapse_evaluations:
        yield Sign(
            "memorised data",
            bad[0][ITERATION],
            f"The discriminator's mean logit of training images is {_memorised(bad[-1]):.3g} higher"
            f" than that of held-out images. The difference has been above {MEMORISED:g} since"
            f" iteration {bad[0][ITERATION]:,}: the discriminator has memorised the training"
            " images.",
            collapsed=False,
        )


def _memorised(entry: Mapping) -> float:
    """Returns the mean logit of training images minus that of held-out images; 0 if not logged."""
    logits = [entry.get(name) for name in SCORES[:2]]
    return 0.0 if None in logits else logits[0] - logits[1]


def _comparable(history: History) -> list[Mapping]:
    """Returns the entries whose scores were measured in the same way as the newest scores."""
    entries = history.evaluations
    return [entry for entry in entries if entry[SCORED_AS] == entries[-1][SCORED_AS]]


def _newest_in_a_row(history: History, is_bad: Callable[[Mapping], bool]) -> list[Mapping]:
    """Returns the newest evaluations that are all bad, of those after the last rollback."""
    bad = []
    for entry in reversed(history.evaluations):
        if entry[ITERATION] <= history.start or not is_bad(entry):
            break
        bad.append(entry)
    return bad[::-1]


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


SIGNS: tuple[Callable[[History, CollapseSettings], Iterator[Sign]], ...] = (
    _worse_scores,
    _saturated_discriminator,
    _constant_samples,
    _runaway_sigma,
    _memorised_data,
)
