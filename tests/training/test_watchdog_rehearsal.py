"""A training of real networks that collapses on purpose, and ends well after a rollback."""

from __future__ import annotations

import pathlib

import pytest

from tests.training.test_loop_resume import tensors
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.store.checkpoints import checkpoint_iterations
from tf_biggan.training import loop
from tf_biggan.training.logs import read_metrics

TRAINED = str(pathlib.Path(__file__).parents[1] / "trained_digits")
EVERY, ITERATIONS = 5, 60
SETTINGS = dict(
    init_from=TRAINED,
    # Fifty times those of the quickstart.
    g_learning_rate=2.5e-2,
    d_learning_rate=5e-2,
    d_channels=4,
    global_batch_size=16,
    ema_decay=0.8,
    log_every=EVERY,
    sigma_every=EVERY,
    sample_every=0,
    save_every=EVERY,
    keep_checkpoints=100,
    eval_every=EVERY,
    eval_images=300,
)


def distances(run):
    entries = read_metrics(str(run))
    return {e["iteration"]: e["classifier_fid"] for e in entries if "classifier_fid" in e}


def iterations_of(run, name):
    return [entry["iteration"] for entry in read_metrics(str(run)) if name in entry]


@pytest.mark.slow
def test_a_collapse_on_purpose_is_noticed_and_rolled_back(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(tmp_path / "cache"))
    steps = []
    compiled = loop.compiled_step
    monkeypatch.setattr(
        loop, "compiled_step", lambda *args: steps.append(compiled(*args)) or steps[-1]
    )

    def train(name, num_iterations=ITERATIONS, **settings):
        values = {**SETTINGS, **settings, "num_iterations": num_iterations}
        loop.train(TrainConfig.from_flat(values), str(tmp_path / name))
        return distances(tmp_path / name)

    warned = train("warned")
    best = min(warned.values())
    (first, *_) = (at for at, value in warned.items() if value > 2 * best and at > EVERY)
    assert iterations_of(tmp_path / "warned", "collapse_sign")[0] == first + EVERY
    assert warned[ITERATIONS] > 3 * best

    settings = dict(on_collapse="rollback", rollback_rate_factor=0.01)
    rolled = train("rolled", **settings)
    assert iterations_of(tmp_path / "rolled", "rollback") == [first + EVERY + 1]
    assert rolled[first + EVERY] == warned[first + EVERY]
    assert rolled[ITERATIONS] < 1.5 * best < warned[ITERATIONS]
    (kept,) = checkpoint_iterations(str(tmp_path / "rolled" / "best-classifier_fid"))
    assert rolled[kept] == min(rolled.values()) <= best
    # The rollback compiled nothing.
    assert steps[-1].experimental_get_tracing_count() == 1

    # A run that is interrupted right before or after the rollback is the same run.
    for stop in (first + EVERY, first + EVERY + 2):
        train(f"stopped {stop}", stop, **settings)
        train(f"stopped {stop}", **settings)
        whole, other = (
            tensors(tmp_path / name, ITERATIONS) for name in ("rolled", f"stopped {stop}")
        )
        assert set(whole) == set(other)
        assert all((whole[name] == other[name]).all() for name in whole)
