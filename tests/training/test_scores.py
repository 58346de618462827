"""Scores during training are logged, the best checkpoints are kept, and the run is not changed."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from tests.training.test_loop import config
from tf_biggan.data.schemes import open_source
from tf_biggan.evaluation.evaluator import Scores
from tf_biggan.evaluation.features import classifier
from tf_biggan.store.run_directory import read_initialization, write_initialization
from tf_biggan.training.loop import train
from tf_biggan.training.scores import RunEvaluation, _is_better
from tf_biggan.training.start import create_state

QUICK = functools.partial(classifier.ClassifierSettings, channels=(8, 8), updates=(30, 30))
SETTINGS = dict(save_every=2, sample_every=0, sigma_every=0, log_every=1, eval_images=70)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr(classifier, "ClassifierSettings", QUICK)


@pytest.fixture(scope="module")
def state():
    return create_state(config(num_classes=10))


def evaluation_of(state, run_dir, iteration=0, **changes):
    settings = config(num_classes=10, eval_every=1, **{**SETTINGS, **changes})
    strategy = tf.distribute.get_strategy()
    source = open_source("digits")
    return RunEvaluation(settings, str(run_dir), strategy, source, state, iteration, True)


def test_evaluation_moves_nothing(state, tmp_path):
    evaluation = evaluation_of(state, tmp_path)
    networks = (state.generator, state.average, state.discriminator)
    variables = [v for network in networks for v in network.variables]
    before = [np.asarray(variable).copy() for variable in variables]
    first, notes = evaluation.scores()
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)
    # Equal weights have equal scores, and other weights have others.
    assert evaluation.scores() == (first, ())  # Each note is printed once.
    assert all("too few for" not in note for note in notes)
    state.average.output_norm.gain.assign(0.1 * np.asarray(state.average.output_norm.gain))
    assert evaluation.scores()[0]["classifier_fid"] != first["classifier_fid"]


def test_what_was_best_before_a_restart_stays_the_best(state, tmp_path, monkeypatch):
    record = {"source": {"path": "models/x"}}
    write_initialization(str(tmp_path), record)
    own = evaluation_of(state, tmp_path).scored_as
    lines = [
        {"iteration": 1, "classifier_fid": 0.5, "classifier_score": 9.0, "scored_as": "other"},
        {"iteration": 1, "classifier_fid": 9.0, "classifier_score": 2.0, "scored_as": own},
        {"iteration": 2, "classifier_fid": 5.0, "classifier_score": None, "scored_as": own},
        {"iteration": 3, "classifier_fid": 1.0, "classifier_score": 8.0, "scored_as": own},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    # The checkpoint is of iteration 2, so later scores are computed again.
    evaluation = evaluation_of(state, tmp_path, iteration=2)
    scores = {}
    monkeypatch.setattr(
        evaluation._evaluator, "scores", lambda *args, **kwargs: Scores(values=dict(scores))
    )
    for fid, score, kept in ((6.0, 1.0, set()), (4.0, 1.0, {"fid"}), (7.0, 3.0, {"fid", "score"})):
        scores |= dict(classifier_fid=fid, classifier_score=score)
        evaluation.scores()
        assert {path.name for path in tmp_path.glob("best-*")} == {
            f"best-classifier_{name}" for name in kept
        }
    # The record of the source is copied too.
    assert read_initialization(str(tmp_path / "best-classifier_fid")) == record


@pytest.mark.parametrize("less", [True, False])
def test_a_score_that_is_not_finite_is_never_the_best(less):
    for value in (float("nan"), float("inf"), -float("inf")):
        assert not _is_better(value, None, less) and not _is_better(value, 4.0, less)
    assert _is_better(5.0, None, less) and _is_better(5.0, 4.0, less) != less


def test_what_is_left_out_is_told_before_training(state, tmp_path):
    notes = evaluation_of(state, tmp_path, eval_images=9).notes
    assert notes == (
        "No is during training: needs at least 10 generated images, one for each split, and there"
        " are 9 (--eval_images).",
    )
    assert evaluation_of(state, tmp_path).notes == ()


def test_a_reference_that_does_not_exist_ends_the_run_before_a_classifier_is_trained(
    state, tmp_path, monkeypatch
):
    monkeypatch.setattr(classifier, "classifier_of", None)
    with pytest.raises(ValueError, match=r"does not exist: 'nowhere\.npz'"):
        evaluation_of(state, tmp_path, eval_reference="nowhere.npz")


def test_what_cannot_be_scored_ends_the_run_before_it_begins(tmp_path):
    with pytest.raises(ValueError, match="There is no feature extractor"):
        train(config(eval_every=1, eval_extractor="nothing", **SETTINGS), str(tmp_path / "run"))
    assert not tf.io.gfile.glob(str(tmp_path / "run" / "checkpoints" / "*"))
