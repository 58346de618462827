"""The quickstart draws the requested digits in constant memory, and a collapse is undone.

Takes minutes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import threading

import absl.flags
import numpy as np
import pytest

from tests.documentation import package_commands
from tf_biggan.cli.flags import define, expand_flagfiles, parsed
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.schemes import open_source
from tf_biggan.store.checkpoints import Checkpoints, checkpoint_iterations
from tf_biggan.store.run_directory import read_config
from tf_biggan.training.logs import read_metrics
from tf_biggan.training.loop import train
from tf_biggan.training.start import create_state

FLAGS = pathlib.Path(__file__).parents[2] / "configs" / "quickstart.flags"
# More iterations than in the quickstart, to see whether memory grows.
NUM_ITERATIONS = 5000
PER_CLASS = 50
NEIGHBOURS = 3
# A score is bad if it is worse than the best one by more than this factor (--collapse_factor).
COLLAPSED = 2.0
STATUS = pathlib.Path("/proc/self/status")
SECONDS_BETWEEN_SIZES = 1.0
ALLOWED_GROWTH_MB = 50.0


@pytest.mark.slow
def test_nine_of_ten_digits_are_the_digit_asked_for(tmp_path):
    config = _config([f"--flagfile={FLAGS}"])
    longer = dataclasses.replace(config.run, num_iterations=NUM_ITERATIONS)
    with _sizes_noted() as sizes:
        assert train(dataclasses.replace(config, run=longer), str(tmp_path / "run"))
    _check_flat(sizes)
    state = create_state(read_config(str(tmp_path / "run")))
    Checkpoints(state, str(tmp_path / "run"), 2).restore()
    labels = np.repeat(np.arange(10), PER_CLASS)
    z = np.random.RandomState(0).standard_normal((len(labels), state.average.latent_dim))
    images = state.average(z.astype("float32"), labels).numpy()
    assert (_nearest_classes(images) == labels).mean() >= 0.9


@pytest.mark.slow
def test_the_collapse_of_the_documentation_is_noticed_and_undone(tmp_path, monkeypatch):
    monkeypatch.chdir(FLAGS.parents[1])
    commands = [arguments for _, arguments in package_commands("docs/training.md")]
    (start,) = (flags for flags in commands if "--run_dir=runs/start" in flags)
    (collapse,) = (flags for flags in commands if "--on_collapse=rollback" in flags)
    of_start, of_collapse = str(tmp_path / "start"), str(tmp_path / "collapse")
    assert train(_config(start), of_start)
    config = _config([*collapse, f"--init_from={of_start}"])
    assert train(config, of_collapse)

    entries = read_metrics(of_collapse)
    scores = {e["iteration"]: e["classifier_fid"] for e in entries if "classifier_fid" in e}
    back = min(entry["iteration"] for entry in entries if "rollback" in entry) - 1
    before = {iteration: fid for iteration, fid in scores.items() if iteration <= back}
    best = min(before.values())
    bad = [iteration for iteration, fid in before.items() if fid > COLLAPSED * best]
    # The second bad evaluation is the one after which the run goes back.
    assert bad[-2:] == sorted(before)[-2:] and bad[-1] == back and len(bad) == 2
    after = [fid for iteration, fid in scores.items() if iteration > back]
    assert scores[config.run.num_iterations] < best < min(before[i] for i in bad)
    (kept,) = checkpoint_iterations(f"{of_collapse}/best-classifier_fid")
    assert scores[kept] == min(best, *after)


def _config(arguments):
    values = absl.flags.FlagValues()
    define(TrainConfig, values)
    settings = [flag for flag in arguments if not flag.startswith("--run_dir=")]
    values(expand_flagfiles(["train", *settings]))
    return parsed(TrainConfig, values)


@contextlib.contextmanager
def _sizes_noted():
    """Appends the megabytes of this process to a list every second within a `with` block."""
    sizes, ended = [], threading.Event()

    def note():
        while STATUS.exists() and not ended.wait(SECONDS_BETWEEN_SIZES):
            (line,) = (line for line in STATUS.read_text().splitlines() if "VmRSS" in line)
            sizes.append(int(line.split()[1]) / 1024)

    thread = threading.Thread(target=note)
    thread.start()
    try:
        yield sizes
    finally:
        ended.set()
        thread.join()


def _check_flat(sizes):
    """Checks that the last quarter of a run uses as much memory as the second quarter."""
    quarter = len(sizes) // 4
    before, after = np.median(sizes[quarter : 2 * quarter]), np.median(sizes[-quarter:])
    print(f"memory: {before:.0f} MB in the second quarter, {after:.0f} MB in the last")
    assert after - before < ALLOWED_GROWTH_MB


def _nearest_classes(images):
    """Returns the majority class among the nearest real digits, at 8x8 pixels."""
    digits = open_source("digits")
    real = np.stack([digits.load(i, 1).numpy() for i in range(digits.num_images)])
    real = real.reshape(len(real), 64) / 127.5 - 1.0
    small = images.reshape(len(images), 8, 2, 8, 2).mean((2, 4)).reshape(len(images), 64)
    distances = ((small**2).sum(1)[:, None] - 2 * small @ real.T) + (real**2).sum(1)
    nearest = digits.labels[np.argsort(distances, axis=1)[:, :NEIGHBOURS]]
    return np.array([np.bincount(row, minlength=10).argmax() for row in nearest])
