"""Kernel initialisers by their published names, each call giving a fresh, separately seeded one.

A Keras initialiser instance that is used twice gives equal kernels to equal shapes, so layers never
share one: a composite layer derives a seed for each child from its own seed and the child's name.
"""

from __future__ import annotations

import zlib

import keras

from tf_biggan import checks

N02_STDDEV = 0.02

INITIALIZERS = {
    "ortho": lambda seed: keras.initializers.Orthogonal(seed=seed),
    "n02": lambda seed: keras.initializers.RandomNormal(stddev=N02_STDDEV, seed=seed),
    "glorot": lambda seed: keras.initializers.GlorotUniform(seed=seed),
}


def kernel_initializer(name: str, seed: int | None) -> keras.Initializer:
    """A new initialiser: "ortho" (orthogonal, gain 1), "n02" (N(0, 0.02)) or "glorot" (uniform).

    Source: BigGAN-PyTorch, BigGAN.py `init_weights`.

    Raises:
      ValueError: another name.
    """
    checks.require_choice("initializer", name, tuple(INITIALIZERS))
    return INITIALIZERS[name](seed)


def power_iteration_initializer(seed: int | None) -> keras.Initializer:
    """A new N(0, 1) initialiser for the vectors u of spectral norm; their length has no effect."""
    return keras.initializers.RandomNormal(stddev=1.0, seed=seed)


def child_seed(seed: int | None, name: str) -> int | None:
    """A seed for the part called `name`, a function of both; None stays None (unseeded)."""
    return None if seed is None else zlib.crc32(f"{seed}/{name}".encode())
