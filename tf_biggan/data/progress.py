"""A progress bar on standard error."""

from __future__ import annotations

import sys
import time

BAR_CELLS = 30
SILENT_SECONDS = 1.0
TERMINAL_SECONDS = 0.2
LOG_SECONDS = 30.0


class Progress:
    """Counts towards `total`; draws nothing for work that ends within a second.

    On a terminal the line is redrawn in place; in a log file there is a line every half minute.
    """

    def __init__(self, title: str, total: int, *, done: int = 0, unit: str = "images"):
        self._title, self._total, self._unit = title, max(1, total), unit
        self._done = self._already = done
        self._in_place = sys.stderr.isatty()
        self._start = time.monotonic()
        self._next = self._start + SILENT_SECONDS
        self._drawn = False

    def add(self, count: int) -> None:
        """Notes that `count` more are done."""
        self._done += count
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

    def _draw(self, now: float) -> None:
        share = min(1.0, self._done / self._total)
        rate = (self._done - self._already) / max(1e-9, now - self._start)
        left = (self._total - self._done) / rate if rate > 0 else 0
        cells = "=" * int(BAR_CELLS * share)
        line = (
            f"{self._title} [{cells:<{BAR_CELLS}}] {self._done:,}/{self._total:,} {self._unit},"
            f" {rate:,.0f} a second, {left:,.0f} s left"
        )
        self._drawn = True
        if self._in_place:
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
