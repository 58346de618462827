"""The paper's four operating points from a curve, and its chart."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from PIL import Image

from tf_biggan.evaluation.truncation_curve import COLUMNS, Curve, Point, chart, save_chart

# With stronger truncation, the score rises, and the distance first falls and then rises.
VALUES = [(0.2, 25.0, 200.0), (0.4, 9.0, 180.0), (0.8, 7.5, 120.0), (None, 8.5, 100.0)]
POINTS = [Point(t, {"fid": fid, "is": score, "is_std": 1.0}) for t, fid, score in VALUES]
CURVE = Curve(POINTS, ("fid", "is"), 150.0)
PRECISION = [
    Point(p.truncation, {"precision": p.scores["is"] / 200, "recall": p.scores["fid"] / 25})
    for p in POINTS
]


def with_valid(score):
    return dataclasses.replace(CURVE, valid_score=score)


def test_four_columns():
    found = CURVE.columns()
    assert tuple(found) == COLUMNS
    assert found["no truncation"] == POINTS[3] and found["min FID"] == POINTS[2]
    assert found["max IS"] == POINTS[0]
    # The valid score is halfway between 120 and 180.
    middle = found["FID at valid IS"]
    assert middle.truncation == pytest.approx(0.6) and middle.scores["is"] == 150
    assert middle.scores["fid"] == pytest.approx((7.5 + 9.0) / 2)


def test_the_valid_score_may_lie_beside_the_curve_or_be_unknown():
    assert with_valid(300.0).columns()["FID at valid IS"] is None
    assert with_valid(None).columns()["FID at valid IS"] is None
    # There is no number to interpolate between no truncation and the weakest truncation.
    assert with_valid(110.0).columns()["FID at valid IS"].truncation == 0.8
    lines = list(with_valid(300.0).table())
    assert len(lines) == 1 + 4 + 4
    text = "fid at valid is: the curve does not reach the score of the real images, 300.0000"
    assert text in lines
    unknown = "fid at valid is: the score of the real images is unknown (--valid_score)"
    assert unknown in with_valid(None).table()
    assert "min fid: 7.5000/120.0000 (truncation 0.8)" in lines


def test_other_scores_have_columns_and_no_operating_points():
    curve = Curve(PRECISION, None)
    assert curve.columns() == {} and curve.to_dict()["columns"] == {}
    lines = list(curve.table())
    assert lines[0].split() == ["truncation", "precision", "recall"]
    assert lines[1].split() == ["0.2", "1.0000", "1.0000"] and len(lines) == 5


@pytest.mark.parametrize(
    ("curve", "panels"),
    [
        (CURVE, 1),
        (dataclasses.replace(CURVE, points=POINTS[:1]), 1),
        (Curve(PRECISION, None), 2),
        (Curve(PRECISION[-1:], None), 2),
        (Curve([Point(1.0, {"accuracy": 0.5, "held_out_accuracy": 0.9})], None), 1),
        (
            Curve(
                [
                    Point(a.truncation, {**a.scores, **b.scores})
                    for a, b in zip(POINTS, PRECISION, strict=True)
                ],
                ("fid", "is"),
            ),
            3,
        ),
    ],
    ids=["paper", "one point", "two others", "no truncation", "constant", "all"],
)
def test_a_chart(curve, panels, tmp_path):
    figure = chart(curve, "runs/$a$b")
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == panels and figure.get_suptitle() == "runs/$a$b"
    for axes in shown:
        (line,) = axes.lines
        values = [point.scores[axes.get_ylabel()] for point in curve.points]
        assert list(line.get_ydata()) == values
        labels = [text.get_text() for text in axes.texts]
        assert len(labels) == len(values)
        assert (labels[-1] == "none") == (curve.points[-1].truncation is None)
    if curve.names:
        assert (shown[0].get_xlabel(), shown[0].get_ylabel()) == ("is", "fid")
    paths = tmp_path / "a.png", tmp_path / "b.png"
    for path in paths:
        save_chart(curve, "runs/$\\a$", str(path))
    with Image.open(paths[0]) as page:
        assert page.format == "PNG" and page.width == 720 * min(panels, 2)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_charts_use_no_window_and_no_global_state(tmp_path):
    code = (
        "import sys\n"
        "from tf_biggan.evaluation.truncation_curve import Curve, Point, save_chart\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"save_chart(Curve([Point(1.0, {{'fid': 1.0}})], None), 'x', {str(tmp_path / 'x.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
