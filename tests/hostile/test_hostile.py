"""Files that would take gigabytes or minutes are refused at once, with one line."""

from __future__ import annotations

import collections
import json
import os
import re
import subprocess
import sys

import pytest

from tests.hostile.files import CASES, write
from tests.hostile.readers import READERS
from tf_biggan.cli.terminal import one_line

BY_NAME = {case.name: case for case in CASES}
SECONDS, MEGABYTES = 10, 1000
# A pickle of a million operations, or a graph of a million fields, takes seconds to count.
SLOW = {"nones.pth", "dictionaries.pth", "sets.pth", "nested.pth", "blocks.pth", "nodes"}
SLOW |= {"pixels.bmp", "pixels.webp", "folder"}
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def test_there_are_sixty_of_ten_kinds():
    assert set(collections.Counter(case.kind for case in CASES).values()) == {6}
    assert len(CASES) == len(BY_NAME) == 60


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Reads all cases in one process and returns the outcomes by name."""
    names = [name for name in BY_NAME if name not in SLOW]
    command = [
        sys.executable,
        "-m",
        "tests.hostile.readers",
        str(tmp_path_factory.mktemp("hostile")),
    ]
    result = subprocess.run(
        [*command, *names], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    made = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return {outcome["name"]: outcome for outcome in made}


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in SLOW])
def test_a_hostile_file_is_refused(name, outcomes):
    outcome = outcomes[name]
    assert outcome["is_refusal"], outcome
    assert re.search(BY_NAME[name].words, one_line(outcome["message"]), re.IGNORECASE), outcome
    assert outcome["seconds"] < SECONDS and outcome["megabytes"] < MEGABYTES, outcome


def _run(arguments):
    """Runs a command and returns (exit code, standard error, CPU seconds, peak in megabytes)."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    )
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, megabytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6
    return process.returncode, errors, seconds, megabytes


@pytest.fixture(scope="module")
def start_up(tmp_path_factory):
    """Returns the CPU seconds and megabytes of each command for a small unreadable file."""
    folder = tmp_path_factory.mktemp("start")
    harmless = folder / "text.png"
    harmless.write_text("text")
    return {
        name: _run(_filled(reader.command, str(harmless), str(folder / "out")))[2:]
        for name, reader in READERS.items()
    }


def _filled(command, path, output):
    return [part.format(path=path, output=output) for part in command]


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NAME)
def test_a_command_refuses_a_hostile_file_in_one_line(name, tmp_path, start_up):
    case = BY_NAME[name]
    path = write(case, str(tmp_path))
    command = _filled(READERS[case.reader].command, path, str(tmp_path / "out"))
    code, errors, seconds, megabytes = _run(command)
    (line,) = errors.strip().splitlines()
    before_seconds, before_megabytes = start_up[case.reader]
    print(f"{case.kind}: {name}: {seconds - before_seconds:.1f} s,", end=" ")
    print(f"{megabytes - before_megabytes:.0f} MB: {line}")
    assert code == 1 and str(tmp_path) in line
    assert re.search(case.words, line, re.IGNORECASE), line
    assert seconds - before_seconds < SECONDS
    assert megabytes - before_megabytes < MEGABYTES
    assert not (tmp_path / "out").exists()
