"""Simulates kills of a command before or after each of its changes of files, in one process."""

from __future__ import annotations

import builtins
import contextlib
import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import pytest

Places = Sequence[tuple[object, str]]
# No process has such a large number.
DEAD_PROCESS = 2**22 + 1
CHANGES = ("mkdir", "replace", "rename", "remove", "unlink", "rmdir", "symlink")


class Killed(BaseException):
    """Ends the command. Nothing that the command does afterwards changes a file."""


class KilledFiles:
    """Counts changes of files and simulates a kill at one of them.

    Moment 2 n is before change n, and moment 2 n + 1 is right after it. After the kill, every
    change raises an error, so `finally` clauses cannot clean up, as after a real kill.
    """

    def __init__(self, patch: pytest.MonkeyPatch, moment: int, others: Places = ()):
        self.dead, self._moment, self._next = False, moment, 0
        for owner, name in others:
            patch.setattr(owner, name, self._changing(getattr(owner, name)))
        for name in CHANGES:
            patch.setattr(os, name, self._changing(getattr(os, name)))
        opened = self._opening(builtins.open)
        patch.setattr(builtins, "open", opened)
        patch.setattr(io, "open", opened)
        patch.setattr(os, "getpid", lambda: DEAD_PROCESS)

    def _tick(self):
        self.dead = self.dead or self._next == self._moment
        self._next += 1
        if self.dead:
            raise Killed

    def _changing(self, change):
        def changed(*args, **kwargs):
            self._tick()
            result = change(*args, **kwargs)
            self._tick()
            return result

        return changed

    def _opening(self, opens):
        writes = self._changing(opens)

        def opened(file, mode="r", *args, **kwargs):
            changes = set(mode) & set("wax+")
            return (writes if changes else opens)(file, mode, *args, **kwargs)

        return opened


def every_moment(command: Callable[[int], object], others: Places = ()) -> Iterator[int]:
    """Runs `command(moment)`, killed at moment 0, 1, 2 ..., until it ends alive.

    Yields every moment after its kill, for the caller to run the command again.

    Args:
      command: takes the moment, so that it can work in a place of its own.
      others: (owner, name) of functions beside those of `os` and `open` that change files.
    """
    for moment in itertools.count():
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            files = KilledFiles(patch, moment, others)
            command(moment)
        if not files.dead:
            return
        yield moment
