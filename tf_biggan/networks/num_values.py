"""How many numbers a network's variables hold, from its arguments: known before it is built."""

from __future__ import annotations

from collections.abc import Mapping

from tf_biggan.checks import require
from tf_biggan.files import input_bounds
from tf_biggan.networks.architectures import get_architecture
from tf_biggan.networks.block_specs import BlockSpec, discriminator_blocks, generator_blocks
from tf_biggan.networks.conditioning import LatentPlan
from tf_biggan.networks.layers.attention import QUERY_RATIO, VALUE_RATIO
from tf_biggan.networks.network import default

BOTTOM_SIZE = (4, 4)


def require_stored(values: int, stored: int, path: str) -> None:
    """Raises ValueError if a network of `values` numbers has far more than its file, `stored`.

    It is asked before the network is allocated. `path` names the file in the message.
    """
    require(
        values <= stored + input_bounds.MISSING_NUMBERS,
        f"a network of {values:,} numbers must have as many in its file",
        path=path,
        numbers=stored,
    )


def generator_values(arguments: Mapping[str, object]) -> int:
    """Numbers in the variables of a `Generator` of these arguments.

    Raises:
      ValueError: it has more blocks than any that is known, or the arguments contradict each other.
    """
    row = get_architecture(arguments["architecture"])
    depth = default(arguments.get("depth"), row.depth)
    stages = default(arguments.get("attention_stages"), row.generator.attention)
    _check_blocks(depth * len(row.generator.resample))
    base = default(arguments.get("base_channels"), row.base_channels)
    blocks = generator_blocks(row, base, depth, tuple(stages))
    classes = arguments["num_classes"]
    embedding = default(arguments.get("embedding_dim"), row.embedding_dim) if classes else 0
    plan = LatentPlan(
        default(arguments.get("latent_injection"), row.latent_injection),
        default(arguments.get("latent_dim"), row.latent_dim),
        embedding,
        len(blocks),
    )
    normal = arguments.get("spectral_norm", True)
    moments = 2 * arguments.get("num_statistics", 1)
    modulation = 2 * _modulation(plan, classes)
    # A row of u for every channel that a modulation gives.
    modulation += 2 * normal * (plan.condition_dim > 0)
    height, width = arguments.get("bottom_size", BOTTOM_SIZE)
    total = classes * embedding
    total += _kernel(plan.first_dim, height * width * blocks[0].in_channels, 1, normal)
    for block in blocks:
        convolutions = _convolutions(block, row.variant)
        total += sum(inputs * (moments + modulation) for inputs, _, _ in convolutions)
        total += _block_values(block, convolutions, row.variant == "biggan", normal)
    last = blocks[-1].out_channels
    image = _kernel(last, arguments.get("image_channels", 3), 9, normal)
    return total + last * (moments + 2) + image


def discriminator_values(arguments: Mapping[str, object]) -> int:
    """Numbers in the variables of a `Discriminator` of these arguments.

    Raises:
      ValueError: it has more blocks than any that is known.
    """
    row = get_architecture(arguments["architecture"])
    depth = default(arguments.get("depth"), row.depth)
    stages = default(arguments.get("attention_stages"), row.discriminator.attention)
    _check_blocks(depth * len(row.discriminator.resample))
    channels = arguments.get("image_channels", 3)
    base = default(arguments.get("base_channels"), row.base_channels)
    wide = arguments.get("wide", True)
    blocks = discriminator_blocks(row, base, depth, tuple(stages), channels, wide)
    normal = arguments.get("spectral_norm", True)
    total = 0
    if row.variant == "biggan_deep":
        total += _kernel(channels, blocks[0].in_channels, 9, normal)
    for block in blocks:
        convolutions = _convolutions(block, row.variant)
        total += _block_values(block, convolutions, row.variant == "biggan", normal)
        if row.variant == "biggan_deep" and block.out_channels > block.in_channels:
            total += _kernel(block.in_channels, block.out_channels - block.in_channels, 1, normal)
    features = blocks[-1].out_channels
    return total + _kernel(features, 1, 1, normal) + arguments["num_classes"] * (features + normal)


def _check_blocks(count):
    limit = input_bounds.RESIDUAL_BLOCKS
    require(count <= limit, f"a network may have {limit} residual blocks", blocks=count)


def _modulation(plan: LatentPlan, classes: int) -> int:
    """Numbers that give one channel its gain, or its offset."""
    return plan.condition_dim or classes or 1


def _convolutions(block: BlockSpec, variant: str) -> tuple[tuple[int, int, int], ...]:
    """(inputs, outputs, positions of the kernel) of the convolutions that follow one another."""
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
    """A kernel, its bias, and u where it is spectrally normalised."""
    return outputs * (inputs * positions + 1 + normal)
