"""Reads the source model of a fine-tuning run: weights, arguments, class names and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.image_sizes import as_resolution
from tf_biggan.cli.network_settings import ModelConfig
from tf_biggan.conversion.rules import FOLDED
from tf_biggan.evaluation.features.generated_images import weights_sha256
from tf_biggan.files import file_system
from tf_biggan.networks.architecture_files import (
    FIRST_SIZE,
    USUAL_FIRST_SIZE,
    parse_architecture,
    shown,
)
from tf_biggan.networks.architectures import ARCHITECTURES, Architecture
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.handles import resolve
from tf_biggan.store.model_directory import (
    OptimizerSlots,
    is_model_directory,
    load_network,
    load_optimizer_slots,
    read_directory,
)
from tf_biggan.store.run_directory import (
    is_run,
    read_class_names,
    read_initialization,
    restore_networks,
)

RAW = "raw_generator"
# Each table maps an argument of the network to the setting of a run that has its value.
GENERATOR = {
    "image_channels": "image_channels",
    "base_channels": "g_channels",
    "depth": "g_depth",
    "latent_dim": "latent_dim",
    "latent_injection": "latent_injection",
    "embedding_dim": "embedding_dim",
    "attention_stages": "g_attention",
    "bn_epsilon": "bn_epsilon",
    "output_bn_epsilon": "output_bn_epsilon",
}
DISCRIMINATOR = {
    "base_channels": "d_channels",
    "depth": "d_depth",
    "attention_stages": "d_attention",
    "wide": "d_wide",
    "rectified_shortcuts": "d_rectified_shortcuts",
}
# A new discriminator takes the values of these arguments from the generator. In every published
# model, the two networks have the same values.
FRESH_DISCRIMINATOR = {"base_channels": "d_channels", "depth": "d_depth"}
ROW = ("variant", "resolution", "architecture")
SETTINGS = {*ROW, *GENERATOR.values(), *DISCRIMINATOR.values(), "sn_epsilon"}
DEFAULTS = {field.name: field.default for field in dataclasses.fields(ModelConfig)}


@dataclasses.dataclass(frozen=True)
class SourceNetwork:
    """The arguments (`get_config`) of a network, and its variables as arrays by path."""

    config: Mapping[str, object]
    arrays: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class SourceModel:
    """The source model of a fine-tuning run.

    Attributes:
      description: JSON values by name that identify the model, such as its path.
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


def read_source_model(handle: str, with_optimizers: bool = False) -> SourceModel:
    """Reads the newest checkpoint of a run, or a converted model.

    Args:
      handle: Folder of the run or of the model, or its handle in a hub; see `handles.resolve`.
      with_optimizers: Whether to also read the slots of both optimisers and, if the folder has
        it, the raw generator.

    Raises:
      ValueError: The folder holds neither a run nor a model, is damaged, or has no generator. Or
        `with_optimizers` is True, but the folder is a run or has no optimiser slots.
    """
    resolved = resolve(handle)
    path = resolved.path
    file_system.require_existing(
        "model of --init_from", path, "the folder of a run or of a converted model"
    )
    # An accelerator may have no memory for a second pair of networks.
    with tf.device("CPU:0"):
        if is_run(path):
            checks.require(
                not with_optimizers,
                "`init_optimizers` works only with a converted model; to continue a run, use"
                " its --run_dir and a larger --num_iterations",
                init_from=handle,
            )
            return _of_run(path, resolved.name)
        checks.require(
            is_model_directory(path),
            "--init_from must be the folder of a run or of a converted model",
            init_from=handle,
        )
        source = _of_directory(path, resolved.name)
        return _with_optimizers(path, source) if with_optimizers else source


def _of_run(path, name):
    restored = restore_networks(path, ["average", "discriminator"])
    description = {
        "path": name,
        "kind": "run",
        "weights": "ema",
        "iteration": restored.iteration,
        "weights_sha256": weights_sha256(restored.networks["average"]),
    }
    if (record := read_initialization(path)) is not None:
        description["initialization"] = record
    taken = {name: _taken(network) for name, network in restored.networks.items()}
    names = read_class_names(path)
    return SourceModel(description, taken["average"], taken["discriminator"], names)


def _of_directory(path, name):
    directory = read_directory(path)
    network = load_network(directory, "generator")
    has_discriminator = "discriminator" in directory.networks
    discriminator = _taken(load_network(directory, "discriminator")) if has_discriminator else None
    description = {
        "path": name,
        "kind": "model",
        "provenance": dict(directory.provenance),
        "weights_sha256": weights_sha256(network),
    }
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
        "`init_optimizers` needs the states of both optimisers; convert the model again with"
        " its optimiser files, or leave `init_optimizers` out",
        init_from=path,
        without=missing,
    )
    return dataclasses.replace(source, raw_generator=raw, slots=slots)


def _taken(network) -> SourceNetwork:
    arrays = {path: np.array(variable) for path, variable in variables_by_path(network).items()}
    return SourceNetwork(network.get_config(), arrays)


