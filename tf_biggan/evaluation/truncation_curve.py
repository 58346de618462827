"""Scores at several truncations: a chart, and the four operating points of the paper's Table 2."""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Iterator, Mapping, Sequence

from tf_biggan.files.atomic import replaced

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STD = "_std"
# Width of the narrowest column of the table, in characters.
NARROWEST = 10
COLUMNS = ("no truncation", "min FID", "FID at valid IS", "max IS")
PANEL_INCHES = (7.2, 4.8)
DOTS_PER_INCH = 100
PANELS_PER_ROW = 2
# Highest number of points in a panel that are labelled with their truncation.
LABELS = 8
TRUNCATION = "truncation"
# The classifier's accuracy on real images does not depend on the model, so it has no chart.
CONSTANT = "held_out_accuracy"


@dataclasses.dataclass(frozen=True)
class Point:
    """The scores at one truncation; `truncation` is None for images without truncation."""

    truncation: float | None
    scores: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Curve:
    """Scores at several truncations.

    Attributes:
      points: one point per truncation; the last one is without truncation.
      names: names of the Fréchet distance and the Inception Score; None unless both were computed.
      valid_score: Inception Score of validation images; None if it is unknown.
      mode: meaning of a truncation, see `tf_biggan.generation.latents`.
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
        """Names of the scores without standard deviations."""
        return tuple(name for name in self.score_names if not name.endswith(STD))

    def columns(self) -> dict[str, Point | None]:
        """Returns the paper's four operating points by their names in `COLUMNS`.

        Returns:
          The points by name, or {} if FID or IS was not computed. The point at the valid score is
          None if that score is unknown, or if the curve does not cross it.
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
        """Returns the interpolated point where the curve first reaches an Inception Score, or None.

        The curve is searched from the images without truncation to the strongest truncation.
        """
        fid_name, score_name = self.names
        # The point without truncation is the first.
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

    def _why_no_point(self) -> str:
        if self.valid_score is None:
            return "the score of the real images is unknown (--valid_score)"
        return f"the curve does not reach the score of the real images, {self.valid_score:.4f}"

    def to_dict(self) -> dict:
        """Returns the curve as JSON values."""
        columns = {name: point and _flat(point) for name, point in self.columns().items()}
        return {
            "names": list(self.names or ()),
            "valid_score": self.valid_score,
            "truncation_mode": self.mode,
            "points": [_flat(point) for point in self.points],
            "columns": columns,
        }

    def table(self) -> Iterator[str]:
        """Yields lines for a terminal: every point, then the four operating points as FID/IS."""
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
                yield f"{title}: {self._why_no_point()}"
            else:
                distance, score = (point.scores[one] for one in self.names)
                yield f"{title}: {distance:.4f}/{score:.4f} (truncation {_named(point.truncation)})"


def _flat(point: Point) -> dict:
    return {"truncation": point.truncation, **point.scores}


def _named(truncation: float | None) -> str:
    return "none" if truncation is None else f"{truncation:.4g}"


def save_chart(curve: Curve, title: str, path: str) -> None:
    """Draws a curve and writes it as PNG. An interrupted write leaves no incomplete file.

    Args:
      curve: the scores at several truncations.
      title: title of the chart.
      path: path of the file; its folder must exist.
    """
    figure = chart(curve, title)
    with replaced(path) as temporary:
        # The file does not name matplotlib's version, so that equal curves give equal files.
        figure.savefig(temporary, format="png", metadata={"Software": None})


def chart(curve: Curve, title: str) -> Figure:
    """Draws a panel of the Fréchet distance over the Inception Score, and a panel per other score.

    Args:
      curve: the scores at several truncations, from the strongest truncation to none.
      title: title of the chart.
    """
    # matplotlib takes a third of a second to import, and most evaluations draw no chart. Its pyplot
    # would keep every figure in a global list.
    from matplotlib.figure import Figure

    panels = _panels(curve)
    columns = min(PANELS_PER_ROW, len(panels))
    rows = -(-len(panels) // columns)
    width, height = PANEL_INCHES
    figure = Figure((columns * width, rows * height), dpi=DOTS_PER_INCH, layout="constrained")
    # Titles hold paths, in which a dollar sign does not begin a formula.
    figure.suptitle(title, fontsize="medium", wrap=True, parse_math=False)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, names in zip(grid, panels, strict=False):
        _draw_panel(axes, curve, *names)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _panels(curve: Curve) -> list[tuple[str, str]]:
    """Returns the names of the horizontal and vertical axis of every panel."""
    fid, score = curve.names or (None, None)
    first = [(score, fid)] if curve.names else []
    others = [n for n in curve.shown_names if n not in (fid, score, CONSTANT)]
    return first + [(TRUNCATION, name) for name in others]


def _values(curve: Curve, name: str) -> list[float]:
    if name != TRUNCATION:
        return [point.scores[name] for point in curve.points]
    known = [point.truncation for point in curve.points if point.truncation is not None]
    # The point without truncation stands one step beyond the weakest truncation.
    beyond = known[-1] + (known[-1] - known[-2] if len(known) > 1 else 0.1) if known else 0.0
    return [beyond if p.truncation is None else p.truncation for p in curve.points]


def _draw_panel(axes: Axes, curve: Curve, across: str, up: str) -> None:
    horizontal, vertical = _values(curve, across), _values(curve, up)
    axes.plot(horizontal, vertical, marker="o", markersize=4)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    axes.margins(0.1)
    every = -(-len(curve.points) // LABELS)
    for number, (point, x, y) in enumerate(zip(curve.points, horizontal, vertical, strict=True)):
        if number % every == 0 or number == len(curve.points) - 1:
            label = "none" if point.truncation is None else f"{point.truncation:.3g}"
            axes.annotate(
                label, (x, y), xytext=(4, 4), textcoords="offset points", fontsize="small"
            )
