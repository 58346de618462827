"""Curves of runs: which lines belong into one chart, and their thinning.

A curve is thinned by the minimum and maximum of every bin, so that no spike disappears.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np

from tf_biggan.reporting.run_record import ITERATION, RunRecord, Series
from tf_biggan.reporting.warning_signs import SIGMA, THROUGHPUT
from tf_biggan.training.logs import IMAGES_SEEN, SECONDS

BINS = 300
BINS_OF_MEANS = 80
MOST_CHARTS = 40
# Names of more layers than this in one legend would hide the curves.
NAMED_LAYERS = 4
LOSSES = ("d_loss_real", "d_loss_fake", "g_loss")
LOGITS = ("d_real", "d_fake")
NETWORKS = ("generator", "discriminator")
NOT_DRAWN = {SECONDS, IMAGES_SEEN, ITERATION}


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve of a chart.

    Attributes:
      name: Text of the legend; "" for a curve that the legend leaves out.
      series: The curve, thinned and finite.
      means: Means over wider bins, if the curve was thinned; else None.
      best: (iteration, value) to mark, or None.
      run: Number of the run, which has one colour in all charts; None if the chart is of one run.
    """

    name: str
    series: Series
    means: Series | None = None
    best: tuple[int, float] | None = None
    run: int | None = None


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart over iterations: its title and its curves."""

    title: str
    lines: Sequence[Line]


def thinned(series: Series, bins: int = BINS) -> Series:
    """Returns the minimum and maximum of every bin, and the first and last point.

    Args:
      series: A finite series with ascending iterations.
      bins: Number of bins of equal width in iterations. A series of up to twice as many points is
        returned unchanged.
    """
    if len(series.values) <= 2 * bins:
        return series
    starts = _bin_starts(series.iterations, bins)
    kept = {0, len(series.values) - 1}
    for start, end in zip(starts, [*starts[1:], len(series.values)], strict=True):
        part = series.values[start:end]
        kept |= {start + int(part.argmin()), start + int(part.argmax())}
    rows = sorted(kept)
    return Series(series.iterations[rows], series.values[rows])


def bin_means(series: Series, bins: int = BINS_OF_MEANS) -> Series:
    """Returns the mean iteration and value of every bin that has points."""
    starts = _bin_starts(series.iterations, bins)
    counts = np.diff([*starts, len(series.values)])
    sums = [np.add.reduceat(part, starts) for part in (series.iterations, series.values)]
    return Series(sums[0] / counts, sums[1] / counts)


def _bin_starts(iterations: np.ndarray, bins: int) -> np.ndarray:
    """Returns the index of the first point of every bin that has points."""
    first, last = iterations[0], iterations[-1]
    bin_of = np.minimum((iterations - first) * bins // max(1, last - first), bins - 1)
    return np.flatnonzero(np.diff(bin_of, prepend=-1))


def charts_of(runs: Sequence[RunRecord]) -> tuple[list[Chart], int]:
    """Returns the charts of one run, or of several runs with one line for each run.

    Returns:
      (charts, number of logged quantities that are left out because there are too many).
    """
    made = _of_one(runs[0]) if len(runs) == 1 else _of_several(runs)
    made = [chart for chart in made if any(len(line.series.values) for line in chart.lines)]
    return made[:MOST_CHARTS], len(made[MOST_CHARTS:])


def run_names(runs: Sequence[RunRecord]) -> list[str]:
    """Returns a short name for each run: the last folder of its path, if these differ."""
    short = [os.path.basename(os.path.normpath(run.path)) for run in runs]
    return short if len(set(short)) == len(runs) else [run.path for run in runs]


def _of_one(run: RunRecord) -> list[Chart]:
    charts = [
        Chart("Losses", [_line(run, name) for name in LOSSES if name in run.series]),
        Chart(
            "Logits of the discriminator",
            [_line(run, name) for name in LOGITS if name in run.series],
        ),
        *(Chart(name, [_line(run, name, "")]) for name in _others(run.series)),
    ]
    for network in NETWORKS:
        charts.append(Chart(_sigma_title(network), _layers(run, network)))
    return [*charts, *_throughput([run], [""])]


def _of_several(runs: Sequence[RunRecord]) -> list[Chart]:
    names = run_names(runs)
    logged = dict.fromkeys(name for run in runs for name in run.series)
    shown = [*LOSSES, *LOGITS, *_others(logged)]
    charts = [
        Chart(quantity, [_line(run, quantity, name) for run, name in _with(quantity, runs, names)])
        for quantity in shown
    ]
    for network in NETWORKS:
        lines = [
            _drawn(name, largest)
            for run, name in zip(runs, names, strict=True)
            if (largest := _largest_sigmas(run, network)) is not None
        ]
        charts.append(Chart(f"Largest singular value of the {network}", lines))
    charts += _throughput(runs, names)
    number_of = {name: number for number, name in enumerate(names)}
    return [
        Chart(
            chart.title,
            [dataclasses.replace(line, run=number_of[line.name]) for line in chart.lines],
        )
        for chart in charts
    ]


def _with(quantity, runs, names):
    return [pair for pair in zip(runs, names, strict=True) if quantity in pair[0].series]


def _throughput(runs, names) -> list[Chart]:
    found = _with(THROUGHPUT, runs, names)
    return [Chart("Images per second", [_line(run, THROUGHPUT, name) for run, name in found])]


def _others(names) -> list[str]:
    """Returns scores and other quantities that have a chart of their own."""
    grouped = {*LOSSES, *LOGITS, *NOT_DRAWN, THROUGHPUT}
    kept = [name for name in names if name not in grouped and not name.startswith(SIGMA)]
    return [name for name in kept if not name.endswith("_std")]


def _line(run: RunRecord, quantity: str, name: str | None = None) -> Line:
    marks = [
        (best.iteration, best.value)
        for best in run.best
        if best.score == quantity and best.value is not None
    ]
    shown = quantity if name is None else name
    return _drawn(shown, run.series[quantity], marks[0] if marks else None)


def _drawn(name: str, series: Series, best: tuple[int, float] | None = None) -> Line:
    series = series.finite()
    if not len(series.values):
        return Line(name, series)
    order = np.argsort(series.iterations, kind="stable")
    series = Series(series.iterations[order], series.values[order])
    few = thinned(series)
    means = bin_means(series) if len(few.values) < len(series.values) else None
    return Line(name, few, means, best)


def _sigma_title(network: str) -> str:
    return f"Singular values of the {network}"


def _sigmas(run: RunRecord, network: str) -> Mapping[str, Series]:
    start = f"{SIGMA}{network}/"
    found = {
        name.removeprefix(start): s for name, s in run.series.items() if name.startswith(start)
    }
    return {name: series.finite() for name, series in found.items() if len(series.finite().values)}


def _layers(run: RunRecord, network: str) -> list[Line]:
    """Returns a line for each layer.

    Only the layers whose sigma is largest at the end are named in the legend.
    """
    sigmas = _sigmas(run, network)
    ranked = sorted(sigmas, key=lambda name: -sigmas[name].values[-1])
    lines = [_drawn(name if name in ranked[:NAMED_LAYERS] else "", sigmas[name]) for name in ranked]
    return lines[::-1]


def _largest_sigmas(run: RunRecord, network: str) -> Series | None:
    """Returns the largest singular value over all layers at every iteration that has all layers."""
    sigmas = list(_sigmas(run, network).values())
    if not sigmas:
        return None
    at = {}
    for series in sigmas:
        for iteration, value in zip(series.iterations, series.values, strict=True):
            at.setdefault(int(iteration), []).append(value)
    whole = sorted(iteration for iteration, values in at.items() if len(values) == len(sigmas))
    return Series(np.array(whole, np.int64), np.array([max(at[one]) for one in whole]))
