"""Parses image sizes in flags: the side of a square, or HEIGHTxWIDTH, in pixels."""

from __future__ import annotations

import functools
import numbers
import re
from collections.abc import Callable

from tf_biggan import checks

_SIZE = re.compile(r"([0-9]+)(?:x([0-9]+))?", re.IGNORECASE)
# Longer numbers are refused first, because int() raises an error for thousands of digits.
_MOST_DIGITS = 9


def resolution_parser(minimum: int) -> Callable[[object], int | str]:
    """Returns the function that parses a setting `resolution` whose sides are at least `minimum`.

    The function accepts a side, a text such as "128" or "128x192", or (height, width). It returns
    the side of a square as an integer, and other sizes as a text such as "128x192". It raises a
    ValueError if the value has another form, or if a side is too small.
    """
    return functools.partial(_parsed, minimum=minimum)


def height_and_width(resolution: int | str) -> tuple[int, int]:
    """Returns (height, width) in pixels for a value of the setting `resolution`."""
    if isinstance(resolution, str):
        height, width = resolution.split("x")
        return int(height), int(width)
    return resolution, resolution


def as_resolution(height: int, width: int) -> int | str:
    """Returns the value of a setting `resolution` for a height and width in pixels."""
    return height if height == width else f"{height}x{width}"


def _parsed(value: object, minimum: int) -> int | str:
    sides = _sides(value)
    checks.require(
        sides is not None,
        "`resolution` must be a side or HEIGHTxWIDTH in pixels, such as 128 or 128x192",
        resolution=value,
    )
    checks.require(
        min(sides) >= minimum, f"`resolution` must be at least {minimum}", resolution=value
    )
    return as_resolution(*sides)


def _sides(value: object) -> tuple[int, int] | None:
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        found = (match[1], match[2] or match[1]) if match else ()
        value = tuple(int(side) for side in found if len(side) <= _MOST_DIGITS)
    if not isinstance(value, tuple | list):
        value = (value, value)
    integral = all(isinstance(s, numbers.Integral) and not isinstance(s, bool) for s in value)
    return tuple(int(side) for side in value) if integral and len(value) == 2 else None
