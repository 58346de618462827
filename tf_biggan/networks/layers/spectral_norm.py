"""Spectral normalisation: kernels are divided by an estimate of their largest singular value.

The variable holds the raw kernel W; the layer computes with W / sigma. Every forward pass estimates
sigma by one step of power iteration from the stored vector u. Only passes in training store the
improved u.

Source: BigGAN-PyTorch, layers.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
from keras import ops

from tf_biggan.networks.layers.linear import (
    Conv2D,
    Dense,
    Embedding,
    PooledConv2D,
    UpsampledConv2D,
    child_seed,
    on_cpu,
    power_iteration_initializer,
    wide_dtype,
)

DEFAULT_SN_EPSILON = 1e-8


def power_iteration(matrix, u, epsilon: float):
    """Estimates the largest singular value with one step of power iteration from `u`.

    Args:
      matrix: Kernel matrix [inputs, outputs].
      u: Estimate of the first right singular vector [1, outputs]; its length has no effect.
      epsilon: Lower limit of the norm that a vector is divided by.

    Returns:
      (sigma, u, v). sigma is a scalar that is differentiable in `matrix`. The new u [1, outputs]
      and v [1, inputs] are unit vectors. No gradient flows through them.
    """
    constant = ops.stop_gradient(matrix)
    v = _unit(ops.matmul(u, ops.transpose(constant)), epsilon)
    new_u = _unit(ops.matmul(v, constant), epsilon)
    v, new_u = ops.stop_gradient(v), ops.stop_gradient(new_u)
    return sigma_of(matrix, new_u, v), new_u, v


def sigma_of(matrix, u, v):
    """Returns v matrix u^T, which is sigma if v and u are the matrix's first singular vectors."""
    return ops.sum(ops.matmul(v, matrix) * u)


def _unit(vector, epsilon):
    return vector / ops.maximum(ops.sqrt(ops.sum(ops.square(vector))), epsilon)


def normalized_kernel(kernel, u, epsilon: float, as_matrix: Callable):
    """Returns (kernel / sigma, u, v) after one step of power iteration from `u`.

    Args:
      kernel: The raw kernel of a layer.
      u, epsilon: See `power_iteration`, which also describes the new u and v.
      as_matrix: Maps the kernel to the matrix [inputs, outputs] whose sigma is estimated.
    """
    sigma, u, v = power_iteration(as_matrix(kernel), u, epsilon)
    return kernel / sigma, u, v


def _as_one_operation(kernel, u, epsilon, as_matrix):
    """Computes `normalized_kernel` as one operation of a graph, and its gradient as another one.

    A network has a hundred kernels. With thirty operations for each of them, and as many for its
    gradient, building and optimising the graph of a training step would take twice the time.
    """
    import tensorflow as tf

    forward, backward = _graph_functions(epsilon, as_matrix)
    # TensorFlow would trace the functions again for every variable, but not for every tensor.
    kernel, u = tf.convert_to_tensor(kernel), tf.convert_to_tensor(u)
    normalized, new_u, v = forward(tf.stop_gradient(kernel), u)

    @tf.custom_gradient
    def with_gradient(kernel):
        return normalized, lambda upstream: backward(upstream, kernel, new_u, v)

    return with_gradient(kernel), new_u, v


@functools.cache
def _graph_functions(epsilon, as_matrix):
    """Returns graph functions of `normalized_kernel` and of the gradient of kernel / sigma."""
    import tensorflow as tf

    as_function = tf.function(autograph=False, experimental_attributes={"_noinline": True})

    @as_function
    def forward(kernel, u):
        return normalized_kernel(kernel, u, epsilon, as_matrix)

    @as_function
    def backward(upstream, kernel, u, v):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            normalized = kernel / sigma_of(as_matrix(kernel), u, v)
        return tape.gradient(normalized, kernel, upstream)

    return forward, backward


def _in_graph_on_cpu() -> bool:
    if not on_cpu():
        return False
    import tensorflow as tf

    return tf.inside_function()


class SpectralNorm:
    """Mixin for a `KernelLayer` whose effective kernel is kernel / sigma.

    Every forward pass improves u by one step of power iteration. Only passes in training store the
    improved u.

    Args:
      epsilon: See `power_iteration`. BigGAN-PyTorch has 1e-8 in its CIFAR-10 script and 1e-6 in its
        ImageNet scripts.
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
        kernel = ops.cast(self.kernel, wide_dtype(self))
        normalize = _as_one_operation if _in_graph_on_cpu() else normalized_kernel
        kernel, u, _ = normalize(kernel, self.u, self.epsilon, self.as_matrix)
        if training:
            self.u.assign(u)
        return kernel

    def estimate_sigma(self):
        """Returns (sigma, u, v) of the raw kernel without storing u; see `power_iteration`."""
        matrix = ops.cast(self.kernel_matrix(), wide_dtype(self))
        return power_iteration(matrix, self.u, self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def normalized_layers(model: keras.Model) -> list[SpectralNorm]:
    """Returns all spectrally normalised layers of a model, in the order of creation."""
    layers = model._flatten_layers(include_self=False, recursive=True)
    return [layer for layer in layers if isinstance(layer, SpectralNorm)]


@keras.saving.register_keras_serializable(package="tf_biggan")
class SNConv2D(SpectralNorm, Conv2D):
    """`Conv2D` whose kernel, as a matrix [kh * kw * in, out], is spectrally normalised."""


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
