"""The neighbours command as a process: help, usage and input errors, without TensorFlow."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(*arguments):
    command = [sys.executable, "-m", "tf_biggan.neighbours", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 1, "Either --model or both --images and --reference"),
        (["--model=m", "--num_neighbours=0"], 2, "num_neighbours"),
        (["--model=m", "--truncation=5"], 1, "must be above 0"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(arguments, code, message, tmp_path):
    process = run(*arguments, f"--output={tmp_path}/a.png")
    assert process.returncode == code and message in process.stderr
    assert process.stderr.count("\n") == 1 and list(tmp_path.iterdir()) == []
