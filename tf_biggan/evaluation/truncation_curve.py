"""Scores along truncations, and the paper's four columns from them (its Table 2)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

STD = "_std"
NARROWEST = 10


@dataclasses.dataclass(frozen=True)
class Point:
    """One truncation (None: none) and its scores by name."""

    truncation: float | None
    scores: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Curve:
    """Scores along truncations.

    Attributes:
      points: one a truncation, the last one without truncation.
      names: what the Fréchet distance and the inception score are called; None without both.
      valid_score: the inception score of validation images; None if it is not known.
      mode: what a truncation means, see `tf_biggan.generation.latents`.
    """

    points: Sequence[Point]
    names: tuple[str, str] | None
    valid_score: float | None = None
    mode: str = "scale"

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of all scores."""
        return tuple(self.points[0].scores)

    @property
    def shown_names(self) -> tuple[str, ...]:
        """Names of the scores for people: without standard deviations."""
        return tuple(name for name in self.score_names if not name.endswith(STD))

    def columns(self) -> dict[str, Point | None]:
        """The paper's four operating points by the names of `COLUMNS`; {} without both scores.

        The point at the valid score is None where the curve does not cross it.
        """
        if self.names is None:
            return {}
        fid, score = self.names
        whole = next((point for point in self.points if point.truncation is None), None)
        found = (
            whole,
            min(self.points, key=lambda point: point.scores[fid]),
            None if self.valid_score is None else self._crossing(self.valid_score),
            max(self.points, key=lambda point: point.scores[score]),
        )
        return dict(zip(COLUMNS, found, strict=True))

    def _crossing(self, score: float) -> Point | None:
        """Where the curve first has that score as truncation grows stronger, between its points."""
        fid_name, score_name = self.names
        # No truncation is the weakest.
        weakest_first = sorted(
            self.points, key=lambda point: (point.truncation is not None, -(point.truncation or 0))
        )
        for before, after in itertools.pairwise(weakest_first):
            start, end = before.scores[score_name], after.scores[score_name]
            if min(start, end) <= score <= max(start, end) and start != end:
                share = (score - start) / (end - start)
                near = before.truncation if before.truncation is not None else after.truncation
                distance = before.scores[fid_name]
                distance += share * (after.scores[fid_name] - distance)
                truncation = near + share * (after.truncation - near)
                return Point(truncation, {fid_name: distance, score_name: score})
        return None

    def to_dict(self) -> dict:
        """JSON values."""
        columns = {name: point and _flat(point) for name, point in self.columns().items()}
        return {
            "names": list(self.names or ()),
            "valid_score": self.valid_score,
            "truncation_mode": self.mode,
            "points": [_flat(point) for point in self.points],
            "columns": columns,
        }

    def table(self) -> Iterator[str]:
        """Lines: every point, then the four columns as the paper writes them, distance/score."""
        widths = {name: max(NARROWEST, len(name)) for name in self.shown_names}
        yield "  ".join(
            [f"{'truncation':>{NARROWEST}}", *(f"{n:>{width}}" for n, width in widths.items())]
        )
        for point in self.points:
            cells = [f"{point.scores[name]:{width}.4f}" for name, width in widths.items()]
            yield "  ".join([f"{_named(point.truncation):>{NARROWEST}}", *cells])
        for name, point in self.columns().items():
            title = name.replace("FID", self.names[0]).replace("IS", self.names[1])
            if point is None:
                yield f"{title}: not on the curve"
            else:
                distance, score = (point.scores[one] for one in self.names)
                yield f"{title}: {distance:.4f}/{score:.4f} (truncation {_named(point.truncation)})"


COLUMNS = ("no truncation", "min FID", "FID at valid IS", "max IS")


def _flat(point: Point) -> dict:
    return {"truncation": point.truncation, **point.scores}


def _named(truncation: float | None) -> str:
    return "none" if truncation is None else f"{truncation:.4g}"


SIZE = (720, 480)
LEFT, TOP, RIGHT, BOTTOM = 90, 40, 30, 60
TICKS = 6
FONT_SIZE = 13
DOT = 3
INK, GRID, LINE = (20, 20, 20), (225, 225, 225), (31, 95, 168)
LABELS = 8
PANELS_BESIDE = 2
TRUNCATION = "truncation"
# It is the classifier's, the same at every truncation.
CONSTANT = "held_out_accuracy"


