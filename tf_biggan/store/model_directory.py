"""The folder of a model: config.json, one safetensors file a network, class names, provenance.

`python -m tf_biggan.convert` writes it; sampling, evaluation, export and fine-tuning read it.
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
from tf_biggan.files.atomic import check_new, new_folder
from tf_biggan.files.json_files import field, read_json
from tf_biggan.files.safetensors_files import open_safetensors, write_safetensors
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path
from tf_biggan.networks.num_values import discriminator_values, generator_values, require_stored
from tf_biggan.store.optimizer_slots import OptimizerSlots, write_optimizer_slots

CONFIG_FILE = "config.json"
FORMAT = "tf_biggan model"
FORMAT_VERSION = 1
# "raw_generator" is the generator in training, where "generator" is its moving average.
NETWORKS = {
    "generator": Generator,
    "discriminator": Discriminator,
    "raw_generator": Generator,
}
NUM_VALUES = {Generator: generator_values, Discriminator: discriminator_values}


@dataclasses.dataclass(frozen=True)
class ModelDirectory:
    """What config.json of a model's folder says.

    Attributes:
      path: the folder.
      networks: arguments of every network that is there, by a name of `NETWORKS`.
      class_names: one name a class; empty where none are known.
      provenance: where the weights come from: any JSON values by name.
    """

    path: str
    networks: Mapping[str, dict]
    class_names: tuple[str, ...]
    provenance: Mapping[str, object]


def is_model_directory(path: str) -> bool:
    """Returns whether a folder holds a config.json of this format.

    Raises:
      ValueError: the folder has a config.json that is no JSON object.
    """
    try:
        return read_json(os.path.join(path, CONFIG_FILE)).get("format") == FORMAT
    except OSError:
        return False


def read_directory(path: str) -> ModelDirectory:
    """The description of a model's folder.

    Raises:
      ValueError: it is no folder of a model, or one of another format version, or damaged; the
        message names the file and the field.
    """
    file = os.path.join(path, CONFIG_FILE)
    try:
        config = read_json(file)
    except OSError as error:
        raise ValueError(f"Cannot read {file}: {error.strerror}") from error
    checks.require(
        config.get("format") == FORMAT and config.get("format_version") == FORMAT_VERSION,
        f"the folder must be of format {FORMAT!r}, version {FORMAT_VERSION}; convert it again",
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
    """Writes a model's folder under a temporary name, then renames it.

    Args:
      path: must not exist, or be an empty folder.
      networks: by names of `NETWORKS`.
      class_names: one name a class, or none.
      provenance: JSON values by name.
      slots: state of the optimisers, by names of networks.

    Raises:
      ValueError: there is something at `path`, or there are names for other classes.
    """
    check_new(path)
    for network in networks.values():
        checks.require(
            not class_names or len(class_names) == network.num_classes,
            f"there must be a name for each of {network.num_classes} classes, or none",
            class_names=len(class_names),
        )
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **{name: network.get_config() for name, network in networks.items()},
        "class_names": list(class_names),
        "provenance": dict(provenance or {}),
    }
    with new_folder(path) as temporary:
        for name, network in networks.items():
            write_safetensors(os.path.join(temporary, _weights_file(name)), _arrays(network))
        for name, state in (slots or {}).items():
            write_optimizer_slots(temporary, name, state)
        with open(os.path.join(temporary, CONFIG_FILE), "w", encoding="utf-8") as file:
            file.write(json.dumps(config, indent=2) + "\n")


def load_network(directory: ModelDirectory, name: str, **overrides) -> keras.Model:
    """A network of the folder with its weights.

    Args:
      name: one of `NETWORKS`.
      **overrides: arguments of the network to replace, such as `dtype`.

    Raises:
      ValueError: the folder has no such network, or its weights are damaged or do not fit.
    """
    checks.require(
        name in directory.networks,
        f"the model must have a {name}",
        path=directory.path,
        networks=sorted(directory.networks),
    )
    # The initial values are overwritten at once; "n02" is the cheapest to draw.
    config = {**directory.networks[name], "initializer": "n02", **overrides}
    path = os.path.join(directory.path, _weights_file(name))
    with open_safetensors(path) as stored:
        numbers = sum(math.prod(stored.get_slice(key).get_shape()) for key in stored.keys())
        network = _new_network(directory, name, config, numbers, path)
        _assign(network, stored)
    return network


def _new_network(directory, name, config, numbers, path) -> keras.Model:
    """A network of these arguments, if the file at `path` has as many numbers as it."""
    try:
        require_stored(NUM_VALUES[NETWORKS[name]](config), numbers, path)
        return NETWORKS[name].from_config(config)
    # What the arguments of a damaged file raise depends on which they are.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        file = os.path.join(directory.path, CONFIG_FILE)
        raise ValueError(
            f"Cannot read {file}: the arguments of {name!r} make no network"
            f" ({type(error).__name__}: {one_line(str(error))})"
        ) from error


def _weights_file(name: str) -> str:
    return f"{name}.safetensors"


def _arrays(network: keras.Model) -> dict[str, np.ndarray]:
    return {path: np.asarray(variable) for path, variable in variables_by_path(network).items()}


def _assign(network: keras.Model, stored) -> None:
    variables, keys = variables_by_path(network), set(stored.keys())
    shapes = {key: tuple(stored.get_slice(key).get_shape()) for key in keys}
    wanted = {path: tuple(variable.shape) for path, variable in variables.items()}
    checks.require(
        shapes == wanted,
        "the weights must fit the network of config.json",
        left_over=sorted(keys - set(wanted)),
        missing=sorted(set(wanted) - keys),
        other_shapes=sorted(k for k in keys & set(wanted) if shapes[k] != wanted[k]),
    )
    for path, variable in variables.items():
        variable.assign(stored.get_tensor(path))
