"""Groups the curves of runs into charts, and draws these as SVG for light and dark pages.

A long curve is thinned to the minimum and maximum of every bin, so that no spike disappears.
"""

from __future__ import annotations

import dataclasses
import io
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tf_biggan.evaluation.truncation_curve import CONSTANT
from tf_biggan.files import file_system
from tf_biggan.reporting.run_record import ITERATION, RunRecord, Series
from tf_biggan.reporting.warning_signs import SIGMA, THROUGHPUT
from tf_biggan.training.discriminator_scores import ACCURACIES, SCORES
from tf_biggan.training.logs import IMAGES_SEEN, SECONDS
from tf_biggan.training.updates import D_PENALTIES, G_PENALTIES

BINS = 300
BINS_OF_MEANS = 80
MOST_CHARTS = 40
# Maximum number of layers in a legend. More names would hide the curves.
NAMED_LAYERS = 4
# Quantities that share a chart, if the report is about one run.
GROUPS = {
    "Losses": ("d_loss_real", "d_loss_fake", "g_loss"),
    "Penalties": (*D_PENALTIES, *G_PENALTIES),
    "Logits of the discriminator": ("d_real", "d_fake"),
    "Discriminator: mean logit on images of each kind": SCORES,
    "Discriminator: accuracy on images of each kind": ACCURACIES,
}
GROUPED = tuple(name for names in GROUPS.values() for name in names)
NETWORKS = ("generator", "discriminator")
NOT_DRAWN = {SECONDS, IMAGES_SEEN, ITERATION, CONSTANT}
INCHES = (4.4, 2.8)
MOST_COLUMNS = 4
LEGEND_LETTERS = 70
# The contrast of every colour with white and with the dark background is at least 3.
COLOURS = ("#3a87d0", "#d3722c", "#2e9a67", "#b85fc0", "#93841f", "#d2527b", "#6d7be0", "#7d8a93")
UNNAMED = "#8a8a8a"
# Placeholder for the text colour of the page.
INK = "#010203"
FONT = "DejaVu Sans"
# A chart has spikes if its largest value is more than this many times its 98th percentile.
SPIKE = 10.0
USUAL_PERCENT = 98
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tf_biggan",
    "font.family": [FONT],
    "font.size": 9,
    # The points are thinned already, and matplotlib's simplification could remove spikes.
    "path.simplify": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "text.parse_math": False,
}


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve of a chart.

    Attributes:
      name: Text of the legend; "" for a curve that the legend leaves out.
      series: The curve, thinned and finite.
      means: Means over wider bins, if the curve was thinned; else None.
      best: (iteration, value) of the best checkpoint, which the chart marks; or None.
      run: Number of the run, which has the same colour in all charts; None for a report on one run.
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
    """Returns a series that keeps its two end points, and the minimum and maximum of every bin.

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
      (charts, number of charts that are left out because there are too many).
    """
    made = _of_one(runs[0]) if len(runs) == 1 else _of_several(runs)
    made = [chart for chart in made if any(len(line.series.values) for line in chart.lines)]
    return made[:MOST_CHARTS], len(made[MOST_CHARTS:])


def run_names(runs: Sequence[RunRecord]) -> list[str]:
    """Returns a name for each run: the last part of its path, or the whole path if these clash."""
    short = [os.path.basename(file_system.normalized(run.path)) for run in runs]
    return short if len(set(short)) == len(runs) else [run.path for run in runs]


def _of_one(run: RunRecord) -> list[Chart]:
    charts = [
        *(
            Chart(title, [_line(run, name) for name in names if name in run.series])
            for title, names in GROUPS.items()
        ),
        *(Chart(name, [_line(run, name, "")]) for name in _others(run.series)),
    ]
    for network in NETWORKS:
        charts.append(Chart(_sigma_title(network), _layers(run, network)))
    return [*charts, *_throughput([run], [""])]


def _of_several(runs: Sequence[RunRecord]) -> list[Chart]:
    names = run_names(runs)
    logged = dict.fromkeys(name for run in runs for name in run.series)
    shown = [*GROUPED, *_others(logged)]
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
    grouped = {*GROUPED, *NOT_DRAWN, THROUGHPUT}
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
    """Returns the largest singular value of all layers at each iteration, or None without layers.

    Iterations at which a layer has no finite value are left out.
    """
    sigmas = list(_sigmas(run, network).values())
    if not sigmas:
        return None
    at = {}
    for series in sigmas:
        for iteration, value in zip(series.iterations, series.values, strict=True):
            at.setdefault(int(iteration), []).append(value)
    whole = sorted(iteration for iteration, values in at.items() if len(values) == len(sigmas))
    return Series(np.array(whole, np.int64), np.array([max(at[one]) for one in whole]))


