"""Answers to a collapse: what is printed, logged, saved and restored, even after a kill."""

from __future__ import annotations

import functools
import json
import math
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.killed_files import every_moment
from tests.training.loop_without_networks import (
    FakeEvaluation,
    FakeState,
    content,
    replace_networks,
)
from tests.training.small_run import SMALL_RUN
from tests.training.test_loop_killed_start import BY_TENSORFLOW
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.store.checkpoints import Checkpoints, UnreadableCheckpoint, checkpoint_iterations
from tf_biggan.training import loop, start
from tf_biggan.training import watchdog as watchdog_module
from tf_biggan.training.logs import read_metrics
from tf_biggan.training.scores import SCORED_AS
from tf_biggan.training.start import create_state
from tf_biggan.training.watchdog import Watchdog

BEST = 16.0


class CollapsingState(FakeState):
    """Has one number, which grows by G's learning rate of 8 in an iteration and is best at 16."""

    def __init__(self):
        super().__init__()
        self.g_optimizer, self.d_optimizer = keras.optimizers.SGD(8.0), keras.optimizers.SGD(1.0)

    def trackables(self):
        optimizers = dict(g_optimizer=self.g_optimizer, d_optimizer=self.d_optimizer)
        return {**super().trackables(), **optimizers}


def grows(strategy, state, *rest):
    def step(batches, count):
        state.iteration.assign_add(int(count))
        rate = float(state.g_optimizer.learning_rate)
        state.weights.assign_add(np.full(1000, rate, np.float32))
        loss = np.array([math.nan if rate * state.iteration.numpy() == POISON else 1.0])
        return dict(d_loss_real=loss, d_loss_fake=loss, g_loss=loss)

    return step


# The learning rate times the iteration at which losses are not finite.
POISON = None


class Distance(FakeEvaluation):
    """The score is the distance from the best number, and 1 at the best."""

    def __init__(self, config, run_dir, strategy, source, state, iteration, writes):
        super().__init__(config, run_dir, strategy, source, state, iteration, writes)
        logged = [e for e in read_metrics(run_dir) if e["iteration"] <= iteration]
        self._least = min((e["fid"] for e in logged if SCORED_AS in e), default=math.inf)

    def scores(self):
        fid = 1.0 + abs(float(self._state.weights[0]) - BEST)
        if fid < self._least:
            self._least = fid
            self._keep("fid")
        return {"fid": fid}, ()


@pytest.fixture
def train(monkeypatch):
    trains = replace_networks(monkeypatch)
    monkeypatch.setattr(loop, "create_state", lambda *_: CollapsingState())
    monkeypatch.setattr(start, "compile_iterations", grows)
    monkeypatch.setattr(loop, "RunEvaluation", Distance)

    def train(run, **settings):
        return trains(run, **{**SETTINGS, **settings})

    return train


SETTINGS = dict(eval_every=1, sample_every=0, on_collapse="rollback", rollback_rate_factor=1 / 64)
# 8 and 16 are best at iteration 2; 24 and 32 are worse; iteration 5 is the rollback.
SCORES = {1: 9.0, 2: 1.0, 3: 9.0, 4: 17.0, 5: 1.0, 6: 1.125, 7: 1.25}


def scores(run):
    return {e["iteration"]: e["fid"] for e in read_metrics(str(run)) if "fid" in e}


def texts(run, name):
    return [(e["iteration"], e[name]) for e in read_metrics(str(run)) if name in e]


def test_a_rollback_goes_on_from_the_best_checkpoint(train, tmp_path, capsys):
    assert train(tmp_path / "run", num_iterations=7)
    assert scores(tmp_path / "run") == SCORES
    assert texts(tmp_path / "run", "collapse_sign") == [(4, "worse fid")]
    ((iteration, sentence),) = texts(tmp_path / "run", "rollback")
    assert iteration == 5 and "checkpoint of iteration 2" in sentence
    assert "learning rates 0.125 and 0.01562 (G and D)" in sentence
    assert capsys.readouterr().out.count(sentence) == 1
    # The best checkpoint is still there, and the learning rates are in the run's own checkpoint.
    stored = content(tmp_path / "run")
    assert checkpoint_iterations(str(tmp_path / "run" / "best-fid")) == [2]
    assert [0.125] in [np.ravel(part).tolist() for part in stored["checkpoints/iteration-7.index"]]


