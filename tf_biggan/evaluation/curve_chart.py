"""The chart of a truncation curve: distance over score, a dot for every truncation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from tf_biggan.evaluation.truncation_curve import Point

SIZE = (720, 480)
LEFT, TOP, RIGHT, BOTTOM = 90, 40, 30, 60
TICKS = 6
FONT_SIZE = 13
DOT = 3
INK, GRID, LINE = (20, 20, 20), (225, 225, 225), (31, 95, 168)
LABELS = 8


def chart(curve: Sequence[Point], names: tuple[str, str], title: str) -> Image.Image:
    """A drawing in RGB.

    Args:
      curve: points from the strongest truncation to none, or the reverse.
      names: what the distance and the score are called.
      title: a line above it.
    """
    page = Image.new("RGB", SIZE, (255, 255, 255))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(FONT_SIZE)
    across = _Axis([p.score for p in curve], LEFT, SIZE[0] - RIGHT)
    up = _Axis([p.fid for p in curve], SIZE[1] - BOTTOM, TOP)
    for value in across.ticks():
        x = across.place(value)
        draw.line((x, TOP, x, SIZE[1] - BOTTOM), fill=GRID)
        draw.text((x, SIZE[1] - BOTTOM + 8), f"{value:g}", fill=INK, font=font, anchor="mt")
    for value in up.ticks():
        y = up.place(value)
        draw.line((LEFT, y, SIZE[0] - RIGHT, y), fill=GRID)
        draw.text((LEFT - 8, y), f"{value:g}", fill=INK, font=font, anchor="rm")
    places = [(across.place(p.score), up.place(p.fid)) for p in curve]
    if len(places) > 1:
        draw.line(places, fill=LINE, width=2)
    every = -(-len(curve) // LABELS)
    for number, (point, (x, y)) in enumerate(zip(curve, places, strict=True)):
        draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=LINE)
        if number % every == 0 or number == len(curve) - 1:
            label = "none" if point.truncation is None else f"{point.truncation:.3g}"
            draw.text((x + 6, y - 6), label, fill=INK, font=font, anchor="lb")
    draw.text((SIZE[0] / 2, 12), title, fill=INK, font=font, anchor="mt")
    draw.text(((LEFT + SIZE[0]) / 2, SIZE[1] - 16), names[1], fill=INK, font=font, anchor="mb")
    draw.text((12, TOP - 12), names[0], fill=INK, font=font, anchor="lt")
    return page


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
