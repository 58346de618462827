"""The walk over a network's blocks, some of which are followed by attention."""

from __future__ import annotations

from collections.abc import Iterator

import keras


def with_attention(model) -> Iterator[tuple[keras.Layer, keras.Layer | None]]:
    """Every block of a network with the attention after it, or None."""
    attentions = iter(model.attentions)
    for spec, block in zip(model.block_specs, model.blocks, strict=True):
        yield block, next(attentions) if spec.attention else None


def build_trunk(model, shape: tuple, *condition_shape: tuple) -> tuple:
    """Builds blocks and attentions on inputs of `shape`; returns the shape that leaves them."""
    for block, attention in with_attention(model):
        block.build(shape, *condition_shape)
        shape = block.compute_output_shape(shape)
        if attention is not None:
            attention.build(shape)
    return shape
