"""The picture commands as processes: usage and input errors in one line, without TensorFlow."""

from __future__ import annotations

import subprocess
import sys

import pytest

INPUTS = {
    "sample": (
        ([], 2, "missing --model. See --help."),
        (["--model=m", "--bn=arc"], 2, "should be one of <table|running|batch|standing>"),
        (["--model=m", "--truncation=nonsense"], 1, "must be a number"),
        (["--model=m", "--classes=1", "--class_mix=1:1"], 1, "no effect with --classes"),
    ),
    "interpolate": (
        ([], 2, "missing --model. See --help."),
        (["--model=m", "--z_path=arc"], 2, "should be one of <slerp|lerp>"),
        (["--model=m", "--truncation=1.0:nonsense"], 1, "must be a number or FROM:TO"),
        (["--model=m", "--fix_z", "--fix_y"], 1, "nly one of --fix_z and --fix_y"),
    ),
    "neighbours": (
        ([], 1, "Give --model, or give both --images and --reference"),
        (["--model=m", "--num_neighbours=0"], 2, "num_neighbours"),
        (["--model=m", "--truncation=5"], 1, "must be above 0"),
    ),
    "invert": (
        (["--model=m"], 2, "missing --image. See --help."),
        (["--model=m", "--image=a.png", "--num_steps=0"], 2, "num_steps"),
        (["--model=m", "--image=a.png", "--class=3", "--truncation=0"], 1, "must be above 0"),
    ),
}


@pytest.mark.parametrize(
    ("command", "arguments", "code", "message"),
    [(command, *one) for command, some in INPUTS.items() for one in some],
)
def test_bad_input_is_one_line_and_an_exit_code(command, arguments, code, message, tmp_path):
    line = [sys.executable, "-m", f"tf_biggan.{command}", *arguments]
    ending = "npz" if command == "invert" else "png"
    line.append(f"--output={tmp_path}/a.{ending}")
    process = subprocess.run(line, capture_output=True, text=True, check=False)
    assert process.returncode == code and message in process.stderr
    assert process.stderr.count("\n") == 1 and list(tmp_path.iterdir()) == []
