"""Networks of a run: new ones from its configuration, or those of one of its checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.train_settings import ModelConfig, TrainConfig
from tf_biggan.files.checkpoint_files import num_stored
from tf_biggan.networks.architectures import Architecture, architecture_for, get_architecture
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.num_values import discriminator_values, generator_values, require_stored
from tf_biggan.store.checkpoints import checkpoint_iterations, read_newest
from tf_biggan.store.run_directory import read_config


def architecture_from(config: ModelConfig) -> Architecture:
    """The row that the configuration names, or the standard one of its variant and resolution.

    Raises:
      ValueError: there is no such row.
    """
    if config.architecture is not None:
        return get_architecture(config.architecture)
    return architecture_for(config.variant, config.resolution)


def generator_from(config: ModelConfig, num_classes: int, seed: int | None) -> Generator:
    """A new generator; see `generator_arguments`."""
    return Generator(**generator_arguments(config, num_classes, seed))


def discriminator_from(config: ModelConfig, num_classes: int, seed: int | None) -> Discriminator:
    """A new discriminator; arguments and errors as of `generator_arguments`."""
    return Discriminator(**discriminator_arguments(config, num_classes, seed))


def generator_arguments(config: ModelConfig, num_classes: int, seed: int | None) -> dict:
    """What `Generator` is made with.

    Args:
      config: its settings; those that are None take the architecture's published value.
      num_classes: of the data, or 0; the configuration's own may still be None.
      seed: of the run, for both networks; None for random weights.

    Raises:
      ValueError: the settings contradict each other.
    """
    return dict(
        architecture=architecture_from(config),
        num_classes=num_classes,
        base_channels=config.g_channels,
        depth=config.g_depth,
        latent_dim=config.latent_dim,
        latent_injection=config.latent_injection,
        embedding_dim=config.embedding_dim,
        attention_stages=config.g_attention,
        image_channels=config.image_channels,
        sn_epsilon=config.sn_epsilon,
        initializer=config.g_initializer,
        bn_epsilon=config.bn_epsilon,
        output_bn_epsilon=config.output_bn_epsilon,
        bn_momentum=config.bn_momentum,
        bn_synchronized=config.bn_synchronized,
        seed=seed,
        dtype=config.precision,
        name="generator",
    )


def discriminator_arguments(config: ModelConfig, num_classes: int, seed: int | None) -> dict:
    """What `Discriminator` is made with; arguments and errors as of `generator_arguments`."""
    return dict(
        architecture=architecture_from(config),
        num_classes=num_classes,
        base_channels=config.d_channels,
        depth=config.d_depth,
        attention_stages=config.d_attention,
        image_channels=config.image_channels,
        wide=config.d_wide,
        rectified_shortcuts=config.d_rectified_shortcuts,
        sn_epsilon=config.sn_epsilon,
        initializer=config.d_initializer,
        seed=seed,
        dtype=config.precision,
        name="discriminator",
    )


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
