"""The progress bar: silent for short work, on standard error, never past the end."""

from tf_biggan.data import progress


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