@pytest.mark.parametrize("save_every", [1, 3, 100])
def test_a_run_that_ended_at_any_iteration_rolls_back_alike(train, tmp_path, save_every):
    settings = dict(save_every=save_every)
    train(tmp_path / "whole", num_iterations=7, **settings)
    whole = content(tmp_path / "whole")
    for stop in range(1, 7):
        train(tmp_path / str(stop), num_iterations=stop, **settings)
        train(tmp_path / str(stop), num_iterations=7, **settings)
        made = content(tmp_path / str(stop))
        for name in ("metrics.jsonl", "checkpoints/iteration-7.index"):
            assert made[name] == whole[name], stop


KILLED = [pytest.param(dict(save_every=n), id=f"save_every={n}") for n in (1, 3)]


@pytest.mark.slow
@pytest.mark.parametrize("settings", KILLED)
def test_a_run_killed_at_any_change_of_a_file_rolls_back_alike(train, tmp_path, settings):
    settings = settings | dict(num_iterations=7, keep_checkpoints=2)
    train(tmp_path / "whole", **settings)
    whole, count = content(tmp_path / "whole"), 0
    for moment in every_moment(lambda m: train(tmp_path / str(m), **settings), BY_TENSORFLOW):
        train(tmp_path / str(moment), **settings)
        assert content(tmp_path / str(moment)) == whole, moment
        count += 1
    assert count > 100


def test_the_run_stops_after_the_last_rollback(train, tmp_path):
    """With the same learning rates, the run collapses at iterations 4, 7 and 10."""
    settings = dict(num_iterations=20, rollback_rate_factor=1.0, max_rollbacks=2)
    for _ in range(2):  # The same command stops again, at once.
        with pytest.raises(
            ValueError, match=r"collapsed after 2 rollbacks\. fid has been"
        ) as error:
            train(tmp_path / "run", **settings)
    assert f"from {tmp_path}/run/checkpoints/iteration-10." in str(error.value)
    assert f"--init_from={tmp_path}/run/best-fid starts" in str(error.value)
    assert [at for at, _ in texts(tmp_path / "run", "rollback")] == [5, 8]
    assert [at for at, _ in texts(tmp_path / "run", "collapse_sign")] == [4, 7, 10]
    assert train(tmp_path / "run", num_iterations=12, on_collapse="warn")


def test_stop_saves_and_names_the_best(train, tmp_path):
    settings = dict(num_iterations=9, on_collapse="stop", save_every=100)
    with pytest.raises(ValueError, match=r"^Training collapsed\. fid has .* since iteration 3"):
        train(tmp_path / "run", **settings)
    assert checkpoint_iterations(str(tmp_path / "run")) == [4]
    assert checkpoint_iterations(str(tmp_path / "run" / "best-fid")) == [2]


def test_a_warning_is_given_once(train, tmp_path, capsys):
    train(tmp_path / "run", num_iterations=5, on_collapse="warn")
    train(tmp_path / "run", num_iterations=9, on_collapse="warn")
    assert texts(tmp_path / "run", "collapse_sign") == [(4, "worse fid")]
    assert capsys.readouterr().out.count("Warning at iteration 4: fid has been worse") == 1
    assert scores(tmp_path / "run")[9] == 57.0
    # A collapsed run that resumes with another answer rolls back at once.
    train(tmp_path / "run", num_iterations=12)
    assert [at for at, _ in texts(tmp_path / "run", "rollback")] == [10]
    assert scores(tmp_path / "run")[11] == 1.125


def test_a_loss_that_is_not_finite_is_rolled_back(train, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "POISON", 8 * 3)
    with pytest.raises(ValueError, match="diverged: at iteration 3"):
        train(tmp_path / "stopped", num_iterations=7, on_collapse="stop")
    train(tmp_path / "run", num_iterations=7)
    assert texts(tmp_path / "run", "collapse_sign") == [(3, "not finite")]
    sentence = texts(tmp_path / "run", "collapse_warning")[0][1]
    assert sentence.startswith("Not finite at iteration 3: d_loss_real, d_loss_fake")
    assert scores(tmp_path / "run") == {1: 9.0, 2: 1.0, 4: 1.0, 5: 1.125, 6: 1.25, 7: 1.375}


def test_without_a_best_checkpoint_the_run_goes_on(train, tmp_path, capsys):
    """Before the first evaluation there is nothing to return to."""
    settings = dict(num_iterations=4, on_collapse="rollback", eval_every=100)
    history = [{"iteration": 0, "d_loss_real": 0.0, "d_loss_fake": 0.0}] * 20
    (tmp_path / "run").mkdir()
    train(tmp_path / "run", num_iterations=1, eval_every=100)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    added = "".join(json.dumps(entry) + "\n" for entry in history)
    (tmp_path / "run" / "metrics.jsonl").write_text(lines + added)
    for name in (tmp_path / "run" / "best-fid").rglob("iteration-*"):
        os.remove(name)
    assert train(tmp_path / "run", **settings)
    assert texts(tmp_path / "run", "rollback") == []
    assert texts(tmp_path / "run", "collapse_sign") == [(1, "saturated discriminator")]
    assert capsys.readouterr().out.count("No rollback: there is no best checkpoint") == 1


