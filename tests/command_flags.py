"""The flags of every command, as its --help lists them."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tf_biggan.cli.commands import COMMANDS

ROOT = pathlib.Path(__file__).parents[1]
_FLAG = re.compile(r"^\s*--(?:\[no\])?(\w+)", re.MULTILINE)


def flags_of_commands() -> dict[str, set[str]]:
    """Returns the names of the flags of each command."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(COMMANDS, pool.map(_flags_of, COMMANDS), strict=True))


def _flags_of(name: str) -> set[str]:
    command = [sys.executable, "-m", f"tf_biggan.{name}", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(_FLAG.findall(done.stdout))
