"""Reads and writes the folder of a training run: its JSON files and its networks.

The networks are built from the run's config.json, or restored from one of its checkpoints.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.image_sizes import height_and_width
from tf_biggan.cli.network_settings import ModelConfig
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.classes import complete_names
from tf_biggan.data.source import DataIdentity
from tf_biggan.devices.strategy import require_tensorflow
from tf_biggan.files import file_system
from tf_biggan.files.atomic import final_name, remove_leftovers, write_text
from tf_biggan.files.file_paths import require_plain_address
from tf_biggan.files.json_files import read_json
from tf_biggan.files.tensorflow_files import num_stored
from tf_biggan.networks.architecture_files import FIRST_SIZE, USUAL_FIRST_SIZE, architecture_of
from tf_biggan.networks.architectures import Architecture, fit_architecture, get_architecture
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.num_values import discriminator_values, generator_values, require_stored
from tf_biggan.store.checkpoints import checkpoint_iterations, read_newest

CONFIG_FILE = "config.json"
CLASSES_FILE = "classes.json"
DATA_FILE = "data.json"
INITIALIZATION_FILE = "initialization.json"
# Groups of settings that distinguish a run's config.json from other files with this name.
GROUPS = {"model", "data", "step", "run"}


def check_run(run_dir: str, config: TrainConfig) -> None:
    """Checks that a run can start or resume in a folder.

    Args:
      run_dir: Folder of the run. It need not exist.
      config: Configuration of the run to start or resume.

    Raises:
      ValueError: The folder holds a run, and a setting that must not change differs; or the folder
        holds files that are not a run.
    """
    require_plain_address(run_dir)
    path = os.path.join(run_dir, CONFIG_FILE)
    if file_system.exists(path):
        _require_same_run(run_dir, read_config(run_dir), config)
    elif file_system.isdir(run_dir):
        # A run that was killed before it wrote config.json left only temporary files. They do not
        # prevent a new start.
        found = file_system.listdir(run_dir)
        others = [name for name in found if final_name(name) not in (CONFIG_FILE, CLASSES_FILE)]
        checks.require(
            not others,
            f"`run_dir` must be a new or empty folder, or a run (with {CONFIG_FILE}); choose"
            " another folder",
            run_dir=run_dir,
            holds=sorted(others)[:3],
        )


def write_config(
    run_dir: str,
    config: TrainConfig,
    class_names: Sequence[str] = (),
    identity: DataIdentity | None = None,
) -> None:
    """Creates the folder of a run and writes config.json, classes.json and data.json.

    config.json is written first: from then on the folder is a run, and the same command resumes it
    after an interruption.

    Args:
      run_dir: Folder of the run. It is created if it does not exist.
      config: Configuration of the run.
      class_names: One name for each class, or empty if the names are unknown.
      identity: Identity of the training data, or None to write no data.json.
    """
    file_system.makedirs(run_dir)
    remove_leftovers(run_dir)
    _write(run_dir, CONFIG_FILE, config.to_json())
    _write(run_dir, CLASSES_FILE, json.dumps(list(class_names), indent=2) + "\n")
    if identity is not None:
        _write(run_dir, DATA_FILE, json.dumps(dataclasses.asdict(identity)) + "\n")


def write_initialization(run_dir: str, record: Mapping[str, object]) -> None:
    """Writes initialization.json, which records the model and classes that the run started from."""
    _write(run_dir, INITIALIZATION_FILE, json.dumps(record, indent=2) + "\n")


def read_initialization(run_dir: str) -> dict | None:
    """Returns the content of initialization.json, or None if the run started from no model.

    Raises:
      ValueError: The file cannot be read.
    """
    path = os.path.join(run_dir, INITIALIZATION_FILE)
    return read_json(path) if file_system.exists(path) else None


def is_run(path: str) -> bool:
    """Returns whether a folder holds the config.json of a run, even if settings are missing.

    Raises:
      ValueError: The folder has a config.json that is not a JSON object.
    """
    try:
        return bool(GROUPS & set(read_json(os.path.join(path, CONFIG_FILE))))
    except OSError:
        return False


def read_class_names(run_dir: str) -> tuple[str, ...]:
    """Returns one name for each class of a run, or () if the names are unknown.

    Raises:
      ValueError: classes.json or config.json is damaged. The message names the file.
    """
    path = os.path.join(run_dir, CLASSES_FILE)
    if not file_system.exists(path):
        return ()
    num_classes = read_config(run_dir).model.num_classes
    names = read_json(path, "tuple[str, ...]")
    # Version 0.1 wrote the class names of the data, which may be fewer than the model's classes.
    return complete_names(names, num_classes or len(names))


def read_data_identity(run_dir: str) -> DataIdentity | None:
    """Returns the identity of a run's training data.

    Returns:
      The identity, or None for runs of version 0.1, which did not record it.

    Raises:
      ValueError: data.json is damaged. The message names the file.
    """
    path = os.path.join(run_dir, DATA_FILE)
    if not file_system.exists(path):
        return None
    return DataIdentity.from_dict(read_json(path), path)


def read_config(run_dir: str) -> TrainConfig:
    """Returns the configuration of a run.

    Raises:
      ValueError: `run_dir` is not a run, or its configuration cannot be read. The message names the
        file and the field.
    """
    path = os.path.join(run_dir, CONFIG_FILE)
    try:
        groups = read_json(path)
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}") from error
    return TrainConfig.from_groups(groups, path)


def _write(run_dir, name, text):
    write_text(os.path.join(run_dir, name), text)


def _require_same_run(run_dir, stored, given):
    differences = stored.differences(given)
    listed = ", ".join(f"{k} was {old!r}, now {new!r}" for k, (old, new) in differences.items())
    checks.require(
        not differences,
        f"cannot resume {run_dir}: a run keeps the settings with which it started, and these"
        f" differ: {listed}. Use the first values or another --run_dir",
        run_dir=run_dir,
    )


def plan_from(config: ModelConfig) -> tuple[Architecture, tuple[int, int]]:
    """Returns the architecture of a configuration, and (height, width) of the first feature map.

    The configuration contains the name or a description of an architecture. If it has neither, the
    result is the standard architecture for the configured variant and resolution.

    Raises:
      ValueError: The architecture is unknown, or cannot make images of this size.
    """
    if isinstance(config.architecture, dict):
        return architecture_of(config.architecture), tuple(config.architecture[FIRST_SIZE])
    size = height_and_width(config.resolution)
    if config.architecture is None:
        return fit_architecture(config.variant, *size)
    row = get_architecture(config.architecture)
    # A square `resolution` may be a default, so the published size of the architecture is used.
    if size[0] == size[1]:
        return row, USUAL_FIRST_SIZE
    checks.require(
        all(side % row.scale == 0 for side in size),
        f"both sides of `resolution` must be multiples of {row.scale} for this architecture",
        resolution=config.resolution,
        architecture=row.name,
    )
    return row, (size[0] // row.scale, size[1] // row.scale)


def image_size_from(config: ModelConfig) -> tuple[int, int]:
    """Returns (height, width) in pixels of a configuration's images; errors as for `plan_from`."""
    architecture, first_size = plan_from(config)
    return architecture.image_size(first_size)


