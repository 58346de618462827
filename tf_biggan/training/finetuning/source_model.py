"""The model that a run starts from: arrays and arguments of its networks, and its class names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.evaluation.features.generated_images import weights_sha256
from tf_biggan.networks.architectures import Architecture
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.model_directory import is_model_directory, load_network, read_directory
from tf_biggan.store.optimizer_slots import OptimizerSlots, load_optimizer_slots
from tf_biggan.store.run_directory import is_run, read_class_names, read_initialization
from tf_biggan.store.run_networks import restore_networks

RAW = "raw_generator"


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
      raw_generator: the generator in training, where its optimiser is to go on.
      slots: of "generator" and "discriminator", where their optimisers are to go on; else empty.
    """

    description: Mapping[str, object]
    generator: SourceNetwork
    discriminator: SourceNetwork | None
    class_names: tuple[str, ...]
    raw_generator: SourceNetwork | None = None
    slots: Mapping[str, OptimizerSlots] = dataclasses.field(default_factory=dict)

    @property
    def architecture(self) -> Architecture:
        """The generator's."""
        return Architecture.from_dict(self.generator.config["architecture"])


def read_source_model(path: str, with_optimizers: bool = False) -> SourceModel:
    """The newest checkpoint of a run, or a converted model.

    Args:
      path: of the folder.
      with_optimizers: whether the state of both optimisers is read, and the raw generator where
        there is one.

    Raises:
      ValueError: there is neither at `path`, or it is damaged, or it has no generator, or no
        slots where they are asked for.
    """
    checks.require_existing(
        "model of --init_from", path, "the folder of a run or of a converted model"
    )
    # Next to the networks in training there is no room for another pair on an accelerator.
    with tf.device("CPU:0"):
        if is_run(path):
            checks.require(
                not with_optimizers,
                "a run's optimisers go on in the run itself: the same run_dir, more iterations",
                init_from=path,
            )
            return _of_run(path)
        checks.require(
            is_model_directory(path),
            "a run starts from the folder of another run or of a converted model",
            init_from=path,
        )
        source = _of_directory(path)
        return _with_optimizers(path, source) if with_optimizers else source


def _of_run(path):
    description = {"path": path, "kind": "run", "weights": "ema"}
    restored = restore_networks(path, ["average", "discriminator"])
    description["iteration"] = restored.iteration
    description["weights_sha256"] = weights_sha256(restored.networks["average"])
    if (record := read_initialization(path)) is not None:
        description["initialization"] = record
    taken = {name: _taken(network) for name, network in restored.networks.items()}
    names = read_class_names(path)
    return SourceModel(description, taken["average"], taken["discriminator"], names)


def _of_directory(path):
    directory = read_directory(path)
    network = load_network(directory, "generator")
    has_discriminator = "discriminator" in directory.networks
    discriminator = _taken(load_network(directory, "discriminator")) if has_discriminator else None
    description = {"path": path, "kind": "model", "provenance": dict(directory.provenance)}
    description["weights_sha256"] = weights_sha256(network)
    return SourceModel(description, _taken(network), discriminator, directory.class_names)


def _with_optimizers(path, source) -> SourceModel:
    directory, raw = read_directory(path), None
    if RAW in directory.networks:
        raw = _taken(load_network(directory, RAW))
    files = {"generator": RAW if raw else "generator", "discriminator": "discriminator"}
    slots = {name: load_optimizer_slots(path, file) for name, file in files.items()}
    missing = [name for name, found in slots.items() if found is None]
    checks.require(
        not missing,
        "optimisers go on only from a model that was converted with their files, of both networks",
        init_from=path,
        without=missing,
    )
    return dataclasses.replace(source, raw_generator=raw, slots=slots)


def _taken(network) -> SourceNetwork:
    arrays = {path: np.array(variable) for path, variable in variables_by_path(network).items()}
    return SourceNetwork(network.get_config(), arrays)
