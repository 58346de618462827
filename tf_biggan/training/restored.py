"""Networks of a run as they were at one of its checkpoints, for sampling and evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.checkpoint_files import num_stored
from tf_biggan.config import TrainConfig
from tf_biggan.models.discriminator import Discriminator
from tf_biggan.models.from_config import discriminator_arguments, generator_arguments
from tf_biggan.models.generator import Generator
from tf_biggan.models.num_values import discriminator_values, generator_values, require_stored
from tf_biggan.training.checkpoints import checkpoint_iterations, read_newest
from tf_biggan.training.run_directory import read_config

GENERATOR = (Generator, generator_arguments, generator_values)
# The name that a run's state has for every network; its class, arguments and numbers.
MAKERS = {
    "average": GENERATOR,
    "generator": GENERATOR,
    "discriminator": (Discriminator, discriminator_arguments, discriminator_values),
}


@dataclasses.dataclass(frozen=True)
class RestoredNetworks:
    """Networks of one checkpoint.

    Attributes:
      networks: by their names in a run's state.
      iteration: of the checkpoint.
    """

    networks: dict[str, keras.Model]
    iteration: int


def restore_networks(
    run_dir: str, names: Sequence[str], iteration: int | None = None
) -> RestoredNetworks:
    """Returns networks of a run, all of one checkpoint.

    Args:
      run_dir: folder of the run.
      names: "average" (the moving average of the generator), "generator", "discriminator".
      iteration: of the checkpoint; None for the newest that can be read. Standard error tells which
        cannot be read.

    Raises:
      ValueError: no run or no such checkpoint.
      UnreadableCheckpoint: it cannot be read, or none can.
    """
    iterations = checkpoint_iterations(run_dir)
    checks.require(bool(iterations), "a run must have a checkpoint", run_dir=run_dir)
    checks.require(
        iteration is None or iteration in iterations,
        f"`iteration` must be that of a checkpoint: {', '.join(map(str, iterations))}",
        iteration=iteration,
    )
    config = read_config(run_dir)
    networks = {}

    def read(prefix):
        stored = num_stored(prefix)
        for name in names:
            if name not in networks:
                networks[name] = _new_network(config, name, stored, prefix)
        status = tf.train.Checkpoint(**networks).read(prefix)
        status.assert_existing_objects_matched().expect_partial()

    tried = iterations if iteration is None else [iteration]
    used, _ = read_newest(run_dir, read, iterations=tried)
    return RestoredNetworks(networks, used)


def restore_network(run_dir: str, name: str, iteration: int | None = None) -> keras.Model:
    """Returns one network of a run; see `restore_networks`."""
    return restore_networks(run_dir, [name], iteration).networks[name]


def _new_network(config: TrainConfig, name: str, stored: int, prefix: str) -> keras.Model:
    # The initial values are overwritten at once; "n02" is the cheapest to draw.
    model = dataclasses.replace(config.model, g_initializer="n02", d_initializer="n02")
    kind, arguments_of, num_values = MAKERS[name]
    arguments = arguments_of(model, config.model.num_classes, config.run.seed)
    require_stored(num_values(arguments), stored, prefix)
    return kind(**arguments)
