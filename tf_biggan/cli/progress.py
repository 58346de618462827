"""The progress bar of every command: tqdm on standard error, in 80 columns or fewer."""

from __future__ import annotations

import shutil
import sys

from tqdm import tqdm

COLUMNS = 80
FEWEST_CELLS = 6
LONGEST_TITLE = 30
SILENT_SECONDS = 1.0
TERMINAL_SECONDS = 0.2
LOG_SECONDS = 30.0
# Weight of the newest drawing in the rate, so that saving now and then does not jerk the estimate.
SMOOTHING = 0.05


class Progress:
    """Counts towards `total`; draws nothing for work that ends within a second.

    On a terminal the line is redrawn in place; in a log file there is a line every half minute. The
    first estimate of the time left counts from when the object is made.

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
        self._in_place = sys.stderr.isatty()
        self._bar = _Bar(
            desc=title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 3]}...",
            total=max(1, total),
            initial=done,
            unit=unit,
            file=sys.stderr if self._in_place else _Lines(),
            delay=SILENT_SECONDS,
            mininterval=TERMINAL_SECONDS,
            miniters=1,
            smoothing=SMOOTHING,
            bar_format="{desc} |{bar}| {state}",
            # A bar inside another one takes its line, so no cursor moves.
            position=0,
        )
        self._bar.rate_unit, self._bar.rate_scale = rate_unit or unit, rate_scale

    def add(self, count: int, note: str = "") -> None:
        """Notes that `count` more are done; `note` stands in the line until the next one."""
        bar = self._bar
        bar.note = note or bar.note
        if not self._in_place and bar.last_print_t > bar.start_t:
            bar.mininterval = LOG_SECONDS
        bar.update(min(count, bar.total - bar.n))

    def message(self, text: str) -> None:
        """Prints a line of its own on standard output, above the bar."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Draws the last state, where anything was drawn before."""
        self._bar.close()


class _Bar(tqdm):
    """tqdm with a state that leaves room for the bar: without the note or the rate if need be."""

    # No thread that watches the bar: training may end by os._exit, and tests count threads.
    monitor_interval = 0
    note = ""
    rate_unit = "images"
    rate_scale = 1.0

    @property
    def format_dict(self):
        values = super().format_dict
        columns = min(COLUMNS, shutil.get_terminal_size((COLUMNS, 24)).columns) - 1
        room = columns - len(values["prefix"]) - FEWEST_CELLS - len(" || ")
        return values | {"ncols": columns, "state": self._state(values, room)}

    def _state(self, values, room: int) -> str:
        done, total, elapsed = values["n"], values["total"], values["elapsed"]
        rate = values["rate"] or (done - values["initial"]) / max(1e-9, elapsed)
        left = f"{self.format_interval((total - done) / rate) if rate else '?'} left"
        digits = ",.0f" if rate * self.rate_scale >= 10 else ".2g"
        speed = f"{rate * self.rate_scale:{digits}} {self.rate_unit}/s"
        count, note = f"{done:,}/{total:,}", self.note
        # A number that is cut would be another number: what has no room is left out.
        states = (
            f"{count} {self.unit} [{left}, {speed}] {note}",
            f"{count} [{left}, {speed}] {note}",
            f"{count} [{left}] {note}",
            f"{count} [{left}, {speed}]",
            f"{count} [{left}]",
        )
        return next((state for state in states if len(state) <= room), states[-1]).rstrip()


class _Lines:
    """A file in which every drawing of a bar is a line on standard error."""

    def write(self, text: str) -> None:
        drawn = text.strip()
        if drawn:
            print(drawn, file=sys.stderr, flush=True)

    def flush(self) -> None:
        sys.stderr.flush()
