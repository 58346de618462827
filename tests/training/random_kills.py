"""Kills a small run at random moments and checks that it resumes exactly.

python -m tests.training.random_kills FOLDER KILLS SEED

The results of a run without interruption are the reference: the tensors of all its checkpoints and
every line of its metrics. A second run with the same settings is started again and again, and
killed (SIGKILL) at a random time after its first iteration. It saves in every iteration, and draws
sheets and scores often. After every ninth kill, TensorFlow's list of checkpoints is damaged; after
every twentieth, the newest checkpoint. After each kill, the script checks that

- the readable checkpoints, including those of the best scores, hold the reference's tensors;

- the next start resumes from the newest of them and prints so;

- the lines of metrics.jsonl up to that iteration are the reference's.

Starting takes most of the time, so one process imports TensorFlow, never uses it, and forks.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable

import numpy as np

from tests.training.small_run import SMALL_RUN
from tf_biggan.cli.terminal import quiet_tensorflow

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
quiet_tensorflow()

import tensorflow as tf  # noqa: E402

from tf_biggan.cli.train_settings import TrainConfig  # noqa: E402
from tf_biggan.evaluation.features import classifier  # noqa: E402
from tf_biggan.training import loop  # noqa: E402
from tf_biggan.training import scores as evaluation  # noqa: E402
from tf_biggan.training.logs import read_metrics  # noqa: E402

ITERATIONS = 60
SMALLEST = dict(g_channels=1, d_channels=1, global_batch_size=2)
EVERY = dict(save_every=1, sample_every=3, eval_every=4, sigma_every=7)
SETTINGS = (
    SMALL_RUN
    | SMALLEST
    | EVERY
    | dict(flip=True, ema_start=3, num_iterations=ITERATIONS, eval_images=16)
)
LONGEST_LIFE_SECONDS = 12.0
DEADLINE_SECONDS = 900
LIST_DAMAGED_EVERY, NEWEST_DAMAGED_EVERY = 9, 20
# The stage of the child, which it writes to a byte that it shares with the parent.
PLACES = ("start", "iterations", "save", "sheet", "evaluation", "best", "log")
BY_PLACE = (
    (loop.Checkpoints, "save", "save"),
    (loop.SampleSheets, "draw", "sheet"),
    (loop.RunEvaluation, "scores", "evaluation"),
    (evaluation.Checkpoints, "save", "save"),
    (evaluation.RunEvaluation, "_keep", "best"),
    (loop.MetricsLog, "write", "log"),
)
DAMAGES: dict[str, Callable[[random.Random, bytes], bytes | None]] = {
    "missing": lambda chance, content: None,
    "empty": lambda chance, content: b"",
    "NUL bytes": lambda chance, content: b"\0" * len(content),
    "cut": lambda chance, content: content[: chance.randrange(len(content))],
    "random bytes": lambda chance, content: chance.randbytes(200),
    "text": lambda chance, content: b"once upon a time\n",
    "another name": lambda chance, content: b'model_checkpoint_path: "iteration-9999"\n',
}


def forked(work: Callable[[], object], log: pathlib.Path | None = None) -> int:
    """Starts `work` in a child process and returns its process id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        if log is not None:
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, 1)
            os.dup2(file, 2)
        work()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def answer_of(work: Callable[[], object], place: pathlib.Path):
    """Runs `work` in a child process and returns its result, which must be JSON values."""
    process = forked(lambda: place.write_text(json.dumps(work())))
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    return json.loads(place.read_text())


def train(run: pathlib.Path, shared: mmap.mmap, **settings) -> None:
    """Runs the command and writes its stage to the shared byte."""
    for owner, name, place in dict.fromkeys(BY_PLACE):
        setattr(owner, name, telling(getattr(owner, name), place, shared))
    classifier.ClassifierSettings = functools.partial(
        classifier.ClassifierSettings, channels=(8, 8), updates=(30, 30)
    )
    loop.train(TrainConfig.from_flat({**SETTINGS, **settings}), str(run))


def telling(function, place, shared):
    number = PLACES.index(place)

    def told(*args, **kwargs):
        before = shared[0]
        shared[0] = number
        try:
            return function(*args, **kwargs)
        finally:
            # The first line of metrics is written after the first iteration.
            shared[0] = max(before, PLACES.index("iterations"))

    return told


