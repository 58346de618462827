"""Spectral normalisation: the kernel is divided by an estimate of its largest singular value.

The raw kernel is stored and trained; W / sigma exists only in the graph. One step of power
iteration a forward pass improves the stored vector u. Source: BigGAN-PyTorch, layers.py.
"""

from __future__ import annotations

import keras
from keras import ops

from tf_biggan.networks.layers.initializers import child_seed, power_iteration_initializer
from tf_biggan.networks.layers.linear import (
    Conv2D,
    Dense,
    Embedding,
    PooledConv2D,
    UpsampledConv2D,
)
from tf_biggan.networks.layers.precision import wide_dtype

DEFAULT_SN_EPSILON = 1e-8


def power_iteration(matrix, u, epsilon: float):
    """One step of power iteration from `u`.

    Args:
      matrix: kernel matrix K [inputs, outputs].
      u: estimate of the first right singular vector [1, outputs]; its length has no effect.
      epsilon: smallest norm that a vector is divided by.

    Returns:
      sigma, a scalar through which gradients reach `matrix`; and the new u [1, outputs] and
      v [1, inputs], unit vectors that are constants for the gradient.
    """
    constant = ops.stop_gradient(matrix)
    v = _unit(ops.matmul(u, ops.transpose(constant)), epsilon)
    new_u = _unit(ops.matmul(v, constant), epsilon)
    v, new_u = ops.stop_gradient(v), ops.stop_gradient(new_u)
    sigma = ops.sum(ops.matmul(v, matrix) * new_u)
    return sigma, new_u, v


def _unit(vector, epsilon):
    return vector / ops.maximum(ops.sqrt(ops.sum(ops.square(vector))), epsilon)


class SpectralNorm:
    """Mixin for a `KernelLayer`: its effective kernel is kernel / sigma.

    Training forwards store the improved u; others use it and store nothing.

    Args:
      epsilon: see `power_iteration` (1e-8 in BigGAN-PyTorch's CIFAR-10 script, 1e-6 in its
        ImageNet scripts).
    """

    def __init__(self, *args, epsilon=DEFAULT_SN_EPSILON, **kwargs):
        super().__init__(*args, **kwargs)
        self.epsilon = epsilon

    def add_kernel(self, shape, outputs):
        super().add_kernel(shape, outputs)
        self.u = self.add_weight(
            name="u",
            shape=(1, outputs),
            initializer=power_iteration_initializer(child_seed(self.seed, "u")),
            dtype=wide_dtype(self),
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )

    def effective_kernel(self, training):
        sigma, u, _ = self.estimate_sigma()
        if training:
            self.u.assign(u)
        return ops.cast(self.kernel, wide_dtype(self)) / sigma

    def estimate_sigma(self):
        """`power_iteration` of the raw kernel from the stored u, which stays as it is."""
        matrix = ops.cast(self.kernel_matrix(), wide_dtype(self))
        return power_iteration(matrix, self.u, self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def normalized_layers(model: keras.Model) -> list[SpectralNorm]:
    """All spectrally normalised layers of a model, in the order of their making."""
    layers = model._flatten_layers(include_self=False, recursive=True)
    return [layer for layer in layers if isinstance(layer, SpectralNorm)]


@keras.saving.register_keras_serializable(package="tf_biggan")
class SNConv2D(SpectralNorm, Conv2D):
    """`Conv2D` with a spectrally normalised kernel, seen as a matrix [kh * kw * in, out]."""


@keras.saving.register_keras_serializable(package="tf_biggan")
class SNUpsampledConv2D(SpectralNorm, UpsampledConv2D):
    """`UpsampledConv2D` with a spectrally normalised kernel."""


@keras.saving.register_keras_serializable(package="tf_biggan")
class SNPooledConv2D(SpectralNorm, PooledConv2D):
    """`PooledConv2D` with a spectrally normalised kernel."""


@keras.saving.register_keras_serializable(package="tf_biggan")
class SNDense(SpectralNorm, Dense):
    """`Dense` with a spectrally normalised kernel [in, out]."""


@keras.saving.register_keras_serializable(package="tf_biggan")
class SNEmbedding(SpectralNorm, Embedding):
    """`Embedding` with a spectrally normalised table; u has one entry per class."""
