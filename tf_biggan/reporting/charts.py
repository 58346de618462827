"""Draws charts as SVG that suits light and dark pages."""

from __future__ import annotations

import io
import re

import numpy as np

from tf_biggan.reporting.curves import Chart, Line

INCHES = (4.4, 2.8)
MOST_COLUMNS = 4
LEGEND_LETTERS = 70
# Every colour stands out from white and from the dark background (contrast of 3 and more).
COLOURS = ("#3a87d0", "#d3722c", "#2e9a67", "#b85fc0", "#93841f", "#d2527b", "#6d7be0", "#7d8a93")
UNNAMED = "#8a8a8a"
# Replaced by the text colour of the page.
INK = "#010203"
FONT = "DejaVu Sans"
# The axis becomes logarithmic beyond the usual values, if a spike is that many times as large.
SPIKE = 10.0
USUAL_PERCENT = 98
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tf_biggan",
    "font.family": [FONT],
    "font.size": 9,
    # Points were thinned already, and no spike may disappear.
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


def svg(chart: Chart) -> str:
    """Returns a chart as an <svg> element without a background.

    Texts and axes have the colour of the surrounding text. Values are drawn on a symmetric
    logarithmic axis if few of them are far larger than the others.
    """
    # matplotlib takes a third of a second to import. Its pyplot would keep every figure.
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
    """Returns the text of a legend. matplotlib hides names that start with an underscore."""
    return f" {name}" if name.startswith("_") else name


def _short(iteration: float) -> str:
    """Returns a number of iterations such as 500, 25k or 1.5M."""
    if abs(iteration) < 10_000:
        return f"{iteration:g}"
    size, unit = (1e6, "M") if abs(iteration) >= 1e6 else (1e3, "k")
    return f"{iteration / size:.4g}{unit}"


def _spike_limit(chart: Chart) -> float | None:
    """Returns the largest usual value if others are many times as large, else None."""
    values = np.abs(np.concatenate([line.series.values for line in chart.lines]))
    usual = float(np.percentile(values, USUAL_PERCENT))
    return usual if usual > 0 and values.max() > SPIKE * usual else None


def _inline(text: str) -> str:
    """Returns the <svg> element of an SVG file in a form that several of one page can have."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    # The page sets the size; the view box keeps the proportions.
    text = re.sub(r'^(<svg[^>]*?) width="[^"]*"', r"\1", text)
    text = re.sub(r'^(<svg[^>]*?) height="[^"]*"', r"\1", text)
    text = text.replace(f"'{FONT}'", "system-ui, sans-serif")
    return text.replace(INK, "currentColor")
