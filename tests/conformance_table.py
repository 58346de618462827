"""A table with one row per layer and model. Each test in test_conformance.py runs over all rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from tf_biggan.networks.architectures import ARCHITECTURES, BlockSpec
from tf_biggan.networks.blocks import (
    DeepDiscriminatorBlock,
    DeepGeneratorBlock,
    DiscriminatorBlock,
    GeneratorBlock,
    SelfAttention,
)
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.layers.batch_norm import BatchNorm, ConditionalBatchNorm
from tf_biggan.networks.layers.factory import LayerFactory
from tf_biggan.networks.layers.linear import Conv2D, Dense, Embedding
from tf_biggan.networks.layers.spectral_norm import SNConv2D, SNDense, SNEmbedding

BATCH = 4
CLASSES = 5
MAP = (4, 6)


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer or model with non-default arguments.

    Attributes:
      make: constructor, from Keras's own arguments (`name`, `dtype`) to the layer.
      inputs: kinds of its call arguments; see `example_inputs`.
      variables: how many it has.
      untested_defaults: arguments that keep their default here, with the reason beside the row.
    """

    make: Callable
    inputs: tuple
    variables: int
    untested_defaults: tuple[str, ...] = ()


def example_inputs(row: Row, seed: int = 0, batch: int = BATCH) -> tuple[np.ndarray, ...]:
    """Returns inputs by kind: ("map", C), ("vector", D), ("image", H, W, C), ("labels",), ..."""
    random = np.random.RandomState(seed)
    made = {
        "map": lambda channels: random.standard_normal((batch, *MAP, channels)),
        "vector": lambda size: random.standard_normal((batch, size)),
        "image": lambda *shape: random.uniform(-1, 1, (batch, *shape)),
        "soft": lambda: random.dirichlet(np.ones(CLASSES), batch),
        "labels": lambda: random.randint(CLASSES, size=batch),
    }
    arrays = [made[kind](*sizes) for kind, *sizes in row.inputs]
    return tuple(a.astype("int32" if a.dtype.kind == "i" else "float32") for a in arrays)


FACTORY = dict(
    spectral_norm=True,
    sn_epsilon=1e-6,
    initializer="glorot",
    bn_epsilon=1e-4,
    bn_momentum=0.8,
    bn_synchronized=True,
    num_statistics=1,
    seed=7,
)
ON_VECTOR = LayerFactory(**FACTORY, condition="vector")
ON_LABEL = LayerFactory(**FACTORY, condition="label", num_classes=CLASSES)
KERNEL = dict(initializer="glorot", seed=3)
NORM = dict(epsilon=1e-3, momentum=0.7, num_statistics=1, synchronized=True)
# Training needs one row of statistics. Equal results on several replicas need synchronised moments.
NORM_DEFAULTS = ("num_statistics", "synchronized")
GENERATOR = dict(
    num_classes=CLASSES,
    base_channels=2,
    bottom_size=(4, 6),
    image_channels=1,
    sn_epsilon=1e-6,
    initializer="glorot",
    bn_epsilon=1e-4,
    output_bn_epsilon=1e-3,
    bn_momentum=0.8,
    seed=5,
)
GENERATOR_DEFAULTS = ("spectral_norm", "bn_synchronized", "num_statistics")
DISCRIMINATOR = dict(
    num_classes=CLASSES,
    base_channels=2,
    attention_stages=(1,),
    image_channels=1,
    bottom_size=(4, 6),
    sn_epsilon=1e-6,
    initializer="glorot",
    seed=5,
)


def _conditional_norm(factory):
    def make(**kwargs):
        owner = Dense(1, dtype=kwargs.get("dtype"))
        parts = factory.batch_norm(owner, "norm", 8)
        return ConditionalBatchNorm(gain=parts.gain, offset=parts.offset, **NORM, **kwargs)

    return make


