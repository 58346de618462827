"""The training loop without networks, data and steps: what is left is what it does to files."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.store.test_checkpoints import State
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.training import loop, start
from tf_biggan.training import scores as evaluation
from tf_biggan.training.logs import read_metrics

SETTINGS = dict(save_every=1, log_every=1, sigma_every=0, keep_checkpoints=1)


class FakeGenerator:
    """Has the sizes of a generator and makes black images."""

    image_size, image_channels, latent_dim = (32, 32), 1, 4
    trainable_variables = variables = ()

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

    kept_scores = ("fid",)

    def __init__(self, config, run_dir, strategy, source, state, iteration, writes):
        self._config, self._run_dir, self._state, self._writes = config, run_dir, state, writes
        self._class_names, self._kept, self.scored_as = source.class_names, {}, "x"
        self.notes = ()

    def scores(self):
        self._keep("fid")
        return {"fid": 1.0 / int(self._state.iteration.numpy())}, ()


def replace_networks(monkeypatch: pytest.MonkeyPatch):
    """Replaces networks and data until the end of the test; returns a function that trains."""
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
