"""The model that a run starts from: arrays and arguments of its networks, and its class names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.model_store.directory import is_model_directory, load_network, read_directory
from tf_biggan.training.restored import checkpoint_iterations, restore_network
from tf_biggan.training.run_directory import is_run, read_class_names


@dataclasses.dataclass(frozen=True)
class SourceNetwork:
    """One network: its arguments (`get_config`) and its variables by their path below it."""

    config: Mapping[str, object]
    arrays: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class SourceModel:
    """A model to start from.

    Attributes:
      description: JSON values by name that say which model it is.
      generator: its generator; of a run the moving average.
      discriminator: its discriminator; None where the source has none.
      class_names: one name a class; empty where none are known.
    """

    description: Mapping[str, object]
    generator: SourceNetwork
    discriminator: SourceNetwork | None
    class_names: tuple[str, ...]


def read_source_model(path: str) -> SourceModel:
    """The newest checkpoint of a run, or a converted model.

    Raises:
      ValueError: there is neither at `path`, or it is damaged, or it has no generator.
    """
    # Next to the networks in training there is no room for another pair on an accelerator.
    with tf.device("CPU:0"):
        if is_run(path):
            return _of_run(path)
        checks.require(
            is_model_directory(path),
            "a run starts from the folder of another run or of a converted model",
            init_from=path,
        )
        return _of_directory(path)


def variables_by_path(network: keras.Model) -> dict:
    """The network's variables by their path below it."""
    prefix = f"{network.path}/"
    return {variable.path.removeprefix(prefix): variable for variable in network.variables}


def _of_run(path):
    description = {"path": path, "kind": "run", "weights": "ema"}
    generator = _taken(restore_network(path, "average"))
    discriminator = _taken(restore_network(path, "discriminator"))
    description["iteration"] = checkpoint_iterations(path)[-1]
    return SourceModel(description, generator, discriminator, read_class_names(path))


def _of_directory(path):
    directory = read_directory(path)
    generator = _taken(load_network(directory, "generator"))
    has_discriminator = "discriminator" in directory.networks
    discriminator = _taken(load_network(directory, "discriminator")) if has_discriminator else None
    description = {"path": path, "kind": "model", "provenance": dict(directory.provenance)}
    return SourceModel(description, generator, discriminator, directory.class_names)


def _taken(network) -> SourceNetwork:
    arrays = {path: np.array(variable) for path, variable in variables_by_path(network).items()}
    return SourceNetwork(network.get_config(), arrays)
