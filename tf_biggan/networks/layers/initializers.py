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
    """Returns a new initialiser of kernels.

    "ortho" is orthogonal with gain 1, "n02" is N(0, 0.02) and "glorot" is Glorot's uniform.

    Source: BigGAN-PyTorch, BigGAN.py `init_weights`.

    Raises:
      ValueError: The name is another.
    """
    checks.require_choice("initializer", name, tuple(INITIALIZERS))
    return INITIALIZERS[name](seed)


def power_iteration_initializer(seed: int | None) -> keras.Initializer:
    """Returns a new N(0, 1) initialiser for the vectors u; the length of u has no effect."""
    return keras.initializers.RandomNormal(stddev=1.0, seed=seed)


def child_seed(seed: int | None, name: str) -> int | None:
    """Returns the seed of the part called `name`; None if `seed` is None (random values)."""
    return None if seed is None else zlib.crc32(f"{seed}/{name}".encode())
