"""Networks of a run, made from its configuration."""

from __future__ import annotations

from tf_biggan.architectures import Architecture, architecture_for, get_architecture
from tf_biggan.config import ModelConfig
from tf_biggan.models.discriminator import Discriminator
from tf_biggan.models.generator import Generator


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