@pytest.mark.parametrize(
    "replicas", [1, pytest.param(2, marks=pytest.mark.slow)], ids=["one replica", "two replicas"]
)
def test_the_state_after_a_rollback(tmp_path, request, replicas):
    """Everything is that of the best checkpoint but the generator, learning rates and iteration."""
    strategy = tf.distribute.get_strategy()
    if replicas > 1:
        strategy = request.getfixturevalue("mirrored_strategy")
    rates = dict(g_learning_rate=0.25, d_learning_rate=0.5)
    rates |= dict(num_iterations=20, eval_every=1, on_collapse="rollback")
    config = TrainConfig.from_flat(SMALL_RUN | rates | dict(num_classes=10))
    with strategy.scope():
        state = create_state(config)
        for number, variable in enumerate(variables(state)):
            variable.assign(tf.fill(variable.shape, tf.cast(number % 7, variable.dtype)))
        state.iteration.assign(3)
    Checkpoints(state, str(tmp_path / "best-fid"), keep=1).save()
    best = {name: values_of(part) for name, part in state.trackables().items()}
    with strategy.scope():
        for variable in variables(state):
            variable.assign(tf.fill(variable.shape, tf.cast(9, variable.dtype)))
        state.iteration.assign(8)
        state.g_optimizer.learning_rate, state.d_optimizer.learning_rate = 0.25, 0.5
    watchdog = Watchdog(config, str(tmp_path), strategy, state, 8, ("fid",), True)
    for iteration, fid in enumerate((1.0, 9.0, 9.0), 3):
        watchdog.add({"iteration": iteration, "fid": fid, "scored_as": "x"})
    assert watchdog.decision() == "rollback"
    assert "checkpoint of iteration 3 (best-fid)" in watchdog.roll_back(print)
    after = {name: values_of(part) for name, part in state.trackables().items()}
    assert after.pop("iteration") == [9] and best.pop("iteration") == [3]
    assert after.pop("generator") == best["average"] != best.pop("generator")
    for side, rate in (("g", 0.125), ("d", 0.25)):
        assert getattr(state, f"{side}_optimizer").learning_rate.numpy() == rate
    assert after == best


@pytest.mark.parametrize("on_collapse", ["warn", "stop", "rollback"])
@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize("rollbacks", [0, 3])
def test_every_process_decides_as_the_one_that_writes(
    tmp_path, monkeypatch, on_collapse, collapsed, rollbacks
):
    """A worker, which has no log, asks the others as often and gets the same answers."""
    (tmp_path / "best-fid" / "checkpoints").mkdir(parents=True)
    (tmp_path / "best-fid" / "checkpoints" / "iteration-4.index").write_bytes(b"")
    config = TrainConfig.from_flat(dict(eval_every=1, on_collapse=on_collapse))
    asked = {True: [], False: []}

    def decision(writes):
        watchdog = Watchdog(config, str(tmp_path), None, CollapsingState(), 0, ("fid",), writes)
        for iteration in range(rollbacks if writes else 0):
            watchdog.add({"iteration": iteration, "rollback": "x"})
        for iteration, fid in enumerate((1.0, 9.0, 9.0) if collapsed and writes else (), 4):
            watchdog.add({"iteration": iteration, "fid": fid, "scored_as": "x"})
        monkeypatch.setattr(watchdog_module, "any_process", functools.partial(answer, writes))
        return watchdog.decision()

    def answer(writes, strategy, flag):
        place = len(asked[writes])
        asked[writes].append(flag)
        # The worker's answer is that of both.
        return flag if writes else flag or asked[True][place]

    expected = {"warn": "warn", "stop": "stop", "rollback": "stop" if rollbacks else "rollback"}
    chief, worker = decision(True), decision(False)
    assert chief == worker == (expected[on_collapse] if collapsed else "warn")
    # Whether there is a collapse; whether to stop; whether a checkpoint is from before it.
    questions = 0 if on_collapse == "warn" else 1 + collapsed * (2 if chief == "rollback" else 1)
    assert len(asked[True]) == len(asked[False]) == questions


