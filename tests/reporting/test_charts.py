"""Curves: thinned without losing spikes, and grouped into charts."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tests.reporting.made_up_runs import write_run
from tf_biggan.reporting.charts import (
    COLOURS,
    UNNAMED,
    Chart,
    Line,
    bin_means,
    charts_of,
    svg,
    thinned,
)
from tf_biggan.reporting.run_record import Series, read_run


def noise(count: int) -> Series:
    return Series(10 * np.arange(1, count + 1), np.random.default_rng(0).normal(size=count))


def test_the_smallest_and_largest_value_of_every_bin_stay():
    series, bins = noise(1000), 7
    few = thinned(series, bins)
    kept = set(zip(few.iterations.tolist(), few.values.tolist(), strict=True))
    assert len(kept) == len(few.values) <= 2 * bins + 2
    edges = 10 + (10_000 - 10) * np.arange(bins + 1) / bins
    for low, high in itertools.pairwise(edges):
        inside = (series.iterations >= low) & (series.iterations < high)
        for extreme in (series.values[inside].min(), series.values[inside].max()):
            assert extreme in few.values
    assert (np.diff(few.iterations) > 0).all()
    assert few.iterations[[0, -1]].tolist() == [10, 10_000]


def test_short_series_stay_and_gaps_are_no_bins():
    series = noise(14)
    assert thinned(series, 7) is series
    apart = Series(np.r_[1:51, 10_001:10_051], np.r_[np.zeros(50), np.ones(50)])
    assert thinned(apart, 5).iterations.tolist() == [1, 10_001, 10_050]
    means = bin_means(apart, 5)
    assert means.iterations.tolist() == [25.5, 10_025.5] and means.values.tolist() == [0, 1]


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG 2.2 defines it."""

    def luminance(colour):
        levels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722)

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", [*COLOURS, UNNAMED])
@pytest.mark.parametrize("background", ["#ffffff", "#15181c"])
def test_every_line_stands_out_from_both_backgrounds(colour, background):
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast(colour, background) >= 3


def test_a_chart_is_one_element_with_the_colour_of_the_text():
    hostile = "a</text><script>alert(1)</script>&$x^2$"
    lines = [Line(hostile, noise(50)), Line("_hidden", noise(50)), Line("", noise(50))]
    text = svg(Chart(hostile, lines))
    root = ET.fromstring(text)
    assert root.tag.endswith("}svg") and "width" not in root.attrib and "viewBox" in root.attrib
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "style", "metadata", "image"}
    texts = [element.text.strip() for element in root.iter() if element.tag.endswith("}text")]
    assert texts.count(hostile) == 2 and "_hidden" in texts
    assert "currentColor" in text and "#000000" not in text and "#ffffff" not in text


def test_a_run_has_one_colour_in_all_charts(tmp_path):
    """The second run alone logged the second quantity."""
    entries = {"a": {"g_loss": 1.0}, "b": {"g_loss": 2.0, "fid": 3.0}}
    runs = [
        read_run(write_run(tmp_path / name, [{"iteration": 1, **values}]))
        for name, values in entries.items()
    ]
    charts, left_out = charts_of(runs)
    found = [(chart.title, [(line.name, line.run) for line in chart.lines]) for chart in charts]
    assert found == [("g_loss", [("a", 0), ("b", 1)]), ("fid", [("b", 1)])] and left_out == 0
    assert COLOURS[1] in svg(charts[1]) and COLOURS[0] not in svg(charts[1])


def test_quantities_of_one_kind_share_a_chart(tmp_path):
    entry = dict(g_loss=1.0, d_lecam=0.1, g_zcr=0.2, d_score_train=1.0, d_score_held_out=0.5)
    entry |= dict(fid=3.0, d_accuracy_held_out=0.6)
    charts, _ = charts_of([read_run(write_run(tmp_path / "a", [{"iteration": 1, **entry}]))])
    assert [[line.name for line in chart.lines] for chart in charts] == [
        ["g_loss"],
        ["d_lecam", "g_zcr"],
        ["d_score_train", "d_score_held_out"],
        ["d_accuracy_held_out"],
        [""],
    ]
    assert charts[-1].title == "fid"


def test_a_spike_stays_and_does_not_flatten_the_rest():
    series = noise(1000)
    series.values[500] = 1e4
    line = Line("loss", thinned(series), bin_means(series))
    assert 1e4 in line.series.values
    assert "(log axis)" in svg(Chart("Losses", [line]))
    assert "(log axis)" not in svg(Chart("Losses", [Line("loss", noise(1000))]))
