"""Builds the networks of a run from its configuration, or restores them from a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.network_settings import ModelConfig
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.files.tensorflow_files import num_stored
from tf_biggan.networks.architectures import Architecture, architecture_for, get_architecture
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.num_values import discriminator_values, generator_values, require_stored
from tf_biggan.store.checkpoints import checkpoint_iterations, read_newest
from tf_biggan.store.run_directory import read_config


def architecture_from(config: ModelConfig) -> Architecture:
    """Returns the architecture of a configuration.

    This is the architecture that the configuration names. If it names none, it is the standard
    architecture of the configured variant and resolution.

    Raises:
      ValueError: There is no such architecture.
    """
    if config.architecture is not None:
        return get_architecture(config.architecture)
    return architecture_for(config.variant, config.resolution)


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
    return dict(
        architecture=architecture_from(config),
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
      iteration: Iteration of the checkpoint. None takes the newest that can be read and prints a
        line on standard error for each newer one that cannot.

    Raises:
      ValueError: The folder is not a run, or has no checkpoint of that iteration.
      UnreadableCheckpoint: The chosen checkpoint, or every checkpoint, cannot be read.
    """
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
