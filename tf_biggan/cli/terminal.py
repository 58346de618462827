"""Terminal output of commands: a quiet start of TensorFlow, one-line errors and a progress bar.

The progress bar is a bar of tqdm on standard error, at most 80 columns wide.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator

from absl import logging
from tqdm import tqdm

from tf_biggan.cli.cluster import shared_cluster

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
ERRORS_ONLY = "3"
_AUTOGRAPH = re.compile(r"^in user code:.*\n    [\w.]+: ", re.DOTALL)
_KERAS = re.compile(r"Exception encountered when calling .*?\x1b\[1m(.*?)\x1b\[0m.*", re.DOTALL)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
COLUMNS = 80
FEWEST_CELLS = 6
LONGEST_TITLE = 30
SILENT_SECONDS = 1.0
TERMINAL_SECONDS = 0.2
LOG_SECONDS = 30.0
# Weight of the newest rate in the estimate of the time left. Because it is small, saving a
# checkpoint hardly changes the estimate.
SMOOTHING = 0.05


def quiet_tensorflow() -> None:
    """Imports TensorFlow without start-up messages, and makes absl log errors only."""
    if import_tensorflow_quietly():
        # Otherwise, absl's app would also print information, such as how long saving took.
        logging.set_verbosity(logging.ERROR)


def import_tensorflow_quietly() -> bool:
    """Imports TensorFlow without the messages that its libraries print while they are loaded.

    The libraries write these messages to file descriptor 2 before they read TensorFlow's log
    settings. If the import fails, the messages are printed after all.

    Returns:
      True, or False if the environment variable TF_CPP_MIN_LOG_LEVEL has a value other than 3. In
      that case, this function does not import TensorFlow, and a later import prints its messages.
    """
    if os.environ.setdefault(LOG_LEVEL, ERRORS_ONLY) != ERRORS_ONLY:
        return False
    if "tensorflow" not in sys.modules:
        with quiet_stderr():
            import tensorflow  # noqa: F401
    return True


@contextlib.contextmanager
def quiet_stderr(print_after_error: bool = True) -> Iterator[None]:
    """Hides what libraries write to file descriptor 2 while the `with` block runs.

    If the environment variable TF_CPP_MIN_LOG_LEVEL has a value other than 3, nothing is hidden.

    Args:
      print_after_error: Whether the hidden text is printed if the block raises an exception.
    """
    if os.environ.get(LOG_LEVEL, ERRORS_ONLY) != ERRORS_ONLY:
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            if print_after_error:
                os.dup2(stderr, 2)
                aside.seek(0)
                os.write(2, aside.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def one_line(message: str) -> str:
    """Returns an error message in one line, without the text that Keras and AutoGraph added."""
    message = _AUTOGRAPH.sub("", message)
    message = _KERAS.sub(r"\1", message)
    return " ".join(_ESCAPES.sub("", message).split())


class Progress:
    """A progress bar that is not shown for work that ends within a second.

    On a terminal, the bar is updated in place. In a log file, a line is written every half minute.
    If TF_CONFIG lists several processes, only the process that writes the files shows bars.

    Args:
      title: Title of the bar.
      total: Total number of units.
      done: Number of units that were done before the bar starts.
      unit: Name of the unit.
      rate_unit: Name of the unit of the rate. Default: `unit`.
      rate_scale: Number of rate units in one unit.
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
        cluster = shared_cluster()
        self._bar = _Bar(
            desc=title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 3]}...",
            total=max(1, total),
            initial=done,
            unit=unit,
            file=sys.stderr if self._in_place else _Lines(),
            delay=SILENT_SECONDS if cluster is None or cluster.writes else math.inf,
            mininterval=TERMINAL_SECONDS,
            miniters=1,
            smoothing=SMOOTHING,
            bar_format="{desc} |{bar}| {state}",
            # An inner bar is drawn in the line of the outer bar, so that the cursor does not move.
            position=0,
        )
        self._bar.rate_unit, self._bar.rate_scale = rate_unit or unit, rate_scale

    def add(self, count: int, note: str = "") -> None:
        """Adds `count` units. `note` is shown until the next note."""
        bar = self._bar
        bar.note = note or bar.note
        if not self._in_place and bar.last_print_t > bar.start_t:
            bar.mininterval = LOG_SECONDS
        bar.update(min(count, bar.total - bar.n))

    def message(self, text: str) -> None:
        """Prints a line on standard output above the bar."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def close(self) -> None:
        """Shows the final state if the bar was shown before."""
        self._bar.close()


class _Bar(tqdm):
    """A tqdm bar that omits the note or the rate if they leave no room for the bar."""

    # Training may end by os._exit, so tqdm must not start a thread that watches the bar.
    monitor_interval = 0
    note = ""
    rate_unit = "images"
    rate_scale = 1.0

    def __del__(self):
        """Draws nothing. Python ignores a Ctrl-C that arrives while an object is deleted."""

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
        # A number that is cut off would be wrong, so parts without room are omitted.
        states = (
            f"{count} {self.unit} [{left}, {speed}] {note}",
            f"{count} [{left}, {speed}] {note}",
            f"{count} [{left}] {note}",
            f"{count} [{left}, {speed}]",
            f"{count} [{left}]",
        )
        return next((state for state in states if len(state) <= room), states[-1]).rstrip()


class _Lines:
    """A file that writes every state of a bar as a line on standard error."""

    def write(self, text: str) -> None:
        drawn = text.strip()
        if drawn:
            print(drawn, file=sys.stderr, flush=True)

    def flush(self) -> None:
        sys.stderr.flush()
