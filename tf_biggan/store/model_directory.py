"""Reads and writes model folders: config.json and one safetensors file for each network.

config.json also holds the class names and the provenance of the weights. `python -m
tf_biggan.convert` writes model folders; sampling, evaluation, export and fine-tuning read them.

The state of a network's Adam optimiser is in `optimizer_NETWORK.safetensors`, so that training can
resume. The file holds "iterations" and, for every trainable variable, "momentum/PATH" and
"velocity/PATH". PATH is the variable's path relative to its network.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.cli.terminal import one_line
from tf_biggan.files import file_system
from tf_biggan.files.array_files import open_safetensors, write_safetensors
from tf_biggan.files.atomic import check_new, new_folder
from tf_biggan.files.json_files import field, read_json
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path
from tf_biggan.networks.num_values import discriminator_values, generator_values, require_stored

CONFIG_FILE = "config.json"
FORMAT = "tf_biggan model"
FORMAT_VERSION = 1
# If a folder holds a "raw_generator", it is the generator in training and "generator" is its moving
# average.
NETWORKS = {
    "generator": Generator,
    "discriminator": Discriminator,
    "raw_generator": Generator,
}
NUM_VALUES = {Generator: generator_values, Discriminator: discriminator_values}
ITERATIONS, MOMENTUM, VELOCITY = "iterations", "momentum/", "velocity/"


@dataclasses.dataclass(frozen=True)
class ModelDirectory:
    """Content of a model folder's config.json.

    Attributes:
      path: Path of the folder.
      networks: Constructor arguments of each network in the folder, by its name in `NETWORKS`.
      class_names: One name for each class, or empty if the names are unknown.
      provenance: Origin of the weights, as JSON values by name.
    """

    path: str
    networks: Mapping[str, dict]
    class_names: tuple[str, ...]
    provenance: Mapping[str, object]


def is_model_directory(path: str) -> bool:
    """Returns whether a folder is a model folder, judged by the format in its config.json.

    Raises:
      ValueError: The folder has a config.json that is not a JSON object.
    """
    try:
        return read_json(os.path.join(path, CONFIG_FILE)).get("format") == FORMAT
    except OSError:
        return False


def read_directory(path: str) -> ModelDirectory:
    """Returns the content of a model folder's config.json.

    Raises:
      ValueError: The folder is not a model folder, has another format version, or is damaged. The
        message names the file and the field.
    """
    file = os.path.join(path, CONFIG_FILE)
    try:
        config = read_json(file)
    except OSError as error:
        raise ValueError(f"Cannot read {file}: {error.strerror}") from error
    checks.require(
        config.get("format") == FORMAT and config.get("format_version") == FORMAT_VERSION,
        f"the model folder has a format that this version cannot read (it reads {FORMAT!r},"
        f" version {FORMAT_VERSION}); convert the weights again",
        path=path,
        format=config.get("format"),
        version=config.get("format_version"),
    )
    networks = {name: field(config, name, "dict", file) for name in NETWORKS if config.get(name)}
    class_names = field(config, "class_names", "tuple[str, ...]", file)
    provenance = field(config, "provenance", "dict", file)
    return ModelDirectory(path, networks, tuple(class_names), provenance)


def write_directory(
    path: str,
    networks: Mapping[str, keras.Model],
    class_names: tuple[str, ...] = (),
    provenance: Mapping[str, object] | None = None,
    slots: Mapping[str, OptimizerSlots] | None = None,
) -> None:
    """Writes a model folder.

    The folder is written under a temporary name and then renamed, so that `path` never holds an
    incomplete model. At an address such as gs://bucket/model, config.json is written last; readers
    do not accept a folder without it as a model.

    Args:
      path: Path of the folder. It must not exist, or be an empty folder.
      networks: Networks to write, by their names in `NETWORKS`.
      class_names: One name for each class, or empty.
      provenance: Origin of the weights, as JSON values by name.
      slots: State of the Adam optimisers, by the names of their networks.

    Raises:
      ValueError: `path` exists and is not an empty folder, or the number of class names differs
        from a network's number of classes.
    """
    check_new(path)
    for network in networks.values():
        checks.require(
            not class_names or len(class_names) == network.num_classes,
            f"`class_names` must hold {network.num_classes} names, one for each class, or be empty",
            class_names=len(class_names),
        )
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **{name: network.get_config() for name, network in networks.items()},
        "class_names": list(class_names),
        "provenance": dict(provenance or {}),
    }
    with new_folder(path, last=CONFIG_FILE) as temporary:
        for name, network in networks.items():
            write_safetensors(os.path.join(temporary, _weights_file(name)), _arrays(network))
        for name, state in (slots or {}).items():
            write_optimizer_slots(temporary, name, state)
        with open(os.path.join(temporary, CONFIG_FILE), "w", encoding="utf-8") as file:
            file.write(json.dumps(config, indent=2) + "\n")


def load_network(directory: ModelDirectory, name: str, **overrides) -> keras.Model:
    """Returns a network of a model folder with its weights.

    Args:
      directory: Content of the folder's config.json, as `read_directory` returns it.
      name: Name of the network, one of `NETWORKS`.
      **overrides: Constructor arguments to use in place of the stored ones, such as `dtype`.

    Raises:
      ValueError: The folder has no such network, or the network's weights are damaged or do not fit
        the arguments in config.json.
    """
    checks.require(
        name in directory.networks,
        f"the model folder holds no {name}; convert the weights again together with the file"
        f" of the {name}",
        path=directory.path,
        networks=sorted(directory.networks),
    )
    # The initial values are overwritten at once, so the initialiser that is fastest is used.
    config = {**directory.networks[name], "initializer": "n02", **overrides}
    path = os.path.join(directory.path, _weights_file(name))
    with open_safetensors(path) as stored:
        numbers = sum(math.prod(stored.get_slice(key).get_shape()) for key in stored.keys())
        network = _new_network(directory, name, config, numbers, path)
        _assign(network, stored)
    return network


def _new_network(directory, name, config, numbers, path) -> keras.Model:
    """Builds a network, unless the file at `path` stores far fewer numbers than the network has.

    Without this check, a damaged config.json could describe a network that fills the memory.
    """
    try:
        require_stored(NUM_VALUES[NETWORKS[name]](config), numbers, path)
        return NETWORKS[name].from_config(config)
    # The type of the error depends on which argument of a damaged file is wrong.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        file = os.path.join(directory.path, CONFIG_FILE)
        raise ValueError(
            f"Cannot read {file}: its arguments of {name!r} do not describe a network"
            f" ({type(error).__name__}: {one_line(str(error))})"
        ) from error


def _weights_file(name: str) -> str:
    return f"{name}.safetensors"


def _arrays(network: keras.Model) -> dict[str, np.ndarray]:
    return {path: np.asarray(variable) for path, variable in variables_by_path(network).items()}


def _assign(network: keras.Model, stored) -> None:
    """Assigns the tensors of a safetensors file, after checking that all names and shapes fit."""
    variables, keys = variables_by_path(network), set(stored.keys())
    shapes = {key: tuple(stored.get_slice(key).get_shape()) for key in keys}
    wanted = {path: tuple(variable.shape) for path, variable in variables.items()}
    checks.require(
        shapes == wanted,
        "the weights do not fit the network that config.json describes; convert the weights again",
        left_over=sorted(keys - set(wanted)),
        missing=sorted(set(wanted) - keys),
        other_shapes=sorted(k for k in keys & set(wanted) if shapes[k] != wanted[k]),
    )
    for path, variable in variables.items():
        variable.assign(stored.get_tensor(path))


@dataclasses.dataclass(frozen=True)
class OptimizerSlots:
    """State of the Adam optimiser of one network.

    Attributes:
      iterations: Number of optimiser steps taken.
      momentum: Moving average of each variable's gradients (`exp_avg` in PyTorch). Keys are paths
        relative to the network; each array has the shape of its variable.
      velocity: Moving average of each variable's squared gradients (`exp_avg_sq` in PyTorch), with
        the same keys and shapes.
    """

    iterations: int
    momentum: Mapping[str, np.ndarray]
    velocity: Mapping[str, np.ndarray]


def write_optimizer_slots(folder: str, network: str, slots: OptimizerSlots) -> None:
    """Writes the optimiser state of a network to a model folder.

    Args:
      folder: Path of the model folder.
      network: "generator", "raw_generator" or "discriminator".
      slots: State to write.
    """
    arrays = {ITERATIONS: np.array(slots.iterations, "int64")}
    for prefix, values in ((MOMENTUM, slots.momentum), (VELOCITY, slots.velocity)):
        arrays |= {prefix + path: np.asarray(value, order="C") for path, value in values.items()}
    write_safetensors(_file(folder, network), arrays)


def load_optimizer_slots(folder: str, network: str) -> OptimizerSlots | None:
    """Returns the optimiser state of a network in a model folder.

    The caller assigns the state to a Keras Adam that was built on the network. Keras's Adam keeps
    `_momentums` and `_velocities` in the order of its trainable variables, whereas the keys of the
    state are the variables' paths relative to the network.

    Args:
      folder: Path of the model folder.
      network: "generator", "raw_generator" or "discriminator". If the folder holds a
        "raw_generator", the optimiser state belongs to this network. "generator" is then a moving
        average and has none.

    Returns:
      The state, or None if the folder holds no state for that network.

    Raises:
      ValueError: The file is damaged.
    """
    path = _file(folder, network)
    if not file_system.exists(path):
        return None
    with open_safetensors(path) as stored:
        arrays = {key: stored.get_tensor(key) for key in stored.keys()}
    return OptimizerSlots(
        int(arrays[ITERATIONS]), _below(arrays, MOMENTUM), _below(arrays, VELOCITY)
    )


def _file(folder, network):
    return os.path.join(folder, f"optimizer_{network}.safetensors")


def _below(arrays, prefix):
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
