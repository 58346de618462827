"""The benchmarks run, on one small setting each."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def run(script, *flags):
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--setting=32px", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_training_iteration_compares_networks_of_as_many_parameters():
    pytest.importorskip("torch")
    printed = run("training_iteration.py", "--rounds=1", "--kind=tf_biggan", "--kind=torch")
    rows = [line.split() for line in printed.splitlines()[3:]]
    assert [row[0] for row in rows] == ["tf_biggan", "torch"]
    assert all(float(value) > 0 for row in rows for value in row[1:])


@pytest.mark.slow
def test_convolution_forms_covers_the_iteration():
    printed = run("convolution_forms.py", "--repeats=1", "--iterations=1")
    assert "strided_4x4*" in printed and "phases*" in printed
    assert "all convolutions of an iteration" in printed
