"""The progress bar stays silent for short work, fits into 80 columns and never exceeds 100 %."""

import gc
import io
import json
import threading

import pytest
import tqdm.std

from tf_biggan.cli import terminal
from tf_biggan.training.logs import TrainingProgress


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(tqdm.std, "time", lambda: now[0])
    return now


@pytest.fixture
def screen(monkeypatch):
    """Replaces standard error by a terminal with the given number of columns, and returns it."""

    def make(columns):
        stream = io.StringIO()
        stream.isatty = lambda: True
        monkeypatch.setattr(terminal.sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", str(columns))
        return stream

    return make


def test_short_work_draws_nothing(capsys):
    bar = terminal.Progress("Working", 10)
    bar.add(10)
    bar.close()
    assert capsys.readouterr() == ("", "")


def test_long_work_is_drawn_on_standard_error(capsys, clock):
    bar = terminal.Progress("Working", 200, done=100)
    clock[0] += 10
    bar.add(50)
    clock[0] += 1  # A log file gets a line every half minute.
    bar.add(20)
    bar.add(40)  # The total is exceeded by 10.
    bar.message("Half a message")
    bar.close()
    printed, drawn = capsys.readouterr()
    assert printed == "Half a message\n"
    first, last = drawn.splitlines()
    assert first.startswith("Working |") and "| 150/200 images [00:10 left, 5 images/s]" in first
    assert "200/200 images [00:00 left, 9.1 images/s]" in last


def test_a_bar_that_is_not_closed_draws_nothing_when_it_is_deleted(capsys, clock):
    # tqdm's own method draws, and Python ignores a Ctrl-C that arrives in the meantime.
    bar = terminal.Progress("Working", 200)
    clock[0] += 10
    bar.add(50)
    capsys.readouterr()
    clock[0] += 10
    del bar
    gc.collect()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("index", "draws"), [(0, True), (1, False)])
def test_of_several_processes_one_draws(capsys, clock, monkeypatch, index, draws):
    cluster = {"worker": ["a:1", "b:1"]}
    task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    bar = terminal.Progress("Working", 200)
    clock[0] += 10
    bar.add(150)
    clock[0] += 100
    bar.add(50)
    bar.close()
    assert bool(capsys.readouterr().err) == draws


def test_a_line_every_half_minute(capsys, clock):
    bar = terminal.Progress("Working", 1000)
    for _ in range(100):
        clock[0] += 1
        bar.add(1)
    assert len(capsys.readouterr().err.splitlines()) == 1 + 3


def test_the_rate_follows_the_last_minutes(capsys, clock):
    bar = terminal.Progress("Working", 10_000)
    for seconds in (3000, *[10] * 600):
        clock[0] += seconds
        bar.add(10)
    assert "[" in capsys.readouterr().err
    # The last 10 units took 10 s. The slow start does not count.
    assert str(bar._bar).endswith("6,010/10,000 images [1:06:30 left, 1 images/s]")


COUNTS = [(300, 1_250), (123_456, 500_000), (9_999_999, 10_000_000)]


@pytest.mark.parametrize("columns", [200, 80, 60])
@pytest.mark.parametrize(("done", "total"), COUNTS)
def test_the_line_of_a_run_fits_and_keeps_bar_and_time_left(clock, screen, columns, done, total):
    stream = screen(columns)
    line = TrainingProgress(total, done - 200, images_per_iteration=2048)
    clock[0] += 3.0
    line.update(done, d_real=-10.125, d_fake=10.8125, g=-10.25)
    drawn = stream.getvalue().split("\r")[-1]
    assert len(drawn) < min(columns, 80)
    bar = drawn.split("|")[1]
    assert len(bar) >= terminal.FEWEST_CELLS and "left" in drawn.split("|")[2]
    # The bar shows the parts that have room, and cuts no number off.
    assert drawn.endswith(("left]", "img/s]", "D -10.12/10.81 G -10.25"))
    if columns >= 80:
        assert "D -10.12/10.81 G -10.25" in drawn


def test_long_titles_are_cut_and_notes_give_way(clock, screen):
    stream = screen(80)
    bar = terminal.Progress("Reading folder:/data/" + "deep/" * 30, 10)
    clock[0] += 2.0
    bar.add(5, "a note that is longer than what is left of eighty columns")
    drawn = stream.getvalue().split("\r")[-1]
    assert len(drawn) < 80 and "5/10" in drawn and "left" in drawn and "..." in drawn


def test_the_first_estimate_counts_from_when_the_bar_is_made(clock, screen):
    stream = screen(80)
    clock[0] += 500.0  # The compilation happened before.
    line = TrainingProgress(1000, 1, images_per_iteration=64)
    clock[0] += 10.0
    line.update(101, d_real=0.9, d_fake=0.8125, g=-0.25)
    drawn = stream.getvalue().split("\r")[-1]
    assert "101/1,000 [01:29 left, 640 img/s] D 0.90/0.81 G -0.25" in drawn


def test_no_thread_watches_the_bar():
    before = threading.active_count()
    terminal.Progress("Working", 10).add(1)
    assert threading.active_count() == before
