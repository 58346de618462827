"""Scores as a table, JSON and CSV; files are written completely, and earlier scores are kept."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from tf_biggan.evaluation import score_files
from tf_biggan.evaluation.evaluator import Scores
from tf_biggan.evaluation.score_files import write_scores
from tf_biggan.evaluation.truncation_curve import Curve, Point


def scores(**more):
    values = {"fid": 12.34567, "is": 8.0, "is_std": 0.25}
    return Scores(values=values, intervals={"fid": (12.0, 13.0)}, notes=["Few."], **more)


def test_the_table_has_a_line_for_a_score():
    by_class = {"cat": 0.5, "dog": 1.0}
    assert list(score_files.table(scores(per_class={"accuracy": by_class}), 2)) == [
        "fid     12.35  (95 %: 12.00 to 13.00)",
        "is      8.00 +- 0.25",
        "accuracy by class: cat 0.500, dog 1.000",
    ]


def test_many_classes_are_summed_up():
    by_class = {str(number): number / 100 for number in range(101)}
    lines = list(score_files.table(Scores(per_class={"accuracy": by_class}), 2))
    assert lines == ["accuracy by class: lowest 0.000 (0), median 0.500, highest 1.000 (100)"]


def test_the_file_says_how_scores_were_made(tmp_path):
    made = scores(images={"count": 5}, reference={"images": "digits"})
    curve = Curve([Point(None, made.values)], None)
    text = score_files.to_json(made, {"name": "paper"}, curve)
    content = json.loads(text)
    assert content["scores"] == made.values and content["intervals"] == {"fid": [12.0, 13.0]}
    assert content["curve"] == curve.to_dict() and content["notes"] == ["Few."]
    protocol = content["protocol"]
    assert protocol["images"] == {"count": 5} and protocol["name"] == "paper"
    assert {"tensorflow", "keras", "numpy", "python", "tf_biggan"} == set(protocol["versions"])
    assert "curve" not in json.loads(score_files.to_json(made, {}))
    path = tmp_path / "new" / "scores.json"
    score_files.write_text(str(path), text)
    assert path.read_text() == text and len(list(path.parent.iterdir())) == 1


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        score_files.write_text(str(tmp_path / "file" / "scores.json"), "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


PROTOCOL = {"name": "tf_biggan"}


def scores_of_run(fid=12.5, iteration=100):
    model = {"path": "runs/a", "weights": "ema", "iteration": iteration}
    return Scores(
        values={"fid": fid, "is": 8.0, "is_std": 0.25},
        intervals={"fid": (12.0, 13.0)},
        images={"count": 70, "seed": 0, "truncation": None, "model": model},
        reference={"images": "digits", "count": 60},
    )


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_row_for_every_score(tmp_path):
    path = tmp_path / "new" / "scores.json"
    lines = write_scores(str(path), scores_of_run(), PROTOCOL, "title")
    assert lines == [f"Written: {path}, {tmp_path}/new/scores.csv"]
    fid, inception = rows(tmp_path / "new" / "scores.csv")
    assert (fid["score"], fid["value"], fid["std"], fid["low"], fid["high"]) == (
        *("fid", "12.5", ""),
        *("12.0", "13.0"),
    )
    assert (inception["score"], inception["std"]) == ("is", "0.25")
    for name, value in (("model", "runs/a"), ("iteration", "100"), ("images", "70")):
        assert fid[name] == inception[name] == value
    assert (fid["reference"], fid["reference_images"], fid["truncation"]) == ("digits", "60", "")


def curve(names):
    points = [
        Point(t, {"fid": 5.0, "is": v, "precision": v / 10}) for t, v in ((0.5, 3.0), (None, 2.0))
    ]
    return Curve(points, names, None, "resample")


def test_a_row_for_every_truncation_of_a_curve(tmp_path):
    path = tmp_path / "scores.json"
    write_scores(str(path), scores_of_run(), PROTOCOL, "title", curve(("fid", "is")))
    first, last = rows(tmp_path / "scores.csv")
    assert list(first)[:4] == ["truncation", "fid", "is", "precision"]
    assert (first["truncation"], first["precision"], last["truncation"]) == ("0.5", "0.3", "")
    assert (first["truncation_mode"], last["truncation_mode"]) == ("resample", "")
    stored = json.loads(path.read_text())["curve"]
    assert stored["points"][0] == {"truncation": 0.5, "fid": 5.0, "is": 3.0, "precision": 0.3}
    assert stored["columns"]["max IS"]["is"] == 3.0 and stored["truncation_mode"] == "resample"
    # One panel shows the distance over the score, one the precision over the truncation.
    assert Image.open(tmp_path / "scores.png").size == (1440, 480)
    assert names(tmp_path) == {"scores.json", "scores.csv", "scores.png"}


def test_earlier_scores_are_kept_and_the_same_are_not_kept_twice(tmp_path):
    path = str(tmp_path / "scores.json")
    write_scores(path, scores_of_run(1.0), PROTOCOL, "", curve(None))
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    again = write_scores(path, scores_of_run(1.0), PROTOCOL, "", curve(None))
    assert len(again) == 1 and names(tmp_path) == set(before)
    lines = write_scores(path, scores_of_run(2.0), PROTOCOL, "")
    assert lines[0] == f"Earlier scores are kept: {path} is now {tmp_path}/scores-1.json"
    # The chart of the earlier curve is removed, because it does not show the new scores.
    assert names(tmp_path) == {
        *("scores.json", "scores.csv"),
        *("scores-1.json", "scores-1.csv", "scores-1.png"),
    }
    for name, content in before.items():
        assert (tmp_path / name.replace(".", "-1.")).read_bytes() == content
    write_scores(path, scores_of_run(3.0), PROTOCOL, "")
    assert json.loads((tmp_path / "scores-2.json").read_text())["scores"]["fid"] == 2.0
    assert json.loads((tmp_path / "scores.json").read_text())["scores"]["fid"] == 3.0


def test_other_files_of_the_name_are_kept_too(tmp_path):
    (tmp_path / "a[1].json").write_text("[" * 5000)
    (tmp_path / "a[1].csv").write_text("mine")
    write_scores(str(tmp_path / "a[1].json"), scores_of_run(), PROTOCOL, "")
    assert (tmp_path / "a[1]-1.csv").read_text() == "mine"
    assert (tmp_path / "a[1]-1.json").read_text() == "[" * 5000
