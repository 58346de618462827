"""Parses seeds such as "0,4-9", and truncations. No TensorFlow is imported.

The text of a truncation setting is a number such as "0.5", a list such as "0.2,0.5,1", a path such
as "0.2:1" or a curve such as "0.02:1:0.02". In Python, numbers may be given instead of a text.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence
from typing import Any

from tf_biggan import checks

# Largest seed that `tf_biggan.generation.latents` accepts.
MAX_SEED = 2**30 - 1
MOST_SEEDS = 10_000_000
_PART = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")
SCALE, RESAMPLE = TRUNCATION_MODES = ("scale", "resample")
# With "scale", latents are multiplied by the truncation, so a value above 1 would extrapolate.
SCALE_LIMIT = 1.0


def parse_seeds(specification: str) -> tuple[int, ...]:
    """Returns the seeds of a text such as "0,4-9", in the order of the text, with repetitions.

    Raises:
      ValueError: The text has another form, a range is descending, a seed is too large, or there
        are too many seeds.
    """
    seeds: list[int] = []
    for part in specification.split(","):
        match = _PART.fullmatch(part.strip())
        checks.require(
            match is not None,
            "`seeds` must be whole numbers or ranges, separated by commas, such as 0,4-9",
            seeds=specification,
        )
        first, last = match.group(1), match.group(2) or match.group(1)
        checks.require(
            int(first) <= int(last),
            f"a range in `seeds` must begin with its smaller number, as in {last}-{first}",
            seeds=specification,
        )
        checks.require(
            int(last) <= MAX_SEED, f"`seeds` must be from 0 to {MAX_SEED}", seeds=specification
        )
        checks.require(
            len(seeds) + int(last) - int(first) < MOST_SEEDS,
            f"`seeds` may hold at most {MOST_SEEDS:,} seeds",
            seeds=specification,
        )
        seeds += range(int(first), int(last) + 1)
    return tuple(seeds)


def seeds_text(seeds: Sequence[int]) -> str:
    """Returns the shortest text that `parse_seeds` converts to these seeds."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def parse_truncation(value: Any) -> float:
    """Returns the truncation in a text such as "0.5"."""
    (number,) = _numbers(value, ":", "must be a number", (1,))
    return number


def parse_truncation_path(value: Any) -> tuple[float, float]:
    """Returns the first and last truncation of a text such as "0.5" or "0.2:1"."""
    found = _numbers(value, ":", "must be a number or FROM:TO", (1, 2))
    return found[0], found[-1]


def parse_truncation_curve(value: Any) -> tuple[float, ...]:
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


def parse_truncations(value: Any) -> tuple[float, ...]:
    """Returns the truncations of a text such as "0.2,0.5,1"."""
    rule = "must be numbers separated by commas"
    return _numbers(value, ",", rule, range(1, 1_000), "truncations")


def require_truncations(truncations: Sequence[float], mode: str, name: str = "truncation") -> None:
    """Raises a ValueError unless all truncations are valid in the truncation mode `mode`."""
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
