"""Reads the source model of a fine-tuning run: weights, arguments and class names."""

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
    """The arguments (`get_config`) of a network, and its variables as arrays by path."""

    config: Mapping[str, object]
    arrays: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class SourceModel:
    """The source model of a fine-tuning run.

    Attributes:
      description: JSON values by name that identify the model.
      generator: The generator; for a run, its moving average.
      discriminator: The discriminator; None if the source has none.
      class_names: One name per class; empty if the names are unknown.
      raw_generator: The generator without averaging, if its optimiser is continued; else None.
      slots: The optimiser slots of "generator" and "discriminator", if their optimisers are
        continued; else empty.
    """

    description: Mapping[str, object]
    generator: SourceNetwork
    discriminator: SourceNetwork | None
    class_names: tuple[str, ...]
    raw_generator: SourceNetwork | None = None
    slots: Mapping[str, OptimizerSlots] = dataclasses.field(default_factory=dict)

    @property
    def architecture(self) -> Architecture:
        """The architecture of the generator."""
        return Architecture.from_dict(self.generator.config["architecture"])


def read_source_model(path: str, with_optimizers: bool = False) -> SourceModel:
    """Reads the newest checkpoint of a run, or a converted model.

    Args:
      path: Folder of the run or of the model.
      with_optimizers: Whether to read the slots of both optimisers, and the raw generator if there
        is one.

    Raises:
      ValueError: `path` holds neither, it is damaged, it has no generator, or slots are requested
        and missing.
    """
    checks.require_existing(
        "model of --init_from", path, "the folder of a run or of a converted model"
    )
    # An accelerator may have no memory for a second pair of networks.
    with tf.device("CPU:0"):
        if is_run(path):
            checks.require(
                not with_optimizers,
                "`init_optimizers` needs a converted model; to continue a run, train again with its"
                " --run_dir and a larger --num_iterations",
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
        "`init_optimizers` needs a model that was converted with the optimiser files of both"
        " networks",
        init_from=path,
        without=missing,
    )
    return dataclasses.replace(source, raw_generator=raw, slots=slots)


def _taken(network) -> SourceNetwork:
    arrays = {path: np.array(variable) for path, variable in variables_by_path(network).items()}
    return SourceNetwork(network.get_config(), arrays)