def generator_from(config: ModelConfig, num_classes: int, seed: int | None) -> Generator:
    """Returns a new generator with random weights; arguments as for `generator_arguments`."""
    return Generator(**generator_arguments(config, num_classes, seed))


def discriminator_from(config: ModelConfig, num_classes: int, seed: int | None) -> Discriminator:
    """Returns a new discriminator with random weights; arguments as for `generator_arguments`."""
    return Discriminator(**discriminator_arguments(config, num_classes, seed))


def generator_arguments(config: ModelConfig, num_classes: int, seed: int | None) -> dict:
    """Returns the constructor arguments of a run's `Generator`.

    Args:
      config: Settings of the model. A setting that is None takes the architecture's published
        value.
      num_classes: Number of classes in the data, or 0 for an unconditional model. It is used in
        place of `config.num_classes`, which may be None until the data is known.
      seed: Seed of the run, used for the initial weights of both networks. None gives different
        weights each time.

    Raises:
      ValueError: The settings contradict each other.
    """
    return dict(
        _shared_arguments(config, num_classes, seed),
        base_channels=config.g_channels,
        depth=config.g_depth,
        latent_dim=config.latent_dim,
        latent_injection=config.latent_injection,
        embedding_dim=config.embedding_dim,
        attention_stages=config.g_attention,
        initializer=config.g_initializer,
        bn_epsilon=config.bn_epsilon,
        output_bn_epsilon=config.output_bn_epsilon,
        bn_momentum=config.bn_momentum,
        bn_synchronized=config.bn_synchronized,
        name="generator",
    )


