"""Initial values of variables. With a seed, they are the same on every Keras backend.

Keras backends generate different random numbers from the same seed. Layers with a seed therefore
start from TensorFlow's random numbers on every backend. On TensorFlow, Keras's own initialisers
return these numbers.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import keras
import numpy as np

N02_STDDEV = 0.02
# Keras reduces seeds modulo this number before they reach TensorFlow.
SEED_MODULUS = 2**31 - 2


class SeededInitializer(keras.initializers.Initializer):
    """Initialiser with a seed, for Keras backends other than TensorFlow.

    Args:
      values: Function of (shape, dtype, seed) that returns a NumPy array.
      seed: Seed of the values.
    """

    def __init__(self, values: Callable, seed: int):
        self.values = values
        self.seed = seed

    def __call__(self, shape, dtype=None):
        dtype = keras.backend.standardize_dtype(dtype or keras.config.floatx())
        return keras.ops.convert_to_tensor(self.values(tuple(shape), dtype, self.seed))


def initializer(name: str, seed: int | None) -> keras.Initializer:
    """Returns a new initialiser.

    Args:
      name: "ortho" (orthogonal with gain 1), "n02" (N(0, 0.02)), "glorot" (Glorot's uniform) or
        "normal" (N(0, 1)).
      seed: Integer for the same values on every backend, None for random ones.
    """
    make, values = INITIALIZERS[name]
    if seed is None or keras.backend.backend() == "tensorflow":
        return make(seed)
    return SeededInitializer(values, seed)


def normal_values(shape, dtype, seed: int, stddev: float = 1.0) -> np.ndarray:
    """Returns the values that `RandomNormal(stddev=stddev)` of Keras returns on TensorFlow."""
    random = _tensorflow().random
    return random.stateless_normal(shape, _pair(seed), stddev=stddev, dtype=dtype).numpy()


def n02_values(shape, dtype, seed: int) -> np.ndarray:
    """Returns the values that `RandomNormal(stddev=0.02)` of Keras returns on TensorFlow."""
    return normal_values(shape, dtype, seed, N02_STDDEV)


def glorot_values(shape, dtype, seed: int) -> np.ndarray:
    """Returns the values that `keras.initializers.GlorotUniform` returns on TensorFlow."""
    field = math.prod(shape[:-2])
    # Keras computes the limit in this order of operations; another order changes the last bit.
    limit = math.sqrt(3.0 * (1.0 / max(1.0, (shape[-2] + shape[-1]) * field / 2.0)))
    tf = _tensorflow()
    # `tf.cast` rounds the limits to float32 first, even for float64, as in Keras.
    ends = tf.cast(-limit, dtype), tf.cast(limit, dtype)
    return tf.random.stateless_uniform(shape, _pair(seed), *ends, dtype=dtype).numpy()


def orthogonal_values(shape, dtype, seed: int) -> np.ndarray:
    """Returns the values that `keras.initializers.Orthogonal` returns on TensorFlow."""
    tf = _tensorflow()
    rows, columns = math.prod(shape[:-1]), shape[-1]
    tall = (max(rows, columns), min(rows, columns))
    q, r = tf.linalg.qr(tf.constant(normal_values(tall, dtype, seed)))
    # Multiplied by these signs, q is distributed uniformly over all orthogonal matrices.
    q = q.numpy() * np.sign(np.diagonal(r.numpy()))
    return np.reshape(q.T if rows < columns else q, shape)


def _pair(seed):
    return [seed % SEED_MODULUS, 0]


def _tensorflow():
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        # Otherwise, TensorFlow would take the memory of the GPU that the other backend computes on.
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    return tf


# For each name: a function that makes Keras's initialiser, and one that returns the same values.
INITIALIZERS = {
    "ortho": (lambda seed: keras.initializers.Orthogonal(seed=seed), orthogonal_values),
    "n02": (lambda s: keras.initializers.RandomNormal(stddev=N02_STDDEV, seed=s), n02_values),
    "glorot": (lambda seed: keras.initializers.GlorotUniform(seed=seed), glorot_values),
    "normal": (lambda s: keras.initializers.RandomNormal(stddev=1.0, seed=s), normal_values),
}
