"""Parses seeds such as "0,4-9". No TensorFlow is imported."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tf_biggan import checks

# Largest seed that `tf_biggan.generation.latents` accepts.
MAX_SEED = 2**30 - 1
MOST_SEEDS = 10_000_000
_PART = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")


def parse_seeds(specification: str) -> tuple[int, ...]:
    """Returns the seeds in a text such as "0,4-9", in order and with repetitions.

    Raises:
      ValueError: The text has another form, a range is descending, or a seed is too large, or there
        are too many seeds.
    """
    seeds: list[int] = []
    for part in specification.split(","):
        match = _PART.fullmatch(part.strip())
        checks.require(
            match is not None,
            "`seeds` must be whole numbers and ranges of them, separated by commas, such as 0,4-9",
            seeds=specification,
        )
        first, last = match.group(1), match.group(2) or match.group(1)
        checks.require(
            int(first) <= int(last),
            f"a range in `seeds` must begin with its smaller number, as in {last}-{first}",
            seeds=specification,
        )
        checks.require(
            int(last) <= MAX_SEED, f"`seeds` must lie from 0 to {MAX_SEED}", seeds=specification
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