def test_a_checkpoint_from_within_the_collapse_is_none_to_return_to(tmp_path, monkeypatch):
    """By the distance the best one is too late, as after a kill; that of the other score counts."""
    monkeypatch.setattr(watchdog_module, "any_process", lambda strategy, flag: flag)
    config = TrainConfig.from_flat(dict(eval_every=1, on_collapse="rollback"))
    names = ("fid", "is")
    watchdog = Watchdog(config, str(tmp_path), None, CollapsingState(), 0, names, True)
    for iteration, fid in enumerate((1.0, 9.0, 9.0), 4):
        watchdog.add({"iteration": iteration, "fid": fid, "scored_as": "x"})
    for name, iteration, expected in (("fid", 5, "warn"), ("is", 4, "rollback")):
        folder = tmp_path / f"best-{name}" / "checkpoints"
        folder.mkdir(parents=True)
        (folder / f"iteration-{iteration}.index").write_bytes(b"")
        assert watchdog.decision() == expected


def test_a_damaged_best_checkpoint_gives_way_to_that_of_the_next_score(tmp_path):
    strategy, state, lines = tf.distribute.get_strategy(), CollapsingState(), []
    fill = lambda value: state.weights.assign(np.full(1000, value, np.float32))  # noqa: E731
    for name, iteration in (("fid", 3), ("is", 2)):
        state.iteration.assign(iteration)
        fill(iteration)
        Checkpoints(state, str(tmp_path / f"best-{name}"), keep=1).save()
    config = TrainConfig.from_flat(dict(eval_every=1, on_collapse="rollback"))
    watchdog = Watchdog(config, str(tmp_path), strategy, state, 6, ("fid", "is"), True)
    for iteration, fid in enumerate((1.0, 9.0, 9.0), 4):
        watchdog.add({"iteration": iteration, "fid": fid, "scored_as": "x"})
    state.iteration.assign(6)
    fill(0)
    damage(tmp_path / "best-fid")
    assert watchdog.decision() == "rollback"
    assert "checkpoint of iteration 2 (best-is)" in watchdog.roll_back(lines.append)
    assert state.weights.numpy()[0] == 2 and state.iteration.numpy() == 7
    (line,) = lines
    assert line.startswith(f"Cannot roll back to {tmp_path}/best-fid: Cannot read any checkpoint")
    damage(tmp_path / "best-is")
    assert watchdog.decision() == "rollback"
    with pytest.raises(UnreadableCheckpoint, match=r"Cannot roll back to .*best-fid: Cannot read"):
        watchdog.roll_back(lines.append)


def damage(folder):
    (file,) = folder.rglob("*.data-*")
    file.write_bytes(file.read_bytes()[:100])


def test_a_stop_at_an_evaluation_puts_the_rollback_off(train, tmp_path, monkeypatch, capsys):
    """The run collapses at iteration 22 by its losses, when a stop puts the scores off."""

    def saturates(strategy, state, *rest):
        step = grows(strategy, state, *rest)

        def run(batches, count):
            metrics = step(batches, count)
            if int(state.iteration.numpy()) == 22 and stops:
                os.kill(os.getpid(), signal.SIGTERM)
            if state.iteration.numpy() > 2:
                metrics |= dict(d_loss_real=np.zeros(1), d_loss_fake=np.zeros(1))
            return metrics

        return run

    monkeypatch.setattr(start, "compile_iterations", saturates)
    settings = dict(num_iterations=25, collapse_factor=1e6)
    stops = False
    train(tmp_path / "whole", **settings)
    assert [at for at, _ in texts(tmp_path / "whole", "rollback")] == [23]
    stops = True
    assert not train(tmp_path / "run", **settings)
    stops = False
    assert train(tmp_path / "run", **settings)
    assert "Scores of iteration 22 wait until the run resumes" in capsys.readouterr().out
    whole, made = content(tmp_path / "whole"), content(tmp_path / "run")
    for name in ("metrics.jsonl", "checkpoints/iteration-25.index"):
        assert made[name] == whole[name]


def variables(state):
    """Returns all variables but the learning rates."""
    networks = (state.generator, state.average, state.discriminator)
    found = [variable for network in networks for variable in network.variables]
    for optimizer in (state.g_optimizer, state.d_optimizer):
        found += [v for v in optimizer.variables if "learning_rate" not in v.path]
    return found


def values_of(part):
    if isinstance(part, tf.Variable):
        return [int(part.numpy())]
    return [np.asarray(v).tolist() for v in part.variables if "learning_rate" not in v.path]


def test_rollback_needs_scores():
    with pytest.raises(ValueError, match="needs scores to know the best checkpoint"):
        TrainConfig.from_flat(dict(on_collapse="rollback"))
