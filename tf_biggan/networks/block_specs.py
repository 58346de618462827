"""Converts the stages of an architecture to a list of residual blocks."""

from __future__ import annotations

import dataclasses

from tf_biggan.networks.architectures import Architecture

BOTTLENECK_RATIO = 4


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """Widths and options of one residual block.

    Attributes:
      in_channels, hidden_channels, out_channels: Channels of the input, inside, and of the output.
      resample: Whether the block doubles (generator) or halves (discriminator) the size.
      attention: Whether self-attention follows the block.
    """

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
    """Returns the blocks of a generator, from the first feature map to the image.

    The last block of a stage changes the width and doubles the size; the blocks before it keep both
    (paper, Tables 7-9). With `depth` 1 these are the blocks of BigGAN.

    Args:
      architecture: Gives the stages and the variant.
      base_channels: Width multiplier.
      depth: Blocks per stage.
      attention: Stages, counted from 0, whose last block is followed by self-attention.
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
    """Returns the blocks of a discriminator, from the image to the head.

    The first block of a stage changes the width and halves the size. In BigGAN-deep, a convolution
    (the stem) comes before the first block, and blocks have bottlenecks.

    Args:
      architecture: Gives the stages and the variant.
      base_channels: Width multiplier.
      depth: Blocks per stage.
      attention: Stages, counted from 0, whose last block is followed by self-attention.
      image_channels: Channels of the images.
      wide: Whether the inner width of a BigGAN block is its output width, as in BigGAN. If False,
        it is the input width, as in SN-GAN.
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
