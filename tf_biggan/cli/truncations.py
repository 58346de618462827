"""Parses truncations: a number, a list 0.2,0.5,1, a path 0.2:1, or a curve 0.02:1:0.02.

Every function also accepts numbers, so that settings can be made in Python with either.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from tf_biggan import checks

SCALE, RESAMPLE = MODES = ("scale", "resample")
# With "scale", latents are multiplied by the truncation, so that values above 1 extrapolate.
SCALE_LIMIT = 1.0


def parse_number(value: Any) -> float:
    """Returns the truncation in a text such as "0.5"."""
    (number,) = _numbers(value, ":", "must be a number", (1,))
    return number


def parse_path(value: Any) -> tuple[float, float]:
    """Returns the first and last truncation of a text such as "0.5" or "0.2:1"."""
    found = _numbers(value, ":", "must be a number or FROM:TO", (1, 2))
    return found[0], found[-1]


def parse_curve(value: Any) -> tuple[float, ...]:
    """Returns the truncations of a text such as "0.5" or "0.02:1:0.02" (FROM:TO:STEP).

    A tuple of numbers is returned as it is.
    """
    if isinstance(value, tuple):
        return _numbers(value, ":", "must be numbers", range(1, len(value) + 1))
    rule = "must be a number or FROM:TO:STEP with 0 < FROM < TO"
    found = _numbers(value, ":", rule, (1, 3))
    if len(found) == 1:
        return found
    first, last, step = found
    checks.require(0 < first < last and step > 0, f"`truncation` {rule}", truncation=value)
    # Without rounding, 0.02 * 7 would miss its row in a table of batch-norm statistics.
    count = int((last - first) / step + 1e-6) + 1
    return tuple(round(first + step * index, 10) for index in range(count))


def parse_list(value: Any) -> tuple[float, ...]:
    """Returns the truncations of a text such as "0.2,0.5,1"."""
    rule = "must be numbers separated by commas"
    return _numbers(value, ",", rule, range(1, 1_000), "truncations")


def require_in_range(truncations: Sequence[float], mode: str, name: str = "truncation") -> None:
    """Raises a ValueError unless all truncations are possible in a mode of `MODES`."""
    limit = SCALE_LIMIT if mode == SCALE else math.inf
    checks.require(
        all(0 < truncation <= limit for truncation in truncations),
        f"`{name}` must be above 0 and, if `truncation_mode` is 'scale', at most 1",
        **{name: truncations[0] if len(truncations) == 1 else truncations, "truncation_mode": mode},
    )


def _numbers(value, separator, rule, counts, name="truncation") -> tuple[float, ...]:
    try:
        parts = value.split(separator) if isinstance(value, str) else value
        found = tuple(map(float, (parts,) if isinstance(parts, numbers.Real) else parts))
    except (TypeError, ValueError):
        found = ()
    checks.require(
        len(found) in counts and all(map(math.isfinite, found)), f"`{name}` {rule}", **{name: value}
    )
    return found
