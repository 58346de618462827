"""Counts the numbers in a network's variables from its arguments, without building the network."""

from __future__ import annotations

import types
from collections.abc import Mapping

from tf_biggan.checks import require
from tf_biggan.files import input_bounds
from tf_biggan.networks.architectures import BlockSpec, discriminator_blocks, generator_blocks
from tf_biggan.networks.blocks import QUERY_RATIO, VALUE_RATIO
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator, LatentPlan
from tf_biggan.networks.network import Network


def require_stored(values: int, stored: int, path: str) -> None:
    """Checks that a network is not far larger than the file that it is loaded from.

    Call this before the network is built, so that a damaged file cannot exhaust the memory.

    Args:
      values: How many numbers the variables of the network hold.
      stored: How many numbers the file holds.
      path: The path of the file, for the message.

    Raises:
      ValueError: The file has far fewer numbers than the network.
    """
    require(
        values <= stored + input_bounds.MISSING_NUMBERS,
        f"the file is damaged: the network that it describes has {values:,} numbers, and the"
        " file has far fewer; copy or convert it again",
        path=path,
        numbers=stored,
    )


def generator_values(arguments: Mapping[str, object]) -> int:
    """Returns how many numbers the variables of a `Generator` with these arguments hold.

    Raises:
      ValueError: The network has more blocks than `input_bounds` allows, or arguments contradict
        each other.
    """
    values = _complete(Generator, arguments)
    row, classes, normal = values.architecture, values.num_classes, values.spectral_norm
    blocks = generator_blocks(row, values.base_channels, values.depth, values.attention_stages)
    embedding = values.embedding_dim if classes else 0
    plan = LatentPlan(values.latent_injection, values.latent_dim, embedding, len(blocks))
    moments = 2 * values.num_statistics
    modulation = 2 * _modulation(plan, classes)
    # Gain and offset are dense layers, whose vectors u have one entry for each channel.
    modulation += 2 * normal * (plan.condition_dim > 0)
    height, width = values.bottom_size
    total = classes * embedding
    total += _kernel(plan.first_dim, height * width * blocks[0].in_channels, 1, normal)
    for block in blocks:
        convolutions = _convolutions(block, row.variant)
        total += sum(inputs * (moments + modulation) for inputs, _, _ in convolutions)
        total += _block_values(block, convolutions, row.variant == "biggan", normal)
    last = blocks[-1].out_channels
    image = _kernel(last, values.image_channels, 9, normal)
    return total + last * (moments + 2) + image


def discriminator_values(arguments: Mapping[str, object]) -> int:
    """Returns how many numbers the variables of a `Discriminator` with these arguments hold.

    Raises:
      ValueError: The network has more blocks than `input_bounds` allows.
    """
    values = _complete(Discriminator, arguments)
    row, normal = values.architecture, values.spectral_norm
    blocks = discriminator_blocks(
        row,
        values.base_channels,
        values.depth,
        values.attention_stages,
        values.image_channels,
        values.wide,
    )
    total = 0
    if row.variant == "biggan_deep":
        total += _kernel(values.image_channels, blocks[0].in_channels, 9, normal)
    for block in blocks:
        convolutions = _convolutions(block, row.variant)
        total += _block_values(block, convolutions, row.variant == "biggan", normal)
        if row.variant == "biggan_deep" and block.out_channels > block.in_channels:
            total += _kernel(block.in_channels, block.out_channels - block.in_channels, 1, normal)
    features = blocks[-1].out_channels
    return total + _kernel(features, 1, 1, normal) + values.num_classes * (features + normal)


def _complete(kind: type[Network], arguments) -> types.SimpleNamespace:
    """Returns all arguments of a network as attributes, and checks its number of blocks."""
    values = types.SimpleNamespace(**kind.complete_arguments(arguments))
    count = values.depth * len(getattr(values.architecture, kind.side).resample)
    limit = input_bounds.RESIDUAL_BLOCKS
    require(
        count <= limit,
        f"a network may have at most {limit} residual blocks; use a smaller depth",
        blocks=count,
    )
    return values


def _modulation(plan: LatentPlan, classes: int) -> int:
    """Returns how many numbers determine the gain (or the offset) of one channel."""
    return plan.condition_dim or classes or 1


def _convolutions(block: BlockSpec, variant: str) -> tuple[tuple[int, int, int], ...]:
    """Returns (input channels, output channels, height * width) of the main path's kernels."""
    entering, hidden, leaving = block.in_channels, block.hidden_channels, block.out_channels
    if variant == "biggan":
        return ((entering, hidden, 9), (hidden, leaving, 9))
    return ((entering, hidden, 1), *((hidden, hidden, 9),) * 2, (hidden, leaving, 1))


def _block_values(block, convolutions, projects, normal) -> int:
    total = sum(_kernel(*one, normal) for one in convolutions)
    if projects and (block.resample or block.in_channels != block.out_channels):
        total += _kernel(block.in_channels, block.out_channels, 1, normal)
    if block.attention:
        channels = block.out_channels
        keys, values = max(1, channels // QUERY_RATIO), max(1, channels // VALUE_RATIO)
        total += channels * (2 * keys + 2 * values) + 1 + normal * (2 * keys + values + channels)
    return total


def _kernel(inputs, outputs, positions, normal) -> int:
    """Returns how many numbers a kernel, its bias and, with spectral norm, its u hold."""
    return outputs * (inputs * positions + 1 + normal)
