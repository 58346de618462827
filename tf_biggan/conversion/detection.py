"""Finds the architecture and constructor arguments that fit the tensor shapes of a checkpoint."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from tf_biggan import checks
from tf_biggan.conversion.rules import ConversionError, Tables
from tf_biggan.conversion.structure import Shapes, Structure, shape_of
from tf_biggan.networks.architectures import (
    ARCHITECTURES,
    Architecture,
    Trunk,
    discriminator_blocks,
    generator_blocks,
)

SIDES = ("generator", "discriminator")
DEEP_DEPTH = 2
USUAL_BOTTOM = 4
PUBLISHED = dict(latent_injection="split", embedding_dim=128, latent_dim=128)


@dataclasses.dataclass(frozen=True)
class Match:
    """An architecture that fits a checkpoint.

    Attributes:
      architecture: A row of `ARCHITECTURES`, or an architecture made for the checkpoint.
      base_channels: Width multiplier of each network, by "generator" and "discriminator".
      depth: Number of residual blocks per stage of each network.
    """

    architecture: Architecture
    base_channels: Mapping[str, int]
    depth: Mapping[str, int]


def match_architecture(
    structures: Mapping[str, Structure],
    resolution: int | None = None,
    published: Mapping[str, object] | None = None,
    bottom: int | None = None,
) -> Match:
    """Finds the architecture of one or both networks of a checkpoint.

    If several architectures of the table fit, the architecture that agrees with most values in
    `published` is taken. If none fits, a new architecture is made from the widths in the
    checkpoint. If a network is missing, its part of the new architecture mirrors the other network.

    Args:
      structures: Residual blocks of each network, by "generator" and "discriminator".
      resolution: Resolution of the images in pixels, or None if the user did not give it.
      published: Attributes of `Architecture` that the tensors show, with their values.
      bottom: Height and width of the first feature map, or None if there is no generator. A
        discriminator's tensors do not show this size.

    Raises:
      ValueError: No architecture of the given resolution has these blocks, or the blocks do not
        show the resolution and `resolution` is None.
    """
    fits = [match for row in ARCHITECTURES.values() if (match := _fit(row, structures)) is not None]
    fits = _of_resolution(fits, resolution, bottom)
    if fits:
        return max(fits, key=lambda match: _agreement(match, published or {}))
    match = _made_match(structures)
    blocks = {f"{side}_blocks": _widths(found.blocks) for side, found in structures.items()}
    unpaired = any(len(found.blocks) % DEEP_DEPTH for found in structures.values())
    checks.require(
        match is not None or not unpaired or _variant(structures) == "biggan",
        "the weights have an odd number of BigGAN-deep blocks at some resolution, so they do"
        " not show which blocks change the image size; put the config.json of the model"
        " beside the weights",
        **blocks,
    )
    checks.require(
        match is not None and bool(_of_resolution([match], resolution, bottom)),
        "no BigGAN or BigGAN-deep has these residual blocks"
        + (
            ""
            if resolution is None
            else " at this resolution; leave out --resolution or correct it"
        ),
        resolution=resolution,
        **blocks,
    )
    deep_d_alone = _variant(structures) == "biggan_deep" and "generator" not in structures
    checks.require(
        not deep_d_alone or resolution is not None,
        "the widths of the discriminator's blocks do not show the image size; give it by"
        " --resolution",
        widths=_widths(structures["discriminator"].blocks) if deep_d_alone else None,
    )
    return match


def _variant(structures) -> str:
    return next(iter(structures.values())).variant


def _of_resolution(matches, resolution, bottom) -> list[Match]:
    """Returns the matches for a resolution, preferably those whose first feature map is 4x4."""
    if resolution is None:
        return matches
    scales = [(match, match.architecture.scale) for match in matches]
    wanted = [match for match, scale in scales if scale * (bottom or USUAL_BOTTOM) == resolution]
    if bottom is None and not wanted:
        return [match for match, scale in scales if resolution % scale == 0]
    return wanted


def _fit(row: Architecture, structures) -> Match | None:
    """Returns a match if an architecture fits all networks, else None."""
    base_channels, depth = {}, {}
    for side, structure in structures.items():
        found = _fit_side(row, side, structure)
        if found is None:
            return None
        base_channels[side], depth[side] = found
    return Match(row, base_channels, depth)


def _fit_side(row, side, structure) -> tuple[int, int] | None:
    """Returns the width multiplier and the blocks per stage with which an architecture fits.

    None is returned if the architecture does not fit the blocks.
    """
    trunk, blocks = getattr(row, side), structure.blocks
    depth, rest = divmod(len(blocks), len(trunk.resample))
    deep = structure.variant == "biggan_deep"
    entering = side == "generator" or deep
    width = blocks[0].in_channels if entering else blocks[0].out_channels
    base_channels, odd = divmod(width, trunk.widths[0])
    if row.variant != structure.variant or rest or odd or (not deep and depth != 1):
        return None
    specs = _specs(row, side, base_channels, depth, blocks)
    fits = all(_agrees(*pair, row.variant) for pair in zip(specs, blocks, strict=True))
    # Attention follows the last block of a stage.
    fits &= all((index + 1) % depth == 0 for index, block in enumerate(blocks) if block.attention)
    return (base_channels, depth) if fits else None


def _specs(row, side, base_channels, depth, blocks):
    if side == "generator":
        return generator_blocks(row, base_channels, depth, ())
    channels = blocks[0].in_channels
    return discriminator_blocks(row, base_channels, depth, (), channels, wide=True)


def _agrees(spec, found, variant):
    projects = spec.in_channels != spec.out_channels
    if variant == "biggan":
        projects = projects or spec.resample
    elif spec.out_channels < spec.in_channels:
        projects = False  # A BigGAN-deep generator drops channels here, without a convolution.
    return (
        (spec.in_channels, spec.out_channels) == (found.in_channels, found.out_channels)
        and projects == found.shortcut
        and found.resample in (None, spec.resample)
    )


def _agreement(match, published):
    row = match.architecture
    return sum(getattr(row, name) == value for name, value in published.items())


def _made_match(structures) -> Match | None:
    """Makes an architecture with the blocks of a checkpoint; None if no architecture has them."""
    trunks = {}
    for side, found in structures.items():
        candidates = [_trunk(side, found, depth) for depth in _depths(found)]
        rows = [_row(found.variant, {side: trunk}) for trunk in candidates]
        fitting = [
            trunk
            for trunk, row in zip(candidates, rows, strict=True)
            if _fit_side(row, side, found) is not None
        ]
        if not fitting:
            return None
        trunks[side] = fitting[0]
    return _fit(_row(found.variant, trunks), structures)


def _depths(found: Structure) -> tuple[int, ...]:
    """Returns the possible numbers of blocks per stage, in order of preference."""
    if found.variant == "biggan":
        return (1,)
    # One block per resolution is possible only if each block's resampling is known.
    is_known = all(block.resample is not None for block in found.blocks)
    pairs = len(found.blocks) % DEEP_DEPTH == 0
    return (DEEP_DEPTH,) * pairs + (1,) * is_known


def _row(variant, trunks) -> Architecture:
    """Returns an architecture made of trunks. A missing trunk mirrors the other trunk."""
    trunks = dict(trunks)
    for side, other in (SIDES, SIDES[::-1]):
        if side not in trunks:
            trunks[side] = _mirrored(trunks[other], variant, side)
    return Architecture(
        name=f"{variant}_converted",
        variant=variant,
        **trunks,
        base_channels=1,
        depth=1 if variant == "biggan" else DEEP_DEPTH,
        source="the blocks of a converted checkpoint",
        **PUBLISHED,
    )


def _trunk(side, found: Structure, depth) -> Trunk:
    deep = found.variant == "biggan_deep"
    blocks = found.blocks
    last = blocks[depth - 1 :: depth]
    widths = tuple(block.out_channels for block in last)
    if side == "generator" or deep:
        widths = (blocks[0].in_channels, *widths)
    unit = math.gcd(*widths)
    stages = [blocks[i : i + depth] for i in range(0, len(blocks), depth)]
    resample = tuple(_resamples(side, stage, deep) for stage in stages)
    return Trunk(tuple(width // unit for width in widths), resample)


def _resamples(side, stage, deep):
    known = [block.resample for block in stage if block.resample is not None]
    if known:
        return any(known)
    # A block of BigGAN's discriminator that keeps its width has a convolution in its shortcut only
    # if it downsamples.
    block = stage[-1]
    same = block.in_channels == block.out_channels
    return not (side == "discriminator" and not deep and same and not block.shortcut)


def _mirrored(trunk: Trunk, variant, side) -> Trunk:
    widths = trunk.widths[::-1]
    if side == "generator":
        return Trunk(widths, (True,) * (len(widths) - 1))
    last = () if variant == "biggan_deep" else (False,)
    return Trunk(widths, (*trunk.resample[::-1], *last))


def _widths(blocks):
    return [(block.in_channels, block.out_channels) for block in blocks]


@dataclasses.dataclass(frozen=True)
class Conditioning:
    """How a generator uses latent vectors and classes. The fields are arguments of `Generator`."""

    num_classes: int
    embedding_dim: int
    latent_dim: int
    latent_injection: str


def find_conditioning(shapes: Shapes, tables: Tables, structure: Structure) -> Conditioning:
    """Finds the sizes of the latent vector z and of the class embedding, and where z is used.

    The first dense layer takes z, a chunk of z, or z with the embedding. The layers that compute
    gains in the blocks take the embedding alone, with a chunk of z, or with the whole z. The sizes
    of these inputs show which case applies.

    Args:
      shapes: Shape of each tensor by key.
      tables: Names of layers and tensors in the code base.
      structure: Residual blocks of the generator.

    Raises:
      ConversionError: A tensor is missing, or the sizes contradict each other.
    """
    first = shape_of(shapes, tables.key("generator", "first"), rank=2)[1]
    gain_key = f"{structure.blocks[0].place}.{tables.key('block', 'norm_1/gain')}"
    rows, condition = shape_of(shapes, gain_key, rank=2)
    embedding_key = tables.key("generator", "class_embedding")
    if embedding_key not in shapes:
        return Conditioning(rows, 0, first, "first")
    table = shape_of(shapes, embedding_key, rank=2)
    kinds = {row.target: row.kind for row in tables.generator}
    classes, dim = table[::-1] if kinds["class_embedding"] == "embedding" else table
    if condition == first and first > dim:
        return Conditioning(classes, dim, first - dim, "all")
    if condition == first + dim:
        return Conditioning(classes, dim, first * (len(structure.blocks) + 1), "split")
    if condition == dim:
        return Conditioning(classes, dim, first, "first")
    raise ConversionError(
        f"The sizes of the weights contradict each other: `{gain_key}` must take the class"
        f" embedding ({dim} numbers), alone or joined to z or a chunk of z ({first} numbers)."
        f" Received: {condition} numbers."
    )


def find_bottom_size(shapes: Shapes, tables: Tables, structure: Structure) -> int:
    """Returns the height and width of the generator's first feature map, which is square."""
    outputs = shape_of(shapes, tables.key("generator", "first"), rank=2)[0]
    return math.isqrt(outputs // structure.blocks[0].in_channels)


def generator_arguments(
    shapes: Shapes, tables: Tables, structure: Structure, match: Match
) -> dict[str, object]:
    """Returns the constructor arguments of `Generator`, except the epsilons.

    Args:
      shapes: Shape of each tensor by key.
      tables: Names of layers and tensors in the code base.
      structure: Residual blocks of the generator.
      match: Architecture that fits the checkpoint.

    Raises:
      ConversionError: A tensor is missing, or the sizes contradict each other.
    """
    side = find_bottom_size(shapes, tables, structure)
    image = shape_of(shapes, tables.key("generator", "to_image"), rank=4)
    rgb = {row.target: row.kind for row in tables.generator}["to_image"] == "rgb"
    conditioning = find_conditioning(shapes, tables, structure)
    return {
        **_trunk_arguments(structure, match, "generator"),
        **dataclasses.asdict(conditioning),
        "bottom_size": (side, side),
        "image_channels": 3 if rgb else image[0],
    }


def discriminator_arguments(
    shapes: Shapes, tables: Tables, structure: Structure, match: Match
) -> dict[str, object]:
    """Returns the arguments of `Discriminator`, except the epsilons; see `generator_arguments`."""
    blocks = structure.blocks
    deep = structure.variant == "biggan_deep"
    stem = tables.key("discriminator", "stem")
    image_channels = shape_of(shapes, stem, rank=4)[1] if deep else blocks[0].in_channels
    embedding = tables.key("discriminator", "class_embedding")
    classes = shape_of(shapes, embedding, rank=2)[0] if embedding in shapes else 0
    wide = deep or all(block.hidden_channels == block.out_channels for block in blocks)
    return {
        **_trunk_arguments(structure, match, "discriminator"),
        "num_classes": classes,
        "image_channels": image_channels,
        "wide": wide,
    }


def _trunk_arguments(structure, match, side) -> dict[str, object]:
    depth = match.depth[side]
    places = [index for index, block in enumerate(structure.blocks) if block.attention]
    checks.require(
        all((index + 1) % depth == 0 for index in places),
        "cannot convert a network whose attention does not follow the last block of a stage",
        blocks=places,
        blocks_per_resolution=depth,
    )
    return dict(
        architecture=match.architecture,
        base_channels=match.base_channels[side],
        depth=depth,
        attention_stages=tuple(index // depth for index in places),
    )
