"""Arguments of our networks, found from the shapes of a checkpoint's tensors."""

from __future__ import annotations

import dataclasses
import math

from tf_biggan import checks
from tf_biggan.conversion.architecture_match import Match
from tf_biggan.conversion.rules import ConversionError
from tf_biggan.conversion.structure import Shapes, Structure, shape_of
from tf_biggan.conversion.tables import Tables


@dataclasses.dataclass(frozen=True)
class Conditioning:
    """How a generator takes z and classes; the fields are arguments of `Generator`."""

    num_classes: int
    embedding_dim: int
    latent_dim: int
    latent_injection: str


def find_conditioning(shapes: Shapes, tables: Tables, structure: Structure) -> Conditioning:
    """Sizes of z and of the class embedding, and where z goes.

    The first dense layer takes all of z, a chunk of it, or z joined to the embedding; the gains of
    the blocks take the embedding, or it joined to a chunk of z or to z.

    Raises:
      ConversionError: a tensor is missing, or the sizes contradict each other.
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
        f"`{gain_key}` must take the class embedding of {dim}, alone or joined to z (or a chunk of"
        f" it) of {first}. Received: {condition}."
    )


def find_bottom_size(shapes: Shapes, tables: Tables, structure: Structure) -> int:
    """The side of the generator's first feature map, which is a square."""
    outputs = shape_of(shapes, tables.key("generator", "first"), rank=2)[0]
    return math.isqrt(outputs // structure.blocks[0].in_channels)


def generator_arguments(
    shapes: Shapes, tables: Tables, structure: Structure, match: Match
) -> dict[str, object]:
    """Arguments of `Generator`, but for epsilons.

    Raises:
      ConversionError: see `find_conditioning`.
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
    """Arguments of `Discriminator`, but for epsilons; see `generator_arguments`."""
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
        "attention must follow the last block of a resolution",
        blocks=places,
        blocks_per_resolution=depth,
    )
    return dict(
        architecture=match.architecture,
        base_channels=match.base_channels[side],
        depth=depth,
        attention_stages=tuple(index // depth for index in places),
    )
