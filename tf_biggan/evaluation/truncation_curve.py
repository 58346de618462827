"""Scores along truncations, and the paper's four columns from them (its Table 2)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence


@dataclasses.dataclass(frozen=True)
class Point:
    """One truncation (None: none) with its Fréchet distance and inception score."""

    truncation: float | None
    fid: float
    score: float


COLUMNS = ("no truncation", "min FID", "FID at valid IS", "max IS")


def columns(curve: Sequence[Point], valid_score: float | None) -> dict[str, Point | None]:
    """The paper's four operating points, by the names of `COLUMNS`.

    Args:
      curve: points with one of no truncation.
      valid_score: the inception score of validation images, or None where it is not known.

    Returns:
      A point each; None at the valid score where the curve does not cross it.
    """
    whole = next((point for point in curve if point.truncation is None), None)
    found = (
        whole,
        min(curve, key=lambda point: point.fid),
        None if valid_score is None else crossing(curve, valid_score),
        max(curve, key=lambda point: point.score),
    )
    return dict(zip(COLUMNS, found, strict=True))


def crossing(curve: Sequence[Point], score: float) -> Point | None:
    """Where the curve first has that score as truncation grows stronger, between its points."""
    # No truncation is the weakest.
    weakest_first = sorted(
        curve, key=lambda point: (point.truncation is not None, -(point.truncation or 0))
    )
    for before, after in itertools.pairwise(weakest_first):
        low, high = sorted((before.score, after.score))
        if low <= score <= high and before.score != after.score:
            share = (score - before.score) / (after.score - before.score)
            near = before.truncation if before.truncation is not None else after.truncation
            return Point(
                near + share * (after.truncation - near),
                before.fid + share * (after.fid - before.fid),
                score,
            )
    return None


def table(
    curve: Sequence[Point], found: dict[str, Point | None], names: tuple[str, str]
) -> Iterator[str]:
    """Lines: every point, then the four columns as the paper writes them, distance/score.

    Args:
      names: what the distance and the score are called.
    """
    yield f"{'truncation':>10}  {names[0]:>16}  {names[1]:>16}"
    for point in curve:
        yield f"{_named(point.truncation):>10}  {point.fid:16.4f}  {point.score:16.4f}"
    for name, point in found.items():
        name = name.replace("FID", names[0]).replace("IS", names[1])
        if point is None:
            yield f"{name}: not on the curve"
        else:
            place = _named(point.truncation)
            yield f"{name}: {point.fid:.4f}/{point.score:.4f} (truncation {place})"


def _named(truncation: float | None) -> str:
    return "none" if truncation is None else f"{truncation:.4g}"
