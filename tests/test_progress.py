"""The progress bar: silent for short work, on standard error, never past the end."""

import pytest

from tf_biggan import progress


def test_short_work_draws_nothing(capsys):
    bar = progress.Progress("Working", 10)
    bar.add(10)
    bar.close()
    assert capsys.readouterr() == ("", "")


def test_long_work_is_drawn_on_standard_error(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = progress.Progress("Working", 200, done=100)
    now[0] += 10
    bar.add(50)
    bar.add(50)
    bar.close()
    printed, drawn = capsys.readouterr()
    assert printed == ""
    first, last = drawn.splitlines()
    assert "150/200 images, 5 a second, 10 s left" in first
    assert "200/200 images" in last and "0 s left" in last


def test_a_slow_start_is_forgotten(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = progress.Progress("Working", 10_000)
    now[0] = 1000.0
    for _ in range(progress.RATE_DRAWINGS + 1):
        bar.add(10)
        now[0] += 100.0
    first, *_, last = capsys.readouterr().err.splitlines()
    assert "0 a second" in first and "h " in first
    # 10 in 100 s.
    assert last.endswith(f"{progress.duration((10_000 - 1010) * 10)} left")


@pytest.mark.parametrize(("columns", "bar"), [(200, 30), (60, 14), (51, 5), (50, 0), (20, 0)])
def test_on_a_terminal_the_line_fits(capsys, monkeypatch, columns, bar):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    line = progress.Progress("Working", 10)
    now[0] = 10.0
    line.add(10)
    drawn = capsys.readouterr().err
    assert drawn.startswith("\r") and drawn.endswith("\x1b[K")
    assert len(drawn) - len("\r\x1b[K") < columns
    assert drawn.count("=") == bar


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7140, "119 min"),
        (7200, "2 h 0 min"),
        (7199, "2 h 0 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_durations_in_words(seconds, words):
    assert progress.duration(seconds) == words