def digests(run: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of all tensors of each readable checkpoint, by its iteration."""
    found = {}
    for index in (run / "checkpoints").glob("iteration-*.index"):
        digest = hashlib.sha256()
        try:
            reader = tf.train.load_checkpoint(str(index.with_suffix("")))
            for name in sorted(reader.get_variable_to_shape_map()):
                # All tensors are read, to know that all can be read.
                value = reader.get_tensor(name)
                if "OBJECT_GRAPH" not in name and "save_counter" not in name:
                    digest.update(name.encode())
                    digest.update(np.ascontiguousarray(value).tobytes())
        except (tf.errors.OpError, RuntimeError, ValueError, IndexError):
            continue
        found[index.stem.rpartition("-")[2]] = digest.hexdigest()
    return found


def lines_of(run: pathlib.Path) -> list[dict]:
    return [{**line, "seconds": None, "images_per_second": None} for line in read_metrics(str(run))]


def facts_of(run: pathlib.Path) -> dict:
    """Returns everything that is compared."""
    best = {path.name: digests(path) for path in sorted(run.glob("best-*"))}
    return {"checkpoints": digests(run), "best": best, "lines": lines_of(run)}


class Trial:
    """Kills the run, starts it again, and compares."""

    def __init__(self, folder: pathlib.Path, seed: int):
        self._folder, self._chance = folder, random.Random(seed)
        os.environ["TF_BIGGAN_CACHE"] = str(folder / "cache")
        self._shared = mmap.mmap(-1, 1)
        self._oracle = self._uninterrupted()
        self.places: collections.Counter = collections.Counter()
        self.damages: collections.Counter = collections.Counter()
        self.completed = 0
        self._number = 0
        self._new_run()

    def _uninterrupted(self) -> dict:
        run, log = self._folder / "oracle", self._folder / "oracle.log"
        if not run.exists():  # The file may come from an earlier trial.
            process = forked(lambda: train(run, self._shared, keep_checkpoints=10**6), log)
            assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, log.read_text()
        facts = answer_of(lambda: facts_of(run), self._folder / "answer.json")
        assert len(facts["checkpoints"]) == ITERATIONS
        return facts

    def _new_run(self):
        self._number += 1
        self._run = self._folder / f"run{self._number}"
        self._expected = 0

    def kill(self) -> str:
        """Starts the run, kills it once, and returns a line about the kill."""
        log = self._folder / "child.log"
        self._shared[0] = 0
        process = forked(lambda: train(self._run, self._shared), log)
        place = self._wait_and_kill(process)
        text = log.read_text()
        began = int((re.search(r"Resuming from iteration (\d+)", text) or [0, 0])[1])
        assert began == self._expected, (began, self._expected, text)
        facts = answer_of(lambda: facts_of(self._run), self._folder / "answer.json")
        self._compare(facts)
        if place is None:
            assert "Complete at" in text, text
            assert max(map(int, facts["checkpoints"])) == ITERATIONS
            assert facts["lines"] == self._oracle["lines"]
            self.completed += 1
            shutil.rmtree(self._run)
            self._new_run()
            return f"run {self._number - 1} complete from {began}: equal to the oracle"
        self.places[place] += 1
        told = f"from {began} to {max(map(int, facts['checkpoints']), default=0)}, in {place}"
        return told + self._damage(facts)

    def _wait_and_kill(self, process) -> str | None:
        """Returns the stage at which the run was killed; None if it ended by itself."""
        deadline, begun = time.monotonic() + DEADLINE_SECONDS, None
        life = self._chance.uniform(0, LONGEST_LIFE_SECONDS)
        while True:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                assert os.waitstatus_to_exitcode(status) == 0, (
                    self._folder / "child.log"
                ).read_text()
                return None
            now = time.monotonic()
            begun = begun or (now if self._shared[0] else None)
            if begun and now >= begun + life:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                return PLACES[self._shared[0]]
            assert now < deadline
            time.sleep(0.001)

    def _compare(self, facts):
        checkpoints, oracle = facts["checkpoints"], self._oracle["checkpoints"]
        assert all(oracle[i] == digest for i, digest in checkpoints.items()), self._run
        for name, found in facts["best"].items():
            assert all(oracle[i] == digest for i, digest in found.items()), name
        newest = max(map(int, checkpoints), default=0)
        until = [line for line in facts["lines"] if line["iteration"] <= newest]
        wanted = [line for line in self._oracle["lines"] if line["iteration"] <= newest]
        assert until == wanted
        self._expected = newest

    def _damage(self, facts) -> str:
        number, listing = self.places.total(), self._run / "checkpoints" / "checkpoint"
        if number % LIST_DAMAGED_EVERY == 0 and listing.exists():
            name = self._chance.choice(list(DAMAGES))
            content = DAMAGES[name](self._chance, listing.read_bytes())
            listing.unlink() if content is None else listing.write_bytes(content)
            self.damages["list"] += 1
            return f"; its list of checkpoints: {name}"
        if number % NEWEST_DAMAGED_EVERY == 1 and len(facts["checkpoints"]) > 1:
            newest = max(map(int, facts["checkpoints"]))
            data = self._run / "checkpoints" / f"iteration-{newest}.data-00000-of-00001"
            data.write_bytes(data.read_bytes()[: self._chance.randrange(data.stat().st_size)])
            self._expected = max(int(i) for i in facts["checkpoints"] if int(i) != newest)
            self.damages["newest checkpoint"] += 1
            return f"; iteration-{newest} cut off"
        return ""


def main(folder: str, kills: int, seed: int) -> None:
    """Prints a line for each kill, and a summary."""
    trial = Trial(pathlib.Path(folder), seed)
    print("the oracle is complete", flush=True)
    while trial.places.total() < kills:
        print(f"{trial.places.total() + 1}: {trial.kill()}", flush=True)
    print(f"{kills} kills, {trial.completed} runs complete, all equal to the oracle bit for bit")
    print(f"killed in: {dict(trial.places)}; damaged: {dict(trial.damages)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
