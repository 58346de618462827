"""Finds the residual blocks of a checkpoint from the shapes of its kernels."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping

from tf_biggan import checks
from tf_biggan.conversion.rules import ConversionError, Tables
from tf_biggan.files import input_bounds

Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class FoundBlock:
    """One residual block of a checkpoint.

    Attributes:
      place: Prefix of the block's keys.
      in_channels: Number of input channels of the block.
      hidden_channels: Number of output channels of the block's first convolution.
      out_channels: Number of output channels of the block.
      shortcut: Whether the block's shortcut has a convolution.
      attention: Whether an attention layer follows the block.
      resample: Whether the block changes the height and width, or None if the checkpoint does not
        show it.
    """

    place: str
    in_channels: int
    hidden_channels: int
    out_channels: int
    shortcut: bool
    attention: bool = False
    resample: bool | None = None


@dataclasses.dataclass(frozen=True)
class Structure:
    """Residual blocks of one network of a checkpoint.

    Attributes:
      variant: "biggan" or "biggan_deep".
      blocks: The blocks, from the network's input to its output.
    """

    variant: str
    blocks: tuple[FoundBlock, ...]


def shape_of(shapes: Shapes, key: str, rank: int) -> tuple[int, ...]:
    """Returns the shape of a tensor.

    Args:
      shapes: Shape of each tensor by key.
      key: Key of the tensor.
      rank: Number of axes that the tensor must have.

    Raises:
      ConversionError: The tensor is missing, or does not have `rank` axes.
    """
    if key not in shapes:
        raise ConversionError(
            f"The weights are incomplete: the tensor {key} is missing. Use the complete"
            " state_dict() of the network."
        )
    if len(shapes[key]) != rank:
        raise ConversionError(
            f"The weights do not fit: the tensor {key} must have {rank} axes. Received shape:"
            f" {shapes[key]}."
        )
    return shapes[key]


def find_structure(shapes: Shapes, tables: Tables) -> Structure:
    """Returns the residual blocks of a network, in the order of the numbers in their keys.

    Args:
      shapes: Shape of each tensor by key.
      tables: Names of layers and tensors in the code base.

    Raises:
      ConversionError: There are no blocks, or the input channels of a block differ from the output
        channels of the block before it.
    """
    deep_key = tables.key("block", "conv_4")
    blocks, deep = [], None
    places, limit = _places(shapes, tables), 2 * input_bounds.RESIDUAL_BLOCKS
    checks.require(
        len(places) <= limit,
        f"the weights are refused, because a network may have at most {limit} residual blocks and"
        " attention layers; save only the tensors of one generator or discriminator",
        blocks=len(places),
    )
    for place in places:
        if f"{place}.{tables.key('attention', 'theta')}" in shapes:
            if not blocks or blocks[-1].attention:
                raise ConversionError(
                    f"The attention layer {place} does not follow a residual block."
                )
            blocks[-1] = dataclasses.replace(blocks[-1], attention=True)
            continue
        deep = f"{place}.{deep_key}" in shapes if deep is None else deep
        blocks.append(_block(shapes, tables, place, deep))
    if not blocks:
        raise ConversionError(
            "The weights are incomplete: they have no residual blocks. Use the complete"
            " state_dict() of the network."
        )
    _check_chain(blocks, tables)
    return Structure("biggan_deep" if deep else "biggan", tuple(blocks))


def _places(shapes, tables):
    found = {}
    for key in shapes:
        match = re.match(tables.place, key)
        if match:
            found[match[1]] = tuple(int(number) for number in re.findall(r"\d+", match[1]))
    return sorted(found, key=found.get)


def _block(shapes, tables, place, deep):
    def shape(layer):
        return shape_of(shapes, f"{place}.{tables.key('block', layer)}", rank=4)

    first, last = shape("conv_1"), shape("conv_4" if deep else "conv_2")
    shortcut = tables.key("block", "shortcut")
    return FoundBlock(
        place,
        in_channels=first[1],
        hidden_channels=first[0],
        out_channels=last[0],
        shortcut=shortcut is not None and f"{place}.{shortcut}" in shapes,
    )


def _check_chain(blocks, tables):
    for before, block in itertools.pairwise(blocks):
        if before.out_channels != block.in_channels:
            key = f"{block.place}.{tables.key('block', 'conv_1')}"
            raise ConversionError(
                f"The weights do not fit: {before.place} has {before.out_channels} output"
                f" channels, but `{key}` takes {block.in_channels} input channels."
            )
