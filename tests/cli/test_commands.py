"""The list of commands, and `tf-biggan NAME` as another form of `python -m tf_biggan.NAME`."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

import pytest

import tf_biggan
from tf_biggan.cli.commands import COMMANDS, listing, main

PACKAGE = pathlib.Path(tf_biggan.__file__).parent
# The same code as in the console script of the installed package.
SCRIPT = "import sys; from tf_biggan.cli.commands import main; sys.exit(main())"
SECONDS = 5  # On an idle machine, it takes 0.1 s.


def run(*arguments: str, folder=None) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_is_listed_and_nothing_else():
    modules = {
        path.stem
        for path in PACKAGE.glob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert modules - {"__main__"} == set(COMMANDS)
    assert max(map(len, listing().splitlines())) <= 80


def test_the_list_loads_no_framework(capsys):
    begin = time.monotonic()
    done = run("-X", "importtime", "-m", "tf_biggan")
    assert time.monotonic() - begin < SECONDS
    assert done.returncode == 0 and done.stdout == listing() + "\n"
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tf_biggan" in loaded and not {"tensorflow", "keras", "numpy", "absl"} & loaded


def test_an_unknown_command_is_named_with_the_nearest(capsys):
    assert main(["trian"]) == 2
    said = capsys.readouterr().err
    assert (
        said == "There is no command 'trian'. Did you mean train? `tf-biggan` lists the commands.\n"
    )


@pytest.mark.parametrize("arguments", [("--help",), ("--no_such_flag=1",), ()])
def test_a_command_is_the_same_however_it_is_called(arguments, tmp_path):
    one, other, third = (
        run(*start, *arguments, folder=tmp_path)
        for start in (
            ("-m", "tf_biggan.sample"),
            ("-c", SCRIPT, "sample"),
            ("-m", "tf_biggan", "sample"),
        )
    )
    assert one.stdout == other.stdout == third.stdout and one.stdout + one.stderr
    assert one.stderr == other.stderr == third.stderr
    assert one.returncode == other.returncode == third.returncode
