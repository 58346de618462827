"""Finds warning signs in the record of a run: what its owner should look at first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tf_biggan.reporting.run_record import RunRecord, Series
from tf_biggan.training.collapse_signs import (
    D_LOSSES,
    LOSSES_FROM_ZERO,
    SATURATED,
    SIGMA,
    SUDDEN,
    largest_rise,
    lower_is_better,
    rise_sentence,
    times_worse,
)

THROUGHPUT = "images_per_second"
MOST_OF_A_KIND = 3
MOST_COLLAPSES = 8
# Share of the log that counts as its end.
END = 0.1
WORSE = 1.2
SLOWER = 0.5


def warning_signs(run: RunRecord) -> list[str]:
    """Returns a sentence for each warning sign, the gravest kinds first."""
    return [sentence for sign in SIGNS for sentence in sign(run)]


def _not_finite(run: RunRecord) -> Iterator[str]:
    broken = {
        name: int(series.iterations[np.isnan(series.values)][0])
        for name, series in run.series.items()
        if np.isnan(series.values).any()
    }
    for name, iteration in list(broken.items())[:MOST_OF_A_KIND]:
        yield f"{name} was not finite at iteration {iteration:,}."


def _watchdog(run: RunRecord) -> Iterator[str]:
    """Yields the newest signs of collapse and rollbacks that were reported during training."""
    if len(run.collapses) > MOST_COLLAPSES:
        yield (
            f"Training reported {len(run.collapses)} signs of collapse or rollbacks. These are the"
            f" last {MOST_COLLAPSES}:"
        )
    for iteration, sentence in run.collapses[-MOST_COLLAPSES:]:
        yield f"At iteration {iteration:,}: {sentence}"


def _worse_than_best(run: RunRecord) -> Iterator[str]:
    for best in run.best:
        last, less = run.last(best.score), lower_is_better(best.score)
        if None in (best.value, last, less):
            continue
        if times_worse(last, best.value, less) > WORSE:
            yield (
                f"{best.score} was {best.value:.4g} at iteration {best.iteration:,} and is"
                f" {last:.4g} now. The better checkpoint is {best.path}."
            )


def _sudden_sigmas(run: RunRecord) -> Iterator[str]:
    """Yields the largest sudden rises of singular values.

    Singular values explode before a collapse (paper, section 4.1).
    """
    found = []
    for name, series in run.series.items():
        series = series.finite()
        if not name.startswith(SIGMA) or len(series.values) < 3 or series.values.min() <= 0:
            continue
        # The first interval is left out, because values change fast at the start.
        growth, place = largest_rise(series.values)
        if growth > SUDDEN:
            found.append((growth, name, series, slice(place - 1, place + 1)))
    for _, name, series, ends in sorted(found, key=lambda one: -one[0])[:MOST_OF_A_KIND]:
        yield rise_sentence(name, series.values[ends], series.iterations[ends])


def _saturated_discriminator(run: RunRecord) -> Iterator[str]:
    may_saturate = run.config.step.loss in LOSSES_FROM_ZERO
    if not may_saturate or not all(name in run.series for name in D_LOSSES):
        return
    ends = [_end(run.series[name]) for name in D_LOSSES]
    if all(len(end) for end in ends) and sum(end.mean() for end in ends) < SATURATED:
        yield (
            "The discriminator's loss is almost 0 in the last tenth of the log. The discriminator"
            " separates real and generated images, and the generator learns little from it."
        )


def _slower(run: RunRecord) -> Iterator[str]:
    if THROUGHPUT not in run.series:
        return
    rates = run.series[THROUGHPUT].finite().values
    end = _end(run.series[THROUGHPUT])
    if len(end) and np.median(end) < SLOWER * np.median(rates):
        yield (
            f"Throughput fell: {np.median(end):.3g} images/s in the last tenth of the log, and"
            f" {np.median(rates):.3g} in the whole log (medians)."
        )


def _average_not_started(run: RunRecord) -> Iterator[str]:
    start = run.config.step.ema_start
    if start > run.iteration:
        yield (
            f"The moving average starts at iteration {start:,}, which the run has not reached."
            " Until then, samples and scores are those of the generator without averaging."
        )


def _scored_in_several_ways(run: RunRecord) -> Iterator[str]:
    if run.ways_of_scoring > 1:
        yield (
            f"Scores were measured in {run.ways_of_scoring} ways (feature extractor, reference or"
            " number of images), so values along a curve cannot all be compared."
        )


def _several_versions(run: RunRecord) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for start in run.starts:
        versions = start.get("versions")
        for package, version in versions.items() if isinstance(versions, dict) else ():
            if str(version) not in (seen := found.setdefault(str(package), [])):
                seen.append(str(version))
    for package, versions in found.items():
        if len(versions) > 1:
            listed = ", ".join(versions)
            yield f"The run was started or resumed with several versions of {package}: {listed}."


def _unfinished(run: RunRecord) -> Iterator[str]:
    total = run.config.run.num_iterations
    if run.iteration < total:
        yield (
            f"The run is at iteration {run.iteration:,} of {total:,}. To resume it, run its"
            " training command again."
        )


def _end(series: Series) -> np.ndarray:
    """Returns the finite values of the last tenth of a series."""
    values = series.finite().values
    return values[len(values) - int(np.ceil(END * len(values))) :]


SIGNS: tuple[Callable[[RunRecord], Iterator[str]], ...] = (
    _watchdog,
    _not_finite,
    _sudden_sigmas,
    _saturated_discriminator,
    _worse_than_best,
    _average_not_started,
    _slower,
    _scored_in_several_ways,
    _several_versions,
    _unfinished,
)
