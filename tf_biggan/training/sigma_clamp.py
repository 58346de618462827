"""Clamps the first singular values of the generator's kernels. Source: paper, section 4.1."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_biggan.networks.layers.spectral_norm import SpectralNorm, normalized_layers
from tf_biggan.training.regularizers import clamp_first_singular_value, second_singular_value


def clamp_to(generator: keras.Model, sigma_clamp: float) -> None:
    """Lowers the first singular value of every normalised kernel to at most `sigma_clamp`."""
    for layer in normalized_layers(generator):
        _clamp(layer, sigma_clamp)


def clamp_to_second(
    generator: keras.Model, ratio: float, second_vectors: Sequence[tf.Variable]
) -> None:
    """Lowers the first singular value of every kernel to at most `ratio` times its second.

    Kernels with one row or column have no second singular value and stay as they are.

    Args:
      generator: Its kernels are updated in place.
      ratio: Largest allowed ratio of the first to the second singular value.
      second_vectors: The result of the function `second_vectors`, updated by one step of power
        iteration.
    """
    for layer, u_second in zip(_with_second(generator), second_vectors, strict=True):
        sigma, moved = second_singular_value(
            layer.kernel_matrix(), layer.u, u_second, layer.epsilon
        )
        u_second.assign(moved)
        _clamp(layer, ratio * sigma)


def second_vectors(generator: keras.Model) -> tuple[tf.Variable, ...]:
    """Returns initial estimates of the second singular vector of every kernel that has one."""
    return tuple(
        tf.Variable(
            tf.random.stateless_normal(layer.u.shape, (0, index), dtype=layer.u.dtype),
            trainable=False,
            name=f"second_vector_{index}",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        for index, layer in enumerate(_with_second(generator))
    )


def _with_second(generator) -> list[SpectralNorm]:
    # A kernel with one row or column has no second singular value. Its estimate would be 0, and the
    # clamp would erase the kernel.
    layers = normalized_layers(generator)
    return [layer for layer in layers if min(layer.kernel_matrix().shape) > 1]


def _clamp(layer, sigma_clamp):
    clamped = clamp_first_singular_value(layer.kernel_matrix(), layer.u, sigma_clamp, layer.epsilon)
    layer.kernel.assign(tf.reshape(clamped, layer.kernel.shape))
