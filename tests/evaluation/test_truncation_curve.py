"""The paper's four columns from a curve, and its chart."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.evaluation.curve_chart import SIZE, chart
from tf_biggan.evaluation.truncation_curve import COLUMNS, Point, columns, table

# As truncation grows stronger the score rises; the distance falls, then rises.
CURVE = [
    Point(0.2, 25.0, 200.0),
    Point(0.4, 9.0, 180.0),
    Point(0.8, 7.5, 120.0),
    Point(None, 8.5, 100.0),
]
NAMES = ("fid", "is")


def test_four_columns():
    found = columns(CURVE, 150.0)
    assert tuple(found) == COLUMNS
    assert found["no truncation"] == CURVE[3] and found["min FID"] == CURVE[2]
    assert found["max IS"] == CURVE[0]
    # Half way from 120 to 180.
    middle = found["FID at valid IS"]
    assert middle.truncation == pytest.approx(0.6) and middle.score == 150
    assert middle.fid == pytest.approx((7.5 + 9.0) / 2)


def test_the_valid_score_may_lie_beside_the_curve_or_be_unknown():
    assert columns(CURVE, 300.0)["FID at valid IS"] is None
    assert columns(CURVE, None)["FID at valid IS"] is None
    # Between no truncation and the weakest one there is no number to go between.
    assert columns(CURVE, 110.0)["FID at valid IS"].truncation == 0.8
    lines = list(table(CURVE, columns(CURVE, 300.0), NAMES))
    assert len(lines) == 1 + 4 + 4 and "fid at valid is: not on the curve" in lines
    assert "min fid: 7.5000/120.0000 (truncation 0.8)" in lines


@pytest.mark.parametrize("curve", [CURVE, CURVE[:1]], ids=["four points", "one point"])
def test_a_chart(curve):
    page = chart(curve, NAMES, "model")
    assert page.size == SIZE and page.mode == "RGB"
    colours = {tuple(c) for c in np.asarray(page).reshape(-1, 3)}
    assert (31, 95, 168) in colours and (255, 255, 255) in colours
