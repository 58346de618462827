"""Scores as a table and as JSON, and files that are never half written."""

from __future__ import annotations

import json

import pytest

from tf_biggan.evaluation import report
from tf_biggan.evaluation.evaluator import Scores
from tf_biggan.evaluation.truncation_curve import Curve, Point


def scores(**more):
    values = {"fid": 12.34567, "is": 8.0, "is_std": 0.25}
    return Scores(values=values, intervals={"fid": (12.0, 13.0)}, notes=["Few."], **more)


def test_the_table_has_a_line_for_a_score():
    by_class = {"cat": 0.5, "dog": 1.0}
    assert list(report.table(scores(per_class={"accuracy": by_class}), 2)) == [
        "fid     12.35  (95 %: 12.00 to 13.00)",
        "is      8.00 +- 0.25",
        "accuracy by class: cat 0.500, dog 1.000",
    ]


def test_many_classes_are_summed_up():
    by_class = {str(number): number / 100 for number in range(101)}
    lines = list(report.table(Scores(per_class={"accuracy": by_class}), 2))
    assert lines == ["accuracy by class: lowest 0.000 (0), median 0.500, highest 1.000 (100)"]


def test_the_file_says_how_scores_were_made(tmp_path):
    made = scores(images={"count": 5}, reference={"images": "digits"})
    curve = Curve([Point(None, made.values)], None)
    text = report.to_json(made, {"name": "paper"}, curve)
    content = json.loads(text)
    assert content["scores"] == made.values and content["intervals"] == {"fid": [12.0, 13.0]}
    assert content["curve"] == curve.to_dict() and content["notes"] == ["Few."]
    protocol = content["protocol"]
    assert protocol["images"] == {"count": 5} and protocol["name"] == "paper"
    assert {"tensorflow", "keras", "numpy", "python", "tf_biggan"} == set(protocol["versions"])
    assert "curve" not in json.loads(report.to_json(made, {}))
    path = tmp_path / "new" / "scores.json"
    report.write_text(str(path), text)
    assert path.read_text() == text and len(list(path.parent.iterdir())) == 1


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        report.write_text(str(tmp_path / "file" / "scores.json"), "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
