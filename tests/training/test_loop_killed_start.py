"""A run that is killed at any change of its files resumes with the same command."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.killed_files import every_moment
from tests.store.test_checkpoints import State
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.training import loop, start
from tf_biggan.training import scores as evaluation
from tf_biggan.training.logs import read_metrics

# TensorFlow's functions that change files.
BY_TENSORFLOW = (
    (tf.io, "TFRecordWriter"),
    (tf.train.Checkpoint, "write"),
)
SETTINGS = dict(save_every=1, log_every=1, sigma_every=0, keep_checkpoints=1)
CASES = [
    pytest.param(dict(num_iterations=1, eval_every=1, sample_every=0), id="short"),
    pytest.param(
        dict(num_iterations=3, eval_every=2, sample_every=2),
        id="with sheets",
        marks=pytest.mark.slow,
    ),
]


class FakeGenerator:
    """Has the sizes of a generator and makes black images."""

    image_size, image_channels, latent_dim = (32, 32), 1, 4
    trainable_variables = ()

    def __call__(self, z, labels=None, truncation=None, training=False):
        return tf.zeros((len(z), 32, 32, 1))


class FakeState(State):
    """A replacement for a `TrainState` without networks."""

    generator = average = discriminator = FakeGenerator()


class FakeInitialization:
    """A replacement for the source that a run starts from."""

    def describe(self):
        return ("Starting from a model",)

    def record(self):
        return {"source": {"path": "m"}, "classes": {}}


def compile_iterations(strategy, state, *rest):
    def step(batches, count):
        state.move_to(int(state.iteration.numpy()) + int(count))
        loss = state.weights.numpy()[:1]
        return dict(d_loss_real=loss, d_loss_fake=loss, g_loss=loss)

    return step


class FakeEvaluation(evaluation.RunEvaluation):
    """Keeps every checkpoint as the best one."""

    def __init__(self, config, run_dir, strategy, source, state, iteration, writes):
        self._config, self._run_dir, self._state, self._writes = config, run_dir, state, writes
        self._class_names, self._kept, self.scored_as = source.class_names, {}, "x"
        self.notes = ()

    def scores(self):
        self._keep("fid")
        return {"fid": 1.0 / int(self._state.iteration.numpy())}, ()


@pytest.fixture
def train(monkeypatch):
    """The loop without networks, data and steps: what is left is what it does to files."""
    monkeypatch.setattr(loop, "create_state", lambda *_: FakeState())
    monkeypatch.setattr(start, "compile_iterations", compile_iterations)
    monkeypatch.setattr(start, "input_sampler", lambda *_: None)
    monkeypatch.setattr(start, "distribute", lambda *_, **__: ())
    monkeypatch.setattr(start, "begin", lambda config, *_: (config, FakeInitialization()))
    monkeypatch.setattr(loop, "RunEvaluation", FakeEvaluation)
    digits = start.open_source("digits")
    monkeypatch.setattr(start, "open_source", lambda *_, **__: digits)

    def train(run, **settings):
        return loop.train(TrainConfig.from_flat({**SETTINGS, **settings}), str(run))

    return train


def content(run):
    """Returns everything that a run stores, by file name."""
    made = {}
    for folder, _, names in os.walk(run):
        for name in names:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, run)
            if name.endswith(".json"):
                made[key] = open(path).read()
            elif name.endswith(".index"):
                reader = tf.train.load_checkpoint(path.removesuffix(".index"))
                names = reader.get_variable_to_shape_map()
                made[key] = [
                    np.asarray(reader.get_tensor(n)).tolist()
                    for n in sorted(names)
                    if "OBJ" not in n
                ]
            elif name == "metrics.jsonl":
                lines = read_metrics(folder)
                made[key] = [{**line, "seconds": 0, "images_per_second": 0} for line in lines]
            else:
                made[re.sub(r"tfevents.*", "tfevents", key)] = None
    return made


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
