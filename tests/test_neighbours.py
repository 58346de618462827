"""The neighbours command as a process: help, usage and input errors, without TensorFlow."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tf_biggan.cli.neighbours_settings import NeighboursConfig


def run(*arguments):
    command = [sys.executable, "-m", "tf_biggan.neighbours", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_names_every_setting():
    process = run("--help")
    assert process.returncode == 0
    for field in NeighboursConfig.settings():
        assert f"--{field.name}" in process.stdout or f"--[no]{field.name}" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 1, "--model must be given, or --images and --reference"),
        (["--model=m", "--num_neighbours=0"], 2, "num_neighbours"),
        (["--model=m", "--truncation=5"], 1, "must be a number above 0"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(arguments, code, message, tmp_path):
    process = run(*arguments, f"--output={tmp_path}/a.png")
    assert process.returncode == code and message in process.stderr
    assert process.stderr.count("\n") == 1 and list(tmp_path.iterdir()) == []
