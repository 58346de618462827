"""A progress bar on standard error."""

from __future__ import annotations

import collections
import shutil
import sys
import time

BAR_CELLS = 30
FEWEST_CELLS = 5
SILENT_SECONDS = 1.0
TERMINAL_SECONDS = 0.2
LOG_SECONDS = 30.0
# The rate is that of the last drawings, so that a slow start (compilation) is forgotten.
RATE_DRAWINGS = 100


class Progress:
    """Counts towards `total`; draws nothing for work that ends within a second.

    On a terminal the line is redrawn in place; in a log file there is a line every half minute.

    Args:
      title: what is done.
      total: units in all.
      done: units done before.
      unit: what is counted.
      rate_unit: what the rate counts, where that is not `unit`.
      rate_scale: how many of `rate_unit` there are in a unit.
    """

    def __init__(
        self,
        title: str,
        total: int,
        *,
        done: int = 0,
        unit: str = "images",
        rate_unit: str | None = None,
        rate_scale: float = 1.0,
    ):
        self._title, self._total, self._unit = title, max(1, total), unit
        self._rate_unit, self._rate_scale = rate_unit, rate_scale
        self._done = done
        self._note = ""
        self._in_place = sys.stderr.isatty()
        now = time.monotonic()
        self._marks = collections.deque([(now, done)], maxlen=RATE_DRAWINGS)
        self._next = now + SILENT_SECONDS
        self._drawn = False

    def add(self, count: int, note: str = "") -> None:
        """Notes that `count` more are done; `note` stands in the line until the next one."""
        self._done += count
        self._note = note or self._note
        now = time.monotonic()
        if now >= self._next:
            self._next = now + (TERMINAL_SECONDS if self._in_place else LOG_SECONDS)
            self._draw(now)

    def close(self) -> None:
        """Draws the last state, where anything was drawn before."""
        if self._drawn:
            self._draw(time.monotonic())
            if self._in_place:
                print(file=sys.stderr, flush=True)

    def interrupt(self) -> None:
        """Ends the line on a terminal, so that something else can be printed below it."""
        if self._drawn and self._in_place:
            print(file=sys.stderr, flush=True)

    def _draw(self, now: float) -> None:
        then, before = self._marks[0]
        rate = (self._done - before) / max(1e-9, now - then)
        self._marks.append((now, self._done))
        left = (self._total - self._done) / rate if rate > 0 else 0
        parts = [
            f"{self._done:,}/{self._total:,} {self._unit}",
            self._note,
            f"{rate * self._rate_scale:,.0f} {f'{self._rate_unit} ' if self._rate_unit else ''}"
            "a second",
            f"{duration(left)} left",
        ]
        self._drawn = True
        self._print(", ".join(part for part in parts if part))

    def _print(self, state: str) -> None:
        columns = shutil.get_terminal_size().columns if self._in_place else None
        line = f"{self._title} {self._bar(state, columns)}{state}"
        if self._in_place:
            print(f"\r{line[: columns - 1]}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def _bar(self, state: str, columns: int | None) -> str:
        # A line that is wider than the terminal cannot be redrawn in place: the bar gives way.
        room = BAR_CELLS if columns is None else columns - len(self._title) - len(state) - 5
        cells = min(BAR_CELLS, room)
        if cells < FEWEST_CELLS:
            return ""
        share = min(1.0, self._done / self._total)
        return f"[{'=' * int(cells * share):<{cells}}] "


def duration(seconds: float) -> str:
    """Seconds in words: "80 s", "12 min", "3 h 20 min"."""
    if seconds < 120:
        return f"{seconds:,.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours >= 2 else f"{hours * 60 + minutes} min"