def svg(chart: Chart) -> str:
    """Returns a chart as an <svg> element without a background.

    Texts and axes have the colour of the surrounding text. Values are drawn on a symmetric
    logarithmic axis if a few values are far larger than the others.
    """
    # matplotlib is imported here, because this takes a third of a second. Its pyplot is not used,
    # because it would keep every figure.
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(INCHES, layout="constrained")
        figure.patch.set_visible(False)
        _draw(figure.subplots(), chart)
        names = [line.name for line in chart.lines if line.name]
        if names:
            columns = max(1, min(MOST_COLUMNS, LEGEND_LETTERS // (max(map(len, names)) + 6)))
            figure.legend(loc="outside lower left", ncols=columns, frameon=False, fontsize=8)
        made = io.StringIO()
        figure.savefig(made, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(made.getvalue())


def _draw(axes, chart: Chart) -> None:
    axes.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    named = [line for line in chart.lines if line.name]
    numbers = [number if line.run is None else line.run for number, line in enumerate(named)]
    colours = {
        id(line): COLOURS[number % len(COLOURS)]
        for line, number in zip(named, numbers, strict=True)
    }
    alone = COLOURS[0] if len(chart.lines) == 1 else UNNAMED
    for line in chart.lines:
        _draw_line(axes, line, colours.get(id(line), alone))
    limit = _spike_limit(chart)
    if limit is not None:
        axes.set_yscale("symlog", linthresh=limit)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_title(f"{chart.title} (log axis)" if limit is not None else chart.title, loc="left")
    axes.set_xlabel("iteration")
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.locator_params(axis="x", nbins=5)
    axes.grid(True)


def _draw_line(axes, line: Line, colour: str) -> None:
    few = len(line.series.values) < 15
    style = dict(color=colour, solid_joinstyle="round")
    means = line.means
    faint = means is not None
    axes.plot(
        line.series.iterations,
        line.series.values,
        label="_" if faint or not line.name else _label(line.name),
        linewidth=0.7 if faint else 1.2,
        alpha=0.4 if faint else 0.9,
        marker="o" if few else None,
        markersize=3,
        **style,
    )
    if faint:
        label = _label(line.name) if line.name else "_"
        axes.plot(means.iterations, means.values, label=label, linewidth=1.5, **style)
    if line.best is not None:
        axes.plot(*line.best, "*", color=colour, markersize=11, markeredgecolor=INK)


def _label(name: str) -> str:
    """Returns the text in a legend. matplotlib would hide a name that starts with an underscore."""
    return f" {name}" if name.startswith("_") else name


def _short(iteration: float) -> str:
    """Returns a number of iterations as a short text, such as "500", "25k" or "1.5M"."""
    if abs(iteration) < 10_000:
        return f"{iteration:g}"
    size, unit = (1e6, "M") if abs(iteration) >= 1e6 else (1e3, "k")
    return f"{iteration / size:.4g}{unit}"


def _spike_limit(chart: Chart) -> float | None:
    """Returns the value above which the axis of a chart with spikes is logarithmic, or None.

    This value is the 98th percentile of the absolute values. A chart has spikes if its largest
    absolute value is more than 10 times as large. The result is None without spikes, or if the
    percentile is 0.
    """
    values = np.abs(np.concatenate([line.series.values for line in chart.lines]))
    usual = float(np.percentile(values, USUAL_PERCENT))
    return usual if usual > 0 and values.max() > SPIKE * usual else None


def _inline(text: str) -> str:
    """Returns the <svg> element of an SVG file, changed so that a page can hold several charts."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    # The page sets the size; the view box keeps the proportions.
    text = re.sub(r'^(<svg[^>]*?) width="[^"]*"', r"\1", text)
    text = re.sub(r'^(<svg[^>]*?) height="[^"]*"', r"\1", text)
    text = text.replace(f"'{FONT}'", "system-ui, sans-serif")
    return text.replace(INK, "currentColor")