def settings_of_source(source: SourceModel) -> Mapping[str, object]:
    """Returns the settings, by name, that give a run the same networks as the source.

    If the source has no discriminator, `with_settings` decides the width and the depth of the new
    discriminator.

    Raises:
      ValueError: A run cannot have the source's networks, or the source's generator and
        discriminator do not belong together.
    """
    g, d = source.generator.config, source.discriminator and source.discriminator.config
    _check_normalized(g, source.description)
    settings = dict(zip(ROW, _row_settings(g, d), strict=True))
    settings |= {name: g[argument] for argument, name in GENERATOR.items()}
    normalised = [network for network in (g, d) if network and network["spectral_norm"]]
    if normalised:
        settings["sn_epsilon"] = normalised[-1]["sn_epsilon"]
    if d:
        settings |= {name: d[argument] for argument, name in DISCRIMINATOR.items()}
        _check_pair(g, d)
    return {name: _frozen(value) for name, value in settings.items()}


def with_settings(model: ModelConfig, source: SourceModel) -> ModelConfig:
    """Returns the settings, with default values replaced by the settings of the source's networks.

    A setting with its default value counts as not given.

    Raises:
      ValueError: A given setting differs from the source's setting. For other errors, see
        `settings_of_source`.
    """
    settings = settings_of_source(source)
    given = {name: value for name in settings if (value := getattr(model, name)) != DEFAULTS[name]}
    contrary = [name for name, value in given.items() if _frozen(value) != settings[name]]
    texts = (
        f"--{name}={shown(given[name])}, which is {shown(settings[name])} in the source"
        for name in contrary
    )
    listed = ", ".join(texts)
    checks.require(
        not contrary,
        f"these flags differ from the networks of --init_from; leave them out: {listed}",
        init_from=source.description["path"],
    )
    model = dataclasses.replace(model, **settings)
    if source.discriminator is None:
        g = source.generator.config
        followed = {name: g[argument] for argument, name in FRESH_DISCRIMINATOR.items()}
        unset = {name: v for name, v in followed.items() if getattr(model, name) is None}
        model = dataclasses.replace(model, **unset)
    return model


def with_stored_settings(model: ModelConfig, stored: ModelConfig) -> ModelConfig:
    """Returns a resumed run's settings, with stored network settings in place of default values.

    The source decided the stored network settings when the run started.
    """
    unset = [name for name in SETTINGS if getattr(model, name) == DEFAULTS[name]]
    return dataclasses.replace(model, **{name: getattr(stored, name) for name in unset})


def _row_settings(g, d) -> tuple[str, int | str, str | dict]:
    """Returns the settings `variant`, `resolution` and `architecture` for the source's networks.

    `architecture` is the name of an entry of `ARCHITECTURES` that has the stages of both networks.
    If several entries do, the entry with the source's own name is preferred. If no entry does, or
    the first feature map is not 4x4, `architecture` is a dict that describes the architecture.
    """
    own = Architecture.from_dict(g["architecture"])
    if d:
        trunk = Architecture.from_dict(d["architecture"]).discriminator
        own = dataclasses.replace(own, discriminator=trunk)
    first_size = tuple(g["bottom_size"])
    rows = [row for row in ARCHITECTURES.values() if _same_widths(row, own)]
    if rows and first_size == USUAL_FIRST_SIZE:
        row = next((row for row in rows if row.name == own.name), rows[0])
        return row.variant, row.resolution, row.name
    name = f"{own.name}_own" if own.name in ARCHITECTURES else own.name
    fields = {**dataclasses.asdict(own), "name": name, FIRST_SIZE: first_size}
    size = as_resolution(*own.image_size(first_size))
    return own.variant, size, parse_architecture(fields)


def _same_widths(row, own) -> bool:
    pairs = ((row.generator, own.generator), (row.discriminator, own.discriminator))
    return row.variant == own.variant and all(
        (mine.widths, mine.resample) == (other.widths, other.resample) for mine, other in pairs
    )


def _check_normalized(g, description):
    """Refuses a generator that was trained without spectral norm, because all runs use it."""
    family = description.get("provenance", {}).get("family")
    checks.require(
        g["spectral_norm"] or family is None or family in FOLDED,
        "a generator that was trained without spectral norm (--G_param of BigGAN-PyTorch)"
        " cannot be trained further, because all runs use spectral norm; it can be sampled,"
        " evaluated and exported",
        init_from=description["path"],
    )


def _check_pair(g, d):
    shared = ["num_classes", "image_channels", "bottom_size"]
    if g["spectral_norm"]:
        shared.append("sn_epsilon")
    different = [name for name in shared if _frozen(g[name]) != _frozen(d[name])]
    checks.require(
        not different and d["spectral_norm"],
        "the generator and the discriminator of --init_from do not belong together: they"
        " must have equal numbers of classes and image channels and the same epsilon of the"
        " spectral norm, and the discriminator must have spectral norm",
        different=different,
    )


def _frozen(value):
    return tuple(value) if isinstance(value, list) else value
