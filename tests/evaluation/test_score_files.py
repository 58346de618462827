"""Files of an evaluation: a table beside the JSON, and earlier scores that stay."""

from __future__ import annotations

import csv
import json

from PIL import Image

from tf_biggan.evaluation.evaluator import Scores
from tf_biggan.evaluation.score_files import write_scores
from tf_biggan.evaluation.truncation_curve import Curve, Point

PROTOCOL = {"name": "tf_biggan"}


def scores(fid=12.5, iteration=100):
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
    lines = write_scores(str(path), scores(), PROTOCOL, "title")
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
    write_scores(str(path), scores(), PROTOCOL, "title", curve(("fid", "is")))
    first, last = rows(tmp_path / "scores.csv")
    assert list(first)[:4] == ["truncation", "fid", "is", "precision"]
    assert (first["truncation"], first["precision"], last["truncation"]) == ("0.5", "0.3", "")
    assert (first["truncation_mode"], last["truncation_mode"]) == ("resample", "")
    stored = json.loads(path.read_text())["curve"]
    assert stored["points"][0] == {"truncation": 0.5, "fid": 5.0, "is": 3.0, "precision": 0.3}
    assert stored["columns"]["max IS"]["is"] == 3.0 and stored["truncation_mode"] == "resample"
    # One panel of distance over score, one of precision over truncation.
    assert Image.open(tmp_path / "scores.png").size == (1440, 480)
    assert names(tmp_path) == {"scores.json", "scores.csv", "scores.png"}


def test_earlier_scores_are_kept_and_the_same_are_not_kept_twice(tmp_path):
    path = str(tmp_path / "scores.json")
    write_scores(path, scores(1.0), PROTOCOL, "", curve(None))
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    again = write_scores(path, scores(1.0), PROTOCOL, "", curve(None))
    assert len(again) == 1 and names(tmp_path) == set(before)
    lines = write_scores(path, scores(2.0), PROTOCOL, "")
    assert lines[0] == f"Earlier scores are kept: {path} is now {tmp_path}/scores-1.json"
    # The chart of the earlier curve does not stay beside scores that it does not show.
    assert names(tmp_path) == {
        *("scores.json", "scores.csv"),
        *("scores-1.json", "scores-1.csv", "scores-1.png"),
    }
    for name, content in before.items():
        assert (tmp_path / name.replace(".", "-1.")).read_bytes() == content
    write_scores(path, scores(3.0), PROTOCOL, "")
    assert json.loads((tmp_path / "scores-2.json").read_text())["scores"]["fid"] == 2.0
    assert json.loads((tmp_path / "scores.json").read_text())["scores"]["fid"] == 3.0


def test_other_files_of_the_name_are_kept_too(tmp_path):
    (tmp_path / "a[1].json").write_text("[" * 5000)
    (tmp_path / "a[1].csv").write_text("mine")
    write_scores(str(tmp_path / "a[1].json"), scores(), PROTOCOL, "")
    assert (tmp_path / "a[1]-1.csv").read_text() == "mine"
    assert (tmp_path / "a[1]-1.json").read_text() == "[" * 5000
