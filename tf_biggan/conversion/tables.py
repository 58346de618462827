"""What a code base calls the layers of its networks: data, from which sizes are found too."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tf_biggan.conversion.rules import Kinds, Row


@dataclasses.dataclass(frozen=True)
class Tables:
    """The names of one code base.

    Attributes:
      kinds: tensors of each kind of layer.
      generator, discriminator: rows outside of the blocks.
      block, attention: rows below the prefix of a block, or of an attention layer.
      place: regular expression of that prefix; its groups are numbers that order the places.
      ignored: why source keys, by regular expression, have no place in a model of ours.
    """

    kinds: Kinds
    generator: tuple[Row, ...]
    discriminator: tuple[Row, ...]
    block: tuple[Row, ...]
    attention: tuple[Row, ...]
    place: str
    ignored: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def key(self, group: str, target: str) -> str | None:
        """The key of a layer's first tensor (its kernel), relative to its group's prefix.

        Args:
          group: "generator", "discriminator", "block" or "attention".
          target: the layer's path in our model, relative to the group's.

        Returns:
          The key, or None where the code base has no such layer.
        """
        for row in getattr(self, group):
            if row.target == target:
                return row.source + self.kinds[row.kind][0].sources[0]
        return None