ROWS = {
    "Conv2D": Row(
        lambda **k: Conv2D(filters=6, kernel_size=3, use_bias=False, **KERNEL, **k),
        (("map", 5),),
        1,
    ),
    "Dense": Row(lambda **k: Dense(units=6, use_bias=False, **KERNEL, **k), (("vector", 5),), 1),
    "Embedding": Row(
        lambda **k: Embedding(num_classes=CLASSES, dim=6, **KERNEL, **k), (("labels",),), 1
    ),
    "SNConv2D": Row(
        lambda **k: SNConv2D(filters=6, kernel_size=3, use_bias=True, epsilon=1e-5, **KERNEL, **k),
        (("map", 5),),
        3,
        ("use_bias",),  # This row has a bias; the row of Conv2D has none.
    ),
    "SNDense": Row(
        lambda **k: SNDense(units=6, use_bias=False, epsilon=1e-5, **KERNEL, **k),
        (("vector", 5),),
        2,
    ),
    "SNEmbedding": Row(
        lambda **k: SNEmbedding(num_classes=CLASSES, dim=6, epsilon=1e-5, **KERNEL, **k),
        (("labels",),),
        2,
    ),
    "SNEmbedding on soft labels": Row(
        lambda **k: SNEmbedding(num_classes=CLASSES, dim=6, epsilon=1e-5, **KERNEL, **k),
        (("soft",),),
        2,
    ),
    "BatchNorm": Row(lambda **k: BatchNorm(**NORM, **k), (("map", 8),), 4, NORM_DEFAULTS),
    "ConditionalBatchNorm on a vector": Row(
        _conditional_norm(ON_VECTOR), (("map", 8), ("vector", 7)), 6, NORM_DEFAULTS
    ),
    "ConditionalBatchNorm on labels": Row(
        _conditional_norm(ON_LABEL), (("map", 8), ("labels",)), 4, NORM_DEFAULTS
    ),
    "SelfAttention": Row(lambda **k: SelfAttention(factory=ON_VECTOR, **k), (("map", 16),), 9),
    "GeneratorBlock": Row(
        lambda **k: GeneratorBlock(spec=BlockSpec(8, 6, 6, True, False), factory=ON_VECTOR, **k),
        (("map", 8), ("vector", 7)),
        21,
    ),
    "DeepGeneratorBlock": Row(
        lambda **k: DeepGeneratorBlock(spec=BlockSpec(8, 2, 4, True, False), factory=ON_LABEL, **k),
        (("map", 8), ("labels",)),
        28,
    ),
    "DiscriminatorBlock": Row(
        lambda **k: DiscriminatorBlock(
            spec=BlockSpec(3, 8, 8, True, False), preactivate=False, factory=ON_VECTOR, **k
        ),
        (("map", 3),),
        9,
    ),
    "DeepDiscriminatorBlock": Row(
        lambda **k: DeepDiscriminatorBlock(
            spec=BlockSpec(4, 2, 8, True, False), factory=ON_VECTOR, **k
        ),
        (("map", 4),),
        15,
    ),
    "Generator, split z": Row(
        lambda **k: Generator(
            architecture=ARCHITECTURES["biggan32"],
            latent_dim=12,
            latent_injection="split",
            embedding_dim=6,
            attention_stages=(1,),
            **{**GENERATOR, **k},
        ),
        (("vector", 12), ("labels",)),
        83,
        (*GENERATOR_DEFAULTS, "depth"),  # The deep row tests another depth.
    ),
    "Generator, class tables": Row(
        lambda **k: Generator(architecture="biggan32", **{**GENERATOR, **k}),
        (("vector", 128), ("soft",)),
        61,
        # The row above tests the arguments that keep their default here.
        (
            *GENERATOR_DEFAULTS,
            "depth",
            "latent_dim",
            "latent_injection",
            "embedding_dim",
            "attention_stages",
        ),
    ),
    "Generator, deep": Row(
        lambda **k: Generator(
            architecture="biggan_deep32",
            depth=1,
            latent_dim=12,
            embedding_dim=6,
            attention_stages=(1,),
            **{**GENERATOR, **k},
        ),
        (("vector", 12), ("labels",)),
        128,
        (*GENERATOR_DEFAULTS, "latent_injection"),
    ),
    "Discriminator": Row(
        lambda **k: Discriminator(
            architecture="biggan32",
            wide=False,
            depth=2,
            rectified_shortcuts=True,
            **{**DISCRIMINATOR, **k},
        ),
        (("image", 32, 48, 1), ("labels",)),
        68,
        ("spectral_norm",),
    ),
    "Discriminator, deep": Row(
        lambda **k: Discriminator(
            architecture="biggan_deep32",
            depth=1,
            rectified_shortcuts=True,
            **{**DISCRIMINATOR, **k},
        ),
        (("image", 32, 48, 1), ("soft",)),
        53,
        ("spectral_norm", "wide"),
    ),
}
