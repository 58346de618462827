"""The row of the architecture table that fits the blocks of a checkpoint, or a new one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from tf_biggan import checks
from tf_biggan.architectures import ARCHITECTURES, Architecture, Trunk
from tf_biggan.block_specs import discriminator_blocks, generator_blocks
from tf_biggan.conversion.structure import Structure

SIDES = ("generator", "discriminator")
DEEP_DEPTH = 2
PUBLISHED = dict(latent_injection="split", embedding_dim=128, latent_dim=128)


@dataclasses.dataclass(frozen=True)
class Match:
    """An architecture, and by network its width multiplier and its blocks per resolution."""

    architecture: Architecture
    base_channels: Mapping[str, int]
    depth: Mapping[str, int]


def match_architecture(
    structures: Mapping[str, Structure],
    resolution: int | None = None,
    published: Mapping[str, object] | None = None,
) -> Match:
    """The architecture of one or both networks.

    Of several rows that fit, the one that agrees with most of `published` is taken. Where none
    fits, one is made of the widths found; the side that is not there then mirrors the other.

    Args:
      structures: by "generator" and "discriminator", those that are there.
      resolution: of the images, where it is known otherwise.
      published: values of `Architecture` that were found otherwise.

    Raises:
      ValueError: no architecture of that resolution has such blocks, or the blocks do not say
        their resolution and it is not given.
    """
    fits = [
        match
        for row in ARCHITECTURES.values()
        if resolution in (None, row.resolution) and (match := _fit(row, structures)) is not None
    ]
    if fits:
        return max(fits, key=lambda match: _agreement(match, published or {}))
    made = _made(structures)
    match = _fit(made, structures)
    checks.require(
        match is not None and resolution in (None, made.resolution),
        "the blocks must be those of a BigGAN or BigGAN-deep of the resolution",
        resolution=resolution,
        **{f"{side}_blocks": _widths(found.blocks) for side, found in structures.items()},
    )
    deep_d_alone = made.variant == "biggan_deep" and "generator" not in structures
    checks.require(
        not deep_d_alone or resolution is not None,
        "blocks of such widths do not say the image's size; `--resolution` is needed",
        widths=_widths(structures["discriminator"].blocks) if deep_d_alone else None,
    )
    return match


def _fit(row: Architecture, structures) -> Match | None:
    base_channels, depth = {}, {}
    for side, structure in structures.items():
        trunk, blocks = getattr(row, side), structure.blocks
        stages = len(trunk.resample)
        depth[side], rest = divmod(len(blocks), stages)
        deep = structure.variant == "biggan_deep"
        entering = side == "generator" or deep
        width = blocks[0].in_channels if entering else blocks[0].out_channels
        base_channels[side], odd = divmod(width, trunk.widths[0])
        if row.variant != structure.variant or rest or odd or (not deep and depth[side] != 1):
            return None
        specs = _specs(row, side, base_channels[side], depth[side], blocks)
        if not all(_agrees(*pair, row.variant) for pair in zip(specs, blocks, strict=True)):
            return None
    return Match(row, base_channels, depth)


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
        projects = False  # a deep generator's block drops channels
    return (
        (spec.in_channels, spec.out_channels) == (found.in_channels, found.out_channels)
        and projects == found.shortcut
        and found.resample in (None, spec.resample)
    )


def _agreement(match, published):
    row = match.architecture
    return sum(getattr(row, name) == value for name, value in published.items())


def _made(structures) -> Architecture:
    variant = next(iter(structures.values())).variant
    trunks = {side: _trunk(side, found) for side, found in structures.items()}
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


def _trunk(side, found: Structure) -> Trunk:
    deep = found.variant == "biggan_deep"
    blocks = found.blocks
    depth = DEEP_DEPTH if deep else 1
    last = blocks[depth - 1 :: depth]
    widths = tuple(block.out_channels for block in last)
    if side == "generator" or deep:
        widths = (blocks[0].in_channels, *widths)
    unit = math.gcd(*widths)
    stages = [blocks[i : i + depth] for i in range(0, len(blocks), depth)]
    resample = tuple(_resamples(side, stage, deep) for stage in stages)
    return Trunk(tuple(width // unit for width in widths), resample)


def _resamples(side, stage, deep):
    said = [block.resample for block in stage if block.resample is not None]
    if said:
        return any(said)
    # A discriminator's block of BigGAN that keeps its width has a shortcut only to pool.
    block = stage[-1]
    same = block.in_channels == block.out_channels
    return not (side == "discriminator" and not deep and same and not block.shortcut)


def _mirrored(trunk: Trunk, variant, side) -> Trunk:
    widths = trunk.widths[::-1]
    if side == "generator":
        return Trunk(widths, (True,) * (len(widths) - 1))
    stages = len(widths) - (variant == "biggan_deep")
    return Trunk(widths, (True,) * (stages - 1) + (variant == "biggan_deep",))


def _widths(blocks):
    return [(block.in_channels, block.out_channels) for block in blocks]
