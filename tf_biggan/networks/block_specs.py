"""From an architecture's stages to the residual blocks of a network."""

from __future__ import annotations

import dataclasses

from tf_biggan.networks.architectures import Architecture

BOTTLENECK_RATIO = 4


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """One residual block: channels in, inside and out, whether it resamples, attention after it."""

    in_channels: int
    hidden_channels: int
    out_channels: int
    resample: bool
    attention: bool


def generator_blocks(
    architecture: Architecture,
    base_channels: int,
    depth: int,
    attention: tuple[int, ...],
) -> tuple[BlockSpec, ...]:
    """Blocks of the generator, from the bottom to the image.

    A stage keeps its width up to its last block, which changes width and doubles the size
    (BigGAN-deep, Tables 7-9; with `depth` 1 this is BigGAN's plan).
    """
    trunk = dataclasses.replace(architecture.generator, attention=attention)
    bottleneck = architecture.variant == "biggan_deep"
    specs = []
    for stage, resample in enumerate(trunk.resample):
        wide, narrow = (base_channels * m for m in trunk.widths[stage : stage + 2])
        for position in range(depth):
            last = position == depth - 1
            out = narrow if last else wide
            specs.append(
                BlockSpec(
                    in_channels=wide,
                    hidden_channels=max(1, wide // BOTTLENECK_RATIO) if bottleneck else out,
                    out_channels=out,
                    resample=resample and last,
                    attention=stage in trunk.attention and last,
                )
            )
    return tuple(specs)


def discriminator_blocks(
    architecture: Architecture,
    base_channels: int,
    depth: int,
    attention: tuple[int, ...],
    image_channels: int,
    wide: bool,
) -> tuple[BlockSpec, ...]:
    """Blocks of the discriminator, from the image (or the stem's output) to the head.

    The first block of a stage changes width and halves the size. `wide` (BigGAN) sets a block's
    inner width to its output's; else it is its input's (SN-GAN). BigGAN-deep has bottlenecks.
    """
    trunk = dataclasses.replace(architecture.discriminator, attention=attention)
    bottleneck = architecture.variant == "biggan_deep"
    widths = tuple(base_channels * multiplier for multiplier in trunk.widths)
    seams = widths if bottleneck else (image_channels, *widths)
    specs = []
    for stage, resample in enumerate(trunk.resample):
        for position in range(depth):
            first, last = position == 0, position == depth - 1
            entering, out = seams[stage] if first else seams[stage + 1], seams[stage + 1]
            inner = max(1, out // BOTTLENECK_RATIO) if bottleneck else (out if wide else entering)
            specs.append(
                BlockSpec(
                    in_channels=entering,
                    hidden_channels=inner,
                    out_channels=out,
                    resample=resample and first,
                    attention=stage in trunk.attention and last,
                )
            )
    return tuple(specs)
