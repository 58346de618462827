"""Requests to stop are answered at once, and a resumed run makes up for work that was left out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.training.loop_without_networks import FakeState, compile_iterations
from tests.training.test_loop import config
from tests.training.test_loop_resume import ROOT, SETTINGS
from tf_biggan.training import interruption, loop, start
from tf_biggan.training.interruption import StopRequest
from tf_biggan.training.logs import read_metrics
from tf_biggan.training.loop import train


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_is_noted_and_the_handlers_return(number, capfd):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    threads = threading.active_count()
    with StopRequest("Stopping.") as stop:
        assert not stop.is_set()
        send(number)
        wait_until(stop.is_set)
        send(number)  # Without `leave`, another Ctrl-C changes nothing.
    assert capfd.readouterr().err.split() == ["Stopping."]
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1 and threading.active_count() == threads


def test_requests_are_answered_while_python_is_not_running(monkeypatch):
    """While TensorFlow compiles, no Python handler runs."""
    monkeypatch.setattr(interruption, "SAME_REQUEST_SECONDS", 0.05)
    said, left = [], []
    monkeypatch.setattr(interruption, "_say", lambda text: said.append(time.monotonic()))
    iterations = 50_000
    began = time.monotonic()
    hashlib.pbkdf2_hmac("sha256", b"", b"", iterations)
    iterations *= int(1.5 / (time.monotonic() - began)) + 1
    timers = [threading.Timer(after, send) for after in (0.1, 0.11, 0.4)]
    with StopRequest("Stopping.", lambda: left.append(time.monotonic())):
        for timer in timers:
            timer.start()
        hashlib.pbkdf2_hmac("sha256", b"", b"", iterations)
        ended = time.monotonic()
    for timer in timers:
        timer.join()
    # The signal that comes a hundredth of a second after the first belongs to the same Ctrl-C.
    assert len(said) == len(left) == 1 and said[0] < left[0] < ended


def test_only_ctrl_c_leaves(monkeypatch, capfd):
    monkeypatch.setattr(interruption, "SAME_REQUEST_SECONDS", 0.0)
    left = []
    with StopRequest("Stopping.", lambda: left.append(1)) as stop:
        for _ in range(3):
            send(signal.SIGTERM)
            wait_until(stop.is_set)
            time.sleep(0.05)
        assert not left
        send(signal.SIGINT)
        wait_until(lambda: left)


def test_optional_work_ends_at_a_request(capfd):
    done = []

    def work():
        send()
        time.sleep(5)
        done.append("all of it")

    with StopRequest("Stopping.") as stop:
        assert stop.run_unless_asked(lambda: done.append("before"))
        assert not stop.run_unless_asked(work)
        assert not stop.run_unless_asked(lambda: done.append("after"))
    assert done == ["before"]


def test_a_thread_other_than_the_main_one_takes_no_signals():
    entered = []

    def enter():
        with StopRequest("Stopping.") as stop:
            entered.append(stop.run_unless_asked(lambda: None))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]


def test_what_is_said_fits_the_settings():
    assert loop._stop_answer(1, True) == (
        "Stopping after this iteration; press Ctrl-C again to leave without saving."
    )
    assert loop._stop_answer(100, False) == "Stopping after at most 100 iterations."


class FakeEvaluation:
    """Replaces the scores. A signal arrives during the second evaluation."""

    scored_as, notes, kept_scores = "fake", (), ()
    calls: list = []  # noqa: RUF012

    def __init__(self, *arguments):
        self._state = arguments[4]

    def scores(self):
        iteration = int(self._state.iteration.numpy())
        self.calls.append(iteration)
        if self.calls == [2, 4]:
            send()
            time.sleep(5)
        return {"classifier_fid": 10.0 / iteration}, ()

    def line(self, iteration, scores):
        return f"Scores at iteration {iteration}: {scores}"


@pytest.fixture
def quick(monkeypatch):
    """Runs the training loop without real networks, data, steps and scores."""
    FakeEvaluation.calls.clear()
    monkeypatch.setattr(loop, "create_state", lambda *_: FakeState())
    monkeypatch.setattr(start, "compile_iterations", compile_iterations)
    monkeypatch.setattr(start, "input_sampler", lambda *_: None)
    monkeypatch.setattr(start, "distribute", lambda *_, **__: ())
    monkeypatch.setattr(loop, "RunEvaluation", FakeEvaluation)


def test_a_stop_starts_nothing_and_the_same_command_makes_it_up(tmp_path, quick, capfd):
    run = tmp_path / "run"
    settings = config(
        num_iterations=7, save_every=100, log_every=1, sigma_every=0, sample_every=4, eval_every=2
    )
    sheets = run / "samples"
    assert not train(settings, str(run))
    out, err = capfd.readouterr()
    assert err.count("Stopping after this iteration.") == 1
    assert "Scores of iteration 4 wait until the run resumes." in out
    assert "Stopped; the same command resumes at iteration 4." in out
    assert sorted(path.name for path in sheets.iterdir()) == ["iteration-0000004.png", "reals.png"]
    reals = (sheets / "reals.png").stat().st_mtime_ns
    (sheets / "iteration-0000004.png").unlink()  # As if it had been left out as well.

    assert train(settings, str(run))
    out, _ = capfd.readouterr()
    assert FakeEvaluation.calls == [2, 4, 4, 6, 7]
    assert out.index("Scores at iteration 4") < out.index("Compiling the training step")
    # The last iteration is a multiple of neither 2 nor 4.
    assert {path.name for path in sheets.iterdir()} == {
        "iteration-0000004.png",
        "iteration-0000007.png",
        "reals.png",
    }
    assert (sheets / "reals.png").stat().st_mtime_ns == reals

    before = (run / "metrics.jsonl").read_bytes()
    assert train(settings, str(run))  # The run is complete, so nothing is left to do.
    assert FakeEvaluation.calls == [2, 4, 4, 6, 7]
    assert (run / "metrics.jsonl").read_bytes() == before
    lines = read_metrics(str(run))
    scored = [line["iteration"] for line in lines if "scored_as" in line]
    assert scored == [2, 4, 6, 7]
    assert [line["images_seen"] for line in lines] == [8 * line["iteration"] for line in lines]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds) and seconds[0] > 0
    starts = (run / "environment.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in starts] == [0, 4, 7]


@pytest.mark.slow
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_while_the_step_is_compiled(tmp_path, presses):
    run = tmp_path / "run"
    settings = {**SETTINGS, "num_iterations": 1000, "sample_every": 1, "d_accumulations": 2}
    command = [sys.executable, "-m", "tf_biggan.train", f"--run_dir={run}"]
    command += [f"--{name}={value}" for name, value in settings.items()]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("Compiling"):
            break
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    for line in process.stderr:
        if line.startswith("Stopping after this iteration; press Ctrl-C again"):
            break
    assert time.monotonic() - asked < 1.0
    if presses == 2:
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == (130 if presses == 2 else 0), (out, err)
    assert not list((run / "samples").glob("iteration-*"))
    assert (run / "checkpoints" / "iteration-1.index").exists() == (presses == 1)
    assert "Traceback" not in err and bool(re.search("Left without saving", err)) == (presses == 2)
