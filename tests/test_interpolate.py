"""The interpolate command as a process: help, usage and input errors, without TensorFlow."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(*arguments):
    command = [sys.executable, "-m", "tf_biggan.interpolate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "missing --model. See --help."),
        (["--model=m", "--z_path=arc"], 2, "should be one of <slerp|lerp>"),
        (["--model=m", "--truncation=1.0:nonsense"], 1, "must be a number or FROM:TO"),
        (["--model=m", "--fix_z", "--fix_y"], 1, "nly one of --fix_z and --fix_y"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(arguments, code, message, tmp_path):
    process = run(*arguments, f"--output={tmp_path}/a.png")
    assert process.returncode == code and message in process.stderr
    assert process.stderr.count("\n") == 1 and list(tmp_path.iterdir()) == []
