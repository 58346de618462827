"""Networks of a run as they were at one of its checkpoints, for sampling and evaluation."""

from __future__ import annotations

import dataclasses
import os

import keras
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.config import TrainConfig
from tf_biggan.models.from_config import discriminator_from, generator_from
from tf_biggan.training.checkpoints import FOLDER, PREFIX, UNREADABLE
from tf_biggan.training.run_directory import read_config

# The name that a run's state has for every network, and what makes it.
MAKERS = {
    "average": generator_from,
    "generator": generator_from,
    "discriminator": discriminator_from,
}


def checkpoint_iterations(run_dir: str) -> list[int]:
    """Iterations of a run's checkpoints, oldest first; [] where there are none."""
    folder = os.path.join(run_dir, FOLDER)
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = (name.removeprefix(f"{PREFIX}-").removesuffix(".index") for name in names)
    return sorted(int(name) for name in found if name.isdigit())


def restore_network(run_dir: str, name: str, iteration: int | None = None) -> keras.Model:
    """One network of a run.

    Args:
      run_dir: folder of the run.
      name: "average" (the moving average of the generator), "generator" or "discriminator".
      iteration: of the checkpoint; None for the newest.

    Raises:
      ValueError: no run, no such checkpoint, or it cannot be read.
    """
    iterations = checkpoint_iterations(run_dir)
    checks.require(bool(iterations), "a run must have a checkpoint", run_dir=run_dir)
    iteration = iterations[-1] if iteration is None else iteration
    checks.require(
        iteration in iterations,
        f"`iteration` must be that of a checkpoint: {', '.join(map(str, iterations))}",
        iteration=iteration,
    )
    network = _new_network(read_config(run_dir), name)
    path = os.path.join(run_dir, FOLDER, f"{PREFIX}-{iteration}")
    try:
        status = tf.train.Checkpoint(**{name: network}).restore(path)
        status.assert_existing_objects_matched().expect_partial()
    except UNREADABLE as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"A checkpoint must be complete. Received: {path} ({reason}).") from error
    return network


def _new_network(config: TrainConfig, name: str) -> keras.Model:
    # The initial values are overwritten at once; "n02" is the cheapest to draw.
    model = dataclasses.replace(config.model, g_initializer="n02", d_initializer="n02")
    return MAKERS[name](model, config.model.num_classes, config.run.seed)
