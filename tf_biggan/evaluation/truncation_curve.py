"""Scores along truncations, and the paper's four columns from them (its Table 2)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

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
      mode: what a truncation means, see `tf_biggan.truncation`.
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
