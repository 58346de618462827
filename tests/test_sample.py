"""The sample command as a process: help, usage and input errors, without TensorFlow."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(*arguments):
    command = [sys.executable, "-m", "tf_biggan.sample", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "missing --model. See --help."),
        (["--model=m", "--bn=arc"], 2, "should be one of <table|running|batch|standing>"),
        (["--model=m", "--truncation=nonsense"], 1, "must be a number"),
        (["--model=m", "--classes=1", "--class_mix=1:1"], 1, "no effect beside --classes"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(arguments, code, message, tmp_path):
    process = run(*arguments, f"--output={tmp_path}/a.png")
    assert process.returncode == code and message in process.stderr
    assert process.stderr.count("\n") == 1 and list(tmp_path.iterdir()) == []
