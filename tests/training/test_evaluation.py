"""Scores during training: logged, the best checkpoints kept, and the run itself left alone."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.training.test_loop import config
from tests.training.test_resume import tensors
from tf_biggan.evaluation import classifier
from tf_biggan.open_model import open_model
from tf_biggan.training import evaluation
from tf_biggan.training.evaluation import _best_until
from tf_biggan.training.logs import read_metrics
from tf_biggan.training.loop import train
from tf_biggan.training.restored import checkpoint_iterations

QUICK = functools.partial(classifier.ClassifierSettings, channels=(8, 8), updates=(30, 30))
SETTINGS = dict(
    save_every=2, sample_every=0, sigma_every=0, log_every=1, ema_decay=0.5, eval_images=70
)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr(classifier, "ClassifierSettings", QUICK)


def scored(path):
    return {line["iteration"]: line for line in read_metrics(path) if "classifier_fid" in line}


def test_a_run_is_scored_and_keeps_its_best(tmp_path, capsys, monkeypatch):
    run = str(tmp_path / "run")
    train(config(num_iterations=4, eval_every=2, **SETTINGS), run)
    lines = scored(run)
    assert sorted(lines) == [2, 4]
    for line in lines.values():
        assert all(np.isfinite(value) for value in line.values())
        assert {"classifier_fid", "classifier_score", "accuracy", "held_out_accuracy"} <= set(line)
    assert "Scores at iteration 4: classifier_fid" in capsys.readouterr().out

    for name, choose in (("classifier_fid", min), ("classifier_score", max)):
        best = choose(lines, key=lambda iteration: lines[iteration][name])
        folder = f"{run}/best-{name}"
        assert checkpoint_iterations(folder) == [best]
        opened = open_model(folder)
        assert opened.description["iteration"] == best and opened.class_names[3] == "3"
        assert _best_until(run, 4, {name: choose is min})[name] == lines[best][name]
    # What came after the checkpoint that a run goes on from does not count.
    assert (
        _best_until(run, 3, {"classifier_fid": True})["classifier_fid"]
        == (lines[2]["classifier_fid"])
    )

    # A finished run that goes on knows what was best: nothing is kept that is worse.
    worse = dict(classifier_fid=1e9, classifier_score=0.0)
    monkeypatch.setattr(
        evaluation.Evaluator,
        "scores",
        lambda *args, **kwargs: evaluation_scores(worse),
    )
    train(config(num_iterations=6, eval_every=2, **SETTINGS), run)
    assert checkpoint_iterations(f"{run}/best-classifier_fid")[0] <= 4
    assert sorted(scored(run)) == [2, 4, 6]


def evaluation_scores(values):
    from tf_biggan.evaluation.evaluator import Scores

    return Scores(values=dict(values))


def test_evaluation_moves_nothing(tmp_path):
    plain, evaluated = str(tmp_path / "plain"), str(tmp_path / "evaluated")
    train(config(num_iterations=2, **SETTINGS), plain)
    train(config(num_iterations=2, eval_every=1, **SETTINGS), evaluated)
    one, two = tensors(plain, 2), tensors(evaluated, 2)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_what_cannot_be_scored_ends_the_run_before_it_begins(tmp_path):
    with pytest.raises(ValueError, match="An extractor must be"):
        train(config(eval_every=1, eval_extractor="nothing", **SETTINGS), str(tmp_path / "run"))
    assert not tf.io.gfile.glob(str(tmp_path / "run" / "checkpoints" / "*"))
