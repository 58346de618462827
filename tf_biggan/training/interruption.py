"""Turns Ctrl-C and SIGTERM during training into a request to stop after the current iteration."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

# One Ctrl-C may arrive twice: from the terminal and from a wrapper around the command.
SAME_REQUEST_SECONDS = 0.5
EXIT_CODE = 130
_STANDARD_ERROR = 2


class _Abandoned(BaseException):
    """Ends optional work. It is a BaseException, so that `except Exception` does not catch it."""


class StopRequest:
    """A context in which SIGINT and SIGTERM request a stop instead of ending the process.

    A thread prints the answer to a request at once. A signal handler would be late: Python calls it
    only after TensorFlow returns from a graph, and the first call compiles the graph for minutes.

    Args:
      answer: The line that is printed at the first request.
      leave: Called in a thread at the second Ctrl-C; None to ignore a second Ctrl-C.
    """

    def __init__(self, answer: str, leave: Callable[[], None] | None = None):
        self._answer, self._leave = answer, leave
        self._asked = threading.Event()
        self._abandonable = False
        self._handlers: dict[int, Callable] = {}

    def is_set(self) -> bool:
        """Returns whether a stop was requested."""
        return self._asked.is_set()

    def run_unless_asked(self, work: Callable[[], None]) -> bool:
        """Runs optional work; returns whether it was completed. A stop request ends it at once."""
        try:
            try:
                self._abandonable = True
                if self.is_set():
                    return False
                work()
                return True
            finally:
                self._abandonable = False
        except _Abandoned:
            return False

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self  # Only the main thread may handle signals.
        self._signals, self._wakeup = socket.socketpair()
        self._wakeup.setblocking(False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._handle)
        self._wakeup_before = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="stop requests", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        if not self._handlers:
            return
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._wakeup.close()
        self._thread.join()
        self._signals.close()

    def _handle(self, number, frame):
        self._asked.set()
        if self._abandonable:
            self._abandonable = False
            raise _Abandoned

    def _listen(self):
        asked_at = None
        while numbers := self._signals.recv(1):
            (number,), now = numbers, time.monotonic()
            if number not in self._handlers:
                continue
            if asked_at is None:
                asked_at = now
                self._asked.set()
                _say(self._answer)
            elif number == signal.SIGINT and self._leave and now > asked_at + SAME_REQUEST_SECONDS:
                self._leave()


def leave_at_once() -> None:
    """Ends the process without saving; does not return."""
    _say("Left without saving; the same command resumes from the newest checkpoint.")
    os._exit(EXIT_CODE)


def _say(text):
    # print() may wait for a lock that the interrupted code holds.
    os.write(_STANDARD_ERROR, f"\n{text}\n".encode())
