"""A run that is killed at any change of its files resumes with the same command."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from tests.killed_files import every_moment
from tests.training.loop_without_networks import content, replace_networks

# TensorFlow's functions that change files.
BY_TENSORFLOW = (
    (tf.io, "TFRecordWriter"),
    (tf.train.Checkpoint, "write"),
)
CASES = [
    pytest.param(dict(num_iterations=1, eval_every=1, sample_every=0), id="short"),
    pytest.param(
        dict(num_iterations=3, eval_every=2, sample_every=2),
        id="with sheets",
        marks=pytest.mark.slow,
    ),
]


@pytest.fixture
def train(monkeypatch):
    return replace_networks(monkeypatch)


@pytest.mark.parametrize("settings", CASES)
def test_a_run_killed_at_any_change_of_a_file_goes_on(train, tmp_path, settings):
    train(tmp_path / "whole", **settings)
    whole = content(tmp_path / "whole")
    assert {"config.json", "classes.json", "data.json", "initialization.json"} < set(whole)
    assert f"checkpoints/iteration-{settings['num_iterations']}.index" in whole
    assert json.loads(whole["best-fid/config.json"])
    # The last iteration is scored, whatever the period.
    assert f"best-fid/checkpoints/iteration-{settings['num_iterations']}.index" in whole
    killed = lambda moment: train(tmp_path / str(moment), **settings)  # noqa: E731
    count = 0
    for moment in every_moment(killed, BY_TENSORFLOW):
        train(tmp_path / str(moment), **settings)
        assert content(tmp_path / str(moment)) == whole, moment
        count += 1
    assert count > 40


def test_a_folder_with_something_else_is_still_refused(train, tmp_path):
    for name in ("classes.json", "config.json.bak", "x.1.tmp"):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(ValueError, match=r"`run_dir` must be a new or empty folder, or a run"):
            train(folder)
        assert (folder / name).read_text() == "mine"
