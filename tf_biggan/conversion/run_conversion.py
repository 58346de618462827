"""Runs a conversion from its settings: published weights to a model folder, or the reverse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from tf_biggan import checks
from tf_biggan.cli.convert_settings import IMAGENET, NO_NAMES, ConvertConfig
from tf_biggan.conversion.converter import (
    build_networks,
    optimizer_slots,
    plan_conversion,
    provenance,
)
from tf_biggan.conversion.families import Choices
from tf_biggan.conversion.to_biggan_pytorch import argument_lines, write_checkpoints
from tf_biggan.conversion.weight_sources import open_source
from tf_biggan.data.classes import imagenet_classes
from tf_biggan.files import file_system
from tf_biggan.files.atomic import check_new
from tf_biggan.files.text_files import read_text
from tf_biggan.store.handles import resolve
from tf_biggan.store.model_directory import (
    is_model_directory,
    load_network,
    read_directory,
    write_directory,
)
from tf_biggan.store.run_directory import is_run, restore_networks

IMAGENET_CLASSES = 1000


def convert(config: ConvertConfig) -> None:
    """Converts the input that the settings name, writes the output and prints what was done.

    Raises:
      ValueError: the input cannot be converted completely, or the output exists and is not an empty
        folder. In both cases, nothing is written.
    """
    config.require_given()
    if config.to is None:
        _convert_here(config)
    else:
        _convert_back(config)


def _convert_here(config: ConvertConfig) -> None:
    check_new(config.output)
    names = Choices.__dataclass_fields__
    with _naming_input(config.input):
        resolved = resolve(config.input)
        source = open_source(resolved.path, config.family, config.suffix)
        plan = plan_conversion(source, Choices(**{name: getattr(config, name) for name in names}))
        print(*plan.describe(), sep="\n")
        networks = build_networks(plan)
    num_classes = next(iter(networks.values())).num_classes
    write_directory(
        config.output,
        networks,
        class_names(config.class_names, num_classes),
        {"input": resolved.name, **provenance(plan, config.licence_note)},
        optimizer_slots(plan, networks),
    )
    if "generator" in networks:
        print(f"Wrote {config.output}, which evaluate takes as --model and train as --init_from.")
    else:
        print(f"Wrote {config.output}, which holds a discriminator and no generator.")


@contextlib.contextmanager
def _naming_input(path: str) -> Iterator[None]:
    """Adds the path of the input to an error whose message does not contain it."""
    try:
        yield
    except ValueError as error:
        if path in str(error):
            raise
        raise ValueError(f"{error} Input: {path}.") from error


def class_names(wanted: str | None, num_classes: int) -> tuple[str, ...]:
    """Returns a name for each class, or () for classes without names.

    Args:
      wanted: "imagenet", "none" or the path of a text file with one name per line. None means
        "imagenet" if there are 1,000 classes, and "none" otherwise.
      num_classes: number of classes.
    """
    if wanted == NO_NAMES or (wanted is None and num_classes != IMAGENET_CLASSES):
        return ()
    if wanted in (None, IMAGENET):
        return tuple(imagenet_classes().values())
    lines = read_text(wanted, f"class names {wanted!r}").split("\n")
    return tuple(line.strip() for line in lines if line.strip())


def _convert_back(config: ConvertConfig) -> None:
    networks = _networks_of(resolve(config.input).path)
    files = write_checkpoints(networks, config.output, config.format)
    print(*(f"Wrote {file}" for file in files), *argument_lines(networks), sep="\n")


def _networks_of(path: str) -> dict[str, keras.Model]:
    """Returns the networks of a run or of a model folder, by their names in a model folder."""
    file_system.require_existing("input", path, "the folder of a run or of a model")
    if is_run(path):
        names = {"generator": "average", "raw_generator": "generator"}
        names["discriminator"] = "discriminator"
        restored = restore_networks(path, list(names.values())).networks
        return {name: restored[stored] for name, stored in names.items()}
    checks.require(
        is_model_directory(path),
        "the input of --to must be the folder of a run or of a converted model",
        path=path,
    )
    directory = read_directory(path)
    return {name: load_network(directory, name) for name in directory.networks}