def discriminator_arguments(config: ModelConfig, num_classes: int, seed: int | None) -> dict:
    """Returns the constructor arguments of a run's `Discriminator`; see `generator_arguments`."""
    return dict(
        _shared_arguments(config, num_classes, seed),
        base_channels=config.d_channels,
        depth=config.d_depth,
        attention_stages=config.d_attention,
        wide=config.d_wide,
        rectified_shortcuts=config.d_rectified_shortcuts,
        initializer=config.d_initializer,
        name="discriminator",
    )


def _shared_arguments(config, num_classes, seed) -> dict:
    """Returns the arguments that both networks of a run have in common."""
    architecture, bottom_size = plan_from(config)
    return dict(
        architecture=architecture,
        bottom_size=bottom_size,
        num_classes=num_classes,
        image_channels=config.image_channels,
        sn_epsilon=config.sn_epsilon,
        seed=seed,
        dtype=config.precision,
    )


GENERATOR = (Generator, generator_arguments, generator_values)
# For each network, by its name in a run's checkpoint: its class, the function that returns its
# constructor arguments, and the function that counts its stored numbers. "average" is the moving
# average of the generator.
MAKERS = {
    "average": GENERATOR,
    "generator": GENERATOR,
    "discriminator": (Discriminator, discriminator_arguments, discriminator_values),
}


@dataclasses.dataclass(frozen=True)
class RestoredNetworks:
    """Networks that were restored from one checkpoint.

    Attributes:
      networks: Networks by their names in `MAKERS`.
      iteration: Iteration of the checkpoint.
    """

    networks: dict[str, keras.Model]
    iteration: int


def restore_networks(
    run_dir: str, names: Sequence[str], iteration: int | None = None
) -> RestoredNetworks:
    """Restores networks of a run, all from the same checkpoint.

    Args:
      run_dir: Folder of the run.
      names: Networks to restore: "average" (the moving average of the generator), "generator" or
        "discriminator".
      iteration: Iteration of the checkpoint. None takes the newest readable checkpoint, and prints
        a line on standard error for each newer checkpoint that cannot be read.

    Raises:
      ValueError: The folder is not a run, or has no checkpoint of that iteration.
      UnreadableCheckpoint: The chosen checkpoint, or every checkpoint, cannot be read.
    """
    require_tensorflow("opening a run")
    iterations = checkpoint_iterations(run_dir)
    checks.require(
        bool(iterations),
        "the run has no checkpoint yet; train it until it saves one (see --save_every)",
        run_dir=run_dir,
    )
    checks.require(
        iteration is None or iteration in iterations,
        "the run has no checkpoint of this iteration; its checkpoints are"
        f" {', '.join(map(str, iterations))}",
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
    """Restores one network of a run; arguments and errors as for `restore_networks`."""
    return restore_networks(run_dir, [name], iteration).networks[name]


def _new_network(config: TrainConfig, name: str, stored: int, prefix: str) -> keras.Model:
    # The initial values are overwritten at once, so the initialiser that is fastest is used.
    model = dataclasses.replace(config.model, g_initializer="n02", d_initializer="n02")
    kind, arguments_of, num_values = MAKERS[name]
    arguments = arguments_of(model, config.model.num_classes, config.run.seed)
    require_stored(num_values(arguments), stored, prefix)
    return kind(**arguments)
