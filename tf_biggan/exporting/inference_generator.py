"""Networks for inference: every kernel divided by its sigma once, as arrays by path."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_biggan import checks
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.layers.factory import LayerFactory
from tf_biggan.networks.layers.fused_convolutions import (
    PHASES,
    interleaved,
    phase_convolution,
    phase_kernel,
)
from tf_biggan.networks.layers.spectral_norm import normalized_layers
from tf_biggan.networks.network import variables_by_path

KERNEL = "/kernel"
SINGULAR_VECTOR = "/u"
CLASS_EMBEDDING = "class_embedding/kernel"


def folded_arrays(network: keras.Model) -> dict[str, np.ndarray]:
    """All variables of a network by path, float32: kernels are W / sigma, the u are left out.

    The division is done in float64. What has no spectral norm stays as it is.
    """
    prefix = f"{network.path}/"
    sigmas = {
        layer.path.removeprefix(prefix) + KERNEL: np.float64(layer.estimate_sigma()[0])
        for layer in normalized_layers(network)
    }
    arrays = {}
    for path, variable in variables_by_path(network).items():
        if path.endswith(SINGULAR_VECTOR) and path.removesuffix(SINGULAR_VECTOR) + KERNEL in sigmas:
            continue
        array = np.asarray(variable)
        if path in sigmas:
            array = np.asarray(array, np.float64) / sigmas[path]
        arrays[path] = np.asarray(array, np.float32)
    return arrays


def classes_cut(
    arrays: Mapping[str, np.ndarray], classes: Sequence[int], per_class_norms: bool
) -> dict[str, np.ndarray]:
    """The arrays of a network that has only these classes, in this order.

    Args:
      arrays: of a network with all classes, by path.
      classes: indices; repetitions are refused.
      per_class_norms: whether batch norms keep a row per class (a generator without a class
        embedding).

    Raises:
      ValueError: a class is named twice.
    """
    checks.require(
        len(set(classes)) == len(classes), "a class may be named once only", classes=list(classes)
    )
    rows = list(classes)
    return {
        path: array[rows] if _has_classes(path, per_class_norms) else array
        for path, array in arrays.items()
    }


def _has_classes(path, per_class_norms):
    modulation = path.endswith(("/gain/kernel", "/offset/kernel"))
    return path == CLASS_EMBEDDING or (per_class_norms and modulation)


# Measured on two CPU cores, 256 to 1536 channels: from 8x8 it takes 0.4 to 0.6 of the time; at 4x4
# it is no faster for a batch and slower for one image, whose cost is to read the kernel.
SMALLEST_SIDE = 8


def phase_kernels(kernel: np.ndarray) -> tuple[np.ndarray, ...]:
    """The kernels [2, 2, in, out] of `PHASES` (row, column) from one [3, 3, in, out]."""
    return tuple(phase_kernel(ops.convert_to_tensor(kernel), *phase).numpy() for phase in PHASES)


@keras.saving.register_keras_serializable(package="tf_biggan")
class PhaseConv2D(keras.Layer):
    """`UpsampledConv2D` with a kernel of 3x3 for inference: [N, H, W, C] to [N, 2H, 2W, F].

    Args:
      filters: output channels F.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        shape = (2, 2, input_shape[-1], self.filters)
        self.kernels = [
            self.add_weight(name=f"kernel_{row}{column}", shape=shape, autocast=False)
            for row, column in PHASES
        ]
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, inputs, training=False):
        phases = zip(self.kernels, PHASES, strict=True)
        parts = [phase_convolution(inputs, kernel, *phase) for kernel, phase in phases]
        return interleaved(parts) + self.bias

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * input_shape[1], 2 * input_shape[2], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@dataclasses.dataclass(frozen=True)
class PhaseFactory(LayerFactory):
    """A factory of folded layers whose convolutions of doubled maps are `PhaseConv2D`."""

    def upsampled_conv(self, owner, name, filters, size):
        checks.require(size == 3 and not self.spectral_norm, "3x3 and folded", size=size)
        return PhaseConv2D(filters, dtype=owner.dtype_policy, name=name)


class StoredWeights:
    """TensorFlow variables that stand in for those of a network.

    Attributes:
      variables: all of them; of a network in float32 its very own.
      trainable: those that the network trains.
    """

    def __init__(self, network: keras.Model, dtype: str):
        self._pairs = [(v, _stored(v, dtype)) for v in network.variables]
        self.variables = [stored for _, stored in self._pairs]
        self.trainable = [stored for v, stored in self._pairs if v.trainable]

    def scope(self) -> keras.StatelessScope:
        """Inside of it the network computes from the stored variables."""
        return keras.StatelessScope([(v, tf.cast(stored, v.dtype)) for v, stored in self._pairs])


def _stored(variable, dtype):
    is_kernel = KERNEL in variable.path and len(variable.shape) > 1
    if dtype == variable.dtype or not is_kernel:
        return variable.value
    return tf.Variable(tf.cast(variable.value, dtype), trainable=variable.trainable)


POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@keras.saving.register_keras_serializable(package="tf_biggan")
class InferenceGenerator(Generator):
    """A `Generator` of folded weights, equal to it; from maps of 8x8 it has `PhaseConv2D`."""

    def block_settings(self, index):
        settings = super().block_settings(index)
        doublings = sum(spec.resample for spec in self.block_specs[:index])
        if min(self.bottom_size) * 2**doublings >= SMALLEST_SIDE:
            settings["factory"] = PhaseFactory(**vars(settings["factory"]))
        return settings


def inference_generator(
    config: Mapping[str, object], arrays: Mapping[str, np.ndarray], compute_dtype: str = "float32"
) -> InferenceGenerator:
    """The generator for inference.

    Args:
      config: `Generator.get_config()` of its source.
      arrays: its folded variables by path (see `folded_arrays`); tables of statistics may have any
        number of rows and tables of classes other classes, which then are the generator's.
      compute_dtype: "float32" or "bfloat16", of convolutions and matrix products.

    Raises:
      ValueError: the arrays are not those of such a generator.
    """
    overrides = {"num_statistics": len(arrays["output_norm/moving_mean"])}
    return _network(InferenceGenerator, config, arrays, compute_dtype, **overrides)


def inference_discriminator(
    config: Mapping[str, object], arrays: Mapping[str, np.ndarray], compute_dtype: str = "float32"
) -> Discriminator:
    """The discriminator for inference; arguments as of `inference_generator`."""
    return _network(Discriminator, config, arrays, compute_dtype)


def _network(kind, config, arrays, compute_dtype, **overrides):
    settings = {"spectral_norm": False, "initializer": "n02", "dtype": POLICIES[compute_dtype]}
    network = kind.from_config({**config, **settings, **overrides})
    variables, wanted = variables_by_path(network), _placed(network, arrays)
    checks.require(
        set(variables) == set(wanted),
        "the arrays must be those of the network",
        left_over=sorted(set(wanted) - set(variables)),
        missing=sorted(set(variables) - set(wanted)),
    )
    for path, variable in variables.items():
        variable.assign(wanted[path])
    return network


def _placed(network, arrays):
    """The arrays by the paths of the network, where a `PhaseConv2D` has four kernels for one."""
    placed, prefix = dict(arrays), f"{network.path}/"
    for layer in network._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, PhaseConv2D):
            path = layer.path.removeprefix(prefix) + KERNEL
            whole = np.asarray(placed.pop(path), np.float64)
            for (row, column), part in zip(PHASES, phase_kernels(whole), strict=True):
                placed[f"{path}_{row}{column}"] = part.astype(np.float32)
    return placed
