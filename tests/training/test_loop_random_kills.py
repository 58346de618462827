"""A run that is killed at random moments equals an uninterrupted run, bit for bit."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
KILLS = 100


@pytest.mark.slow
def test_random_kills_change_nothing(tmp_path):
    command = [sys.executable, "-m", "tests.training.random_kills", str(tmp_path), str(KILLS), "0"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert f"{KILLS} kills" in process.stdout and "bit for bit" in process.stdout
