"""The table of layers of the Inception network of 2015-12-05, which defines FID and IS.

Source: the graph classify_image_graph_def.pb of inception-2015-12-05.tgz (Szegedy et al. 2015,
"Rethinking the Inception Architecture"); torch-fidelity feature_extractor_inceptionv3.py for the
pools and the taps. Every convolution is followed by a batch norm (epsilon 0.001) and a ReLU.
"""

from __future__ import annotations

import typing

INPUT_SIZE = 299
NUM_FEATURES = 2048
NUM_CLASSES = 1008
BATCH_NORM_EPSILON = 1e-3
CLASSIFIER = "fc"

# Outputs from the shallowest to the deepest: means over positions, then logits.
TAPS = ("64", "192", "768", "2048", "logits_unbiased", "logits")


class Conv(typing.NamedTuple):
    """A convolution with its name in PyTorch ports and its scope in the graph of 2015."""

    name: str
    scope: str
    filters: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"


class Pool(typing.NamedTuple):
    """Pooling over 3x3 positions; average pooling ignores positions outside the image."""

    kind: str
    stride: int = 1
    padding: str = "SAME"


class Mixed(typing.NamedTuple):
    """Branches that read the same input and are concatenated along the channels."""

    branches: tuple[tuple, ...]


class Tap(typing.NamedTuple):
    """An output of the network: the mean over positions at this place."""

    name: str


def _sequence(name: str, scope: str, *rows: tuple) -> tuple[Conv, ...]:
    """Returns the convolutions NAME_1, NAME_2, ... of one branch.

    Args:
      name: name of the branch in PyTorch ports.
      scope: scope of the branch in the graph of 2015.
      *rows: arguments of `Conv` from `filters` on, one row per convolution.
    """
    scopes = [f"{scope}/conv"] + [f"{scope}/conv_{i}" for i in range(1, len(rows))]
    return tuple(Conv(f"{name}_{i}", scopes[i - 1], *row) for i, row in enumerate(rows, start=1))


def _fork(name: str, scope: str, filters: int) -> Mixed:
    return Mixed(
        (
            (Conv(f"{name}a", f"{scope}/mixed/conv", filters, (1, 3)),),
            (Conv(f"{name}b", f"{scope}/mixed/conv_1", filters, (3, 1)),),
        )
    )


def _mixed_35(name: str, scope: str, pool_filters: int) -> Mixed:
    return Mixed(
        (
            (Conv(f"{name}.branch1x1", f"{scope}/conv", 64),),
            _sequence(f"{name}.branch5x5", f"{scope}/tower", (48,), (64, (5, 5))),
            _sequence(
                f"{name}.branch3x3dbl", f"{scope}/tower_1", (64,), (96, (3, 3)), (96, (3, 3))
            ),
            (
                Pool("average"),
                Conv(f"{name}.branch_pool", f"{scope}/tower_2/conv", pool_filters),
            ),
        )
    )


def _mixed_17(name: str, scope: str, width: int) -> Mixed:
    return Mixed(
        (
            (Conv(f"{name}.branch1x1", f"{scope}/conv", 192),),
            _sequence(
                f"{name}.branch7x7", f"{scope}/tower", (width,), (width, (1, 7)), (192, (7, 1))
            ),
            _sequence(
                f"{name}.branch7x7dbl",
                f"{scope}/tower_1",
                (width,),
                (width, (7, 1)),
                (width, (1, 7)),
                (width, (7, 1)),
                (192, (1, 7)),
            ),
            (Pool("average"), Conv(f"{name}.branch_pool", f"{scope}/tower_2/conv", 192)),
        )
    )


def _mixed_8(name: str, scope: str, pool: str) -> Mixed:
    return Mixed(
        (
            (Conv(f"{name}.branch1x1", f"{scope}/conv", 320),),
            (
                Conv(f"{name}.branch3x3_1", f"{scope}/tower/conv", 384),
                _fork(f"{name}.branch3x3_2", f"{scope}/tower", 384),
            ),
            (
                *_sequence(f"{name}.branch3x3dbl", f"{scope}/tower_1", (448,), (384, (3, 3))),
                _fork(f"{name}.branch3x3dbl_3", f"{scope}/tower_1", 384),
            ),
            (Pool(pool), Conv(f"{name}.branch_pool", f"{scope}/tower_2/conv", 192)),
        )
    )


NETWORK: tuple[Conv | Pool | Mixed | Tap, ...] = (
    Conv("Conv2d_1a_3x3", "conv", 32, (3, 3), 2, "VALID"),
    Conv("Conv2d_2a_3x3", "conv_1", 32, (3, 3), 1, "VALID"),
    Conv("Conv2d_2b_3x3", "conv_2", 64, (3, 3)),
    Pool("max", 2, "VALID"),
    Tap("64"),
    Conv("Conv2d_3b_1x1", "conv_3", 80, (1, 1), 1, "VALID"),
    Conv("Conv2d_4a_3x3", "conv_4", 192, (3, 3), 1, "VALID"),
    Pool("max", 2, "VALID"),
    Tap("192"),
    _mixed_35("Mixed_5b", "mixed", pool_filters=32),
    _mixed_35("Mixed_5c", "mixed_1", pool_filters=64),
    _mixed_35("Mixed_5d", "mixed_2", pool_filters=64),
    Mixed(
        (
            (Conv("Mixed_6a.branch3x3", "mixed_3/conv", 384, (3, 3), 2, "VALID"),),
            _sequence(
                "Mixed_6a.branch3x3dbl",
                "mixed_3/tower",
                (64,),
                (96, (3, 3)),
                (96, (3, 3), 2, "VALID"),
            ),
            (Pool("max", 2, "VALID"),),
        )
    ),
    _mixed_17("Mixed_6b", "mixed_4", width=128),
    _mixed_17("Mixed_6c", "mixed_5", width=160),
    _mixed_17("Mixed_6d", "mixed_6", width=160),
    _mixed_17("Mixed_6e", "mixed_7", width=192),
    Tap("768"),
    Mixed(
        (
            _sequence("Mixed_7a.branch3x3", "mixed_8/tower", (192,), (320, (3, 3), 2, "VALID")),
            _sequence(
                "Mixed_7a.branch7x7x3",
                "mixed_8/tower_1",
                (192,),
                (192, (1, 7)),
                (192, (7, 1)),
                (192, (3, 3), 2, "VALID"),
            ),
            (Pool("max", 2, "VALID"),),
        )
    ),
    _mixed_8("Mixed_7b", "mixed_9", pool="average"),
    # Max pooling here distinguishes this graph from later versions of Inception.
    _mixed_8("Mixed_7c", "mixed_10", pool="max"),
    Tap("2048"),
)


def convolutions() -> list[tuple[Conv, int]]:
    """Returns every convolution with its number of input channels, in the order of the table."""
    found: list[tuple[Conv, int]] = []
    channels = 3
    for unit in NETWORK:
        channels = _walk(unit, channels, found)
    return found


def _walk(unit, channels: int, found: list[tuple[Conv, int]]) -> int:
    """Returns the output channels of a unit and appends its convolutions to `found`."""
    if isinstance(unit, Conv):
        found.append((unit, channels))
        return unit.filters
    if isinstance(unit, Mixed):
        ends = []
        for branch in unit.branches:
            end = channels
            for part in branch:
                end = _walk(part, end, found)
            ends.append(end)
        return sum(ends)
    return channels