def chart(curve: Curve, title: str) -> Image.Image:
    """A drawing in RGB: a panel of distance over score, and one for every other score.

    Args:
      curve: with points from the strongest truncation to none.
      title: a line above every panel.
    """
    panels = _panels(curve)
    columns = min(PANELS_BESIDE, len(panels))
    rows = -(-len(panels) // columns)
    page = Image.new("RGB", (columns * SIZE[0], rows * SIZE[1]), (255, 255, 255))
    for number, (across, up) in enumerate(panels):
        place = (number % columns * SIZE[0], number // columns * SIZE[1])
        page.paste(_panel(curve, across, up, title), place)
    return page


def _panels(curve: Curve) -> list[tuple[str, str]]:
    """What lies along both axes of every panel."""
    fid, score = curve.names or (None, None)
    first = [(score, fid)] if curve.names else []
    others = [n for n in curve.shown_names if n not in (fid, score, CONSTANT)]
    return first + [(TRUNCATION, name) for name in others]


def _values(curve: Curve, name: str) -> list[float]:
    if name != TRUNCATION:
        return [point.scores[name] for point in curve.points]
    known = [point.truncation for point in curve.points if point.truncation is not None]
    # No truncation stands one step beyond the weakest.
    beyond = known[-1] + (known[-1] - known[-2] if len(known) > 1 else 0.1) if known else 0.0
    return [beyond if p.truncation is None else p.truncation for p in curve.points]


def _panel(curve: Curve, across_name: str, up_name: str, title: str) -> Image.Image:
    page = Image.new("RGB", SIZE, (255, 255, 255))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(FONT_SIZE)
    along, values = _values(curve, across_name), _values(curve, up_name)
    across = _Axis(along, LEFT, SIZE[0] - RIGHT)
    up = _Axis(values, SIZE[1] - BOTTOM, TOP)
    _draw_grid(draw, across, up, font)
    places = [(across.place(x), up.place(y)) for x, y in zip(along, values, strict=True)]
    if len(places) > 1:
        draw.line(places, fill=LINE, width=2)
    every = -(-len(places) // LABELS)
    for number, (point, (x, y)) in enumerate(zip(curve.points, places, strict=True)):
        draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=LINE)
        if number % every == 0 or number == len(places) - 1:
            label = "none" if point.truncation is None else f"{point.truncation:.3g}"
            draw.text((x + 6, y - 6), label, fill=INK, font=font, anchor="lb")
    draw.text((SIZE[0] / 2, 12), title, fill=INK, font=font, anchor="mt")
    draw.text(((LEFT + SIZE[0]) / 2, SIZE[1] - 16), across_name, fill=INK, font=font, anchor="mb")
    draw.text((12, TOP - 12), up_name, fill=INK, font=font, anchor="lt")
    return page


def _draw_grid(draw, across: _Axis, up: _Axis, font) -> None:
    for value in across.ticks():
        x = across.place(value)
        draw.line((x, TOP, x, SIZE[1] - BOTTOM), fill=GRID)
        draw.text((x, SIZE[1] - BOTTOM + 8), f"{value:g}", fill=INK, font=font, anchor="mt")
    for value in up.ticks():
        y = up.place(value)
        draw.line((LEFT, y, SIZE[0] - RIGHT, y), fill=GRID)
        draw.text((LEFT - 8, y), f"{value:g}", fill=INK, font=font, anchor="rm")


class _Axis:
    """From values to pixels, with round ticks and a little room at both ends."""

    def __init__(self, values: Sequence[float], start: float, end: float):
        low, high = min(values), max(values)
        margin = 0.05 * (high - low) or max(1e-6, 0.05 * abs(high))
        self._low, self._high = low - margin, high + margin
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        step = (self._high - self._low) / TICKS
        power = 10.0 ** math.floor(math.log10(step))
        step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= step)
        first = math.ceil(self._low / step)
        last = math.floor(self._high / step)
        return [round(number * step, 10) for number in range(first, last + 1)]
