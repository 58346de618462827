"""The quickstart draws the requested digits in constant memory. Takes minutes."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import threading

import numpy as np
import pytest

from tf_biggan.cli.flags import define, expand_flagfiles, parsed
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.schemes import open_source
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.run_directory import read_config
from tf_biggan.training.loop import train
from tf_biggan.training.start import create_state

FLAGS = pathlib.Path(__file__).parents[2] / "configs" / "quickstart.flags"
# More iterations than in the quickstart, to see whether memory grows.
NUM_ITERATIONS = 5000
PER_CLASS = 50
NEIGHBOURS = 3
STATUS = pathlib.Path("/proc/self/status")
SECONDS_BETWEEN_SIZES = 1.0
ALLOWED_GROWTH_MB = 50.0


@pytest.mark.slow
def test_nine_of_ten_digits_are_the_digit_asked_for(tmp_path):
    from absl import flags

    values = flags.FlagValues()
    define(TrainConfig, values)
    values(expand_flagfiles(["train", f"--flagfile={FLAGS}"]))
    config = parsed(TrainConfig, values)
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
