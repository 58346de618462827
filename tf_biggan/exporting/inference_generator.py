"""Builds networks for inference, whose kernels are already divided by their sigma (folded).

Generators have a table of batch-norm statistics, with one row for each truncation on a grid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tf_biggan import checks
from tf_biggan.cli.terminal import Progress
from tf_biggan.generation.standing_statistics import StandingStatistics, standing_batches
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
# Smallest height or width of a feature map for which `PhaseConv2D` is used. Measured on two CPU
# cores with 256 to 1536 channels, it takes 0.4 to 0.6 of the time of `UpsampledConv2D` from 8x8 on.
# At 4x4, it is not faster for a batch, and slower for one image, because reading the kernel takes
# most of the time.
SMALLEST_SIDE = 8
# Keras dtype policies by the name of the compute dtype.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def folded_arrays(network: keras.Model) -> dict[str, np.ndarray]:
    """Returns a network's variables as arrays, with spectral norm folded into the kernels.

    Each kernel W of a layer with spectral norm becomes W / sigma, divided in float64. The singular
    vectors u are left out. Other variables stay as they are.

    Args:
      network: Generator or discriminator.

    Returns:
      float32 arrays by path relative to the network.
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
    """Returns the arrays of a network that has only some of the classes, in the given order.

    Args:
      arrays: Arrays of the network with all classes, by path.
      classes: Indices of the classes to keep.
      per_class_norms: Whether batch norms have one gain and offset per class, as in a generator
        without a class embedding.

    Raises:
      ValueError: A class is listed twice.
    """
    checks.require(
        len(set(classes)) == len(classes),
        "--num_classes_subset must name each class once",
        classes=list(classes),
    )
    rows = list(classes)
    return {
        path: array[rows] if _has_classes(path, per_class_norms) else array
        for path, array in arrays.items()
    }


def _has_classes(path, per_class_norms):
    modulation = path.endswith(("/gain/kernel", "/offset/kernel"))
    return path == CLASS_EMBEDDING or (per_class_norms and modulation)


def phase_kernels(kernel: np.ndarray) -> tuple[np.ndarray, ...]:
    """Splits a kernel [3, 3, in, out] into the four kernels [2, 2, in, out] of `PHASES`.

    A phase is the position (row, column) of an output pixel within its 2x2 block of the upsampled
    feature map.
    """
    return tuple(phase_kernel(ops.convert_to_tensor(kernel), *phase).numpy() for phase in PHASES)


@keras.saving.register_keras_serializable(package="tf_biggan")
class PhaseConv2D(keras.Layer):
    """Nearest-neighbour upsampling by 2 and a 3x3 convolution: [N, H, W, C] to [N, 2H, 2W, F].

    The layer computes the same as `UpsampledConv2D`, but faster: it runs one 2x2 convolution of the
    small feature map for each of the four phases of the output (see `phase_kernels`). The layer is
    used for inference only.

    Args:
      filters: Number of output channels F.
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
    """Layer factory for inference that builds a `PhaseConv2D` for each upsampling convolution."""

    def upsampled_conv(self, owner, name, filters, size):
        checks.require(
            size == 3 and not self.spectral_norm,
            "`PhaseConv2D` needs a 3x3 kernel that is already divided by sigma",
            size=size,
        )
        return PhaseConv2D(filters, dtype=owner.dtype_policy, name=name)


class StoredWeights:
    """TensorFlow variables that store a network's weights, with kernels in the given dtype.

    Args:
      network: Network whose weights are stored.
      dtype: Dtype of the stored kernels. Other variables keep their dtype.

    Attributes:
      variables: All stored variables. A variable whose dtype does not change is the variable of the
        network itself, not a copy.
      trainable: Stored variables of the network's trainable weights.
    """

    def __init__(self, network: keras.Model, dtype: str):
        self._pairs = [(v, _stored(v, dtype)) for v in network.variables]
        self.variables = [stored for _, stored in self._pairs]
        self.trainable = [stored for v, stored in self._pairs if v.trainable]

    def scope(self) -> keras.StatelessScope:
        """Returns a context manager within which the network uses the stored variables."""
        return keras.StatelessScope([(v, tf.cast(stored, v.dtype)) for v, stored in self._pairs])


def _stored(variable, dtype):
    is_kernel = KERNEL in variable.path and len(variable.shape) > 1
    if dtype == variable.dtype or not is_kernel:
        return variable.value
    return tf.Variable(tf.cast(variable.value, dtype), trainable=variable.trainable)


@keras.saving.register_keras_serializable(package="tf_biggan")
class InferenceGenerator(Generator):
    """`Generator` for weights from `folded_arrays`, which computes the same images faster.

    A block upsamples with `PhaseConv2D` if the height and width of its input are at least
    `SMALLEST_SIDE`.
    """

    def block_settings(self, index):
        settings = super().block_settings(index)
        doublings = sum(spec.resample for spec in self.block_specs[:index])
        if min(self.bottom_size) * 2**doublings >= SMALLEST_SIDE:
            settings["factory"] = PhaseFactory(**vars(settings["factory"]))
        return settings


def inference_generator(
    config: Mapping[str, object], arrays: Mapping[str, np.ndarray], compute_dtype: str = "float32"
) -> InferenceGenerator:
    """Builds a generator for inference.

    Args:
      config: `Generator.get_config()` of the source generator, but with the number of classes in
        `arrays` as `num_classes`.
      arrays: Folded variables by path, see `folded_arrays`. The tables of batch-norm statistics
        [rows, channels] may have any number of rows.
      compute_dtype: "float32" or "bfloat16", the dtype of convolutions and matrix products.

    Raises:
      ValueError: The arrays do not have the paths of this generator's variables.
    """
    overrides = {"num_statistics": len(arrays["output_norm/moving_mean"])}
    return _network(InferenceGenerator, config, arrays, compute_dtype, **overrides)


def inference_discriminator(
    config: Mapping[str, object], arrays: Mapping[str, np.ndarray], compute_dtype: str = "float32"
) -> Discriminator:
    """Builds a discriminator for inference; arguments and errors as for `inference_generator`."""
    return _network(Discriminator, config, arrays, compute_dtype)


def _network(kind, config, arrays, compute_dtype, **overrides):
    settings = {"spectral_norm": False, "initializer": "n02", "dtype": POLICIES[compute_dtype]}
    network = kind.from_config({**config, **settings, **overrides})
    variables, wanted = variables_by_path(network), _placed(network, arrays)
    checks.require(
        set(variables) == set(wanted),
        "the keys of `arrays` must be the paths of the network's variables",
        left_over=sorted(set(wanted) - set(variables)),
        missing=sorted(set(variables) - set(wanted)),
    )
    for path, variable in variables.items():
        variable.assign(wanted[path])
    return network


def _placed(network, arrays):
    """Replaces the 3x3 kernel of each `PhaseConv2D` in `arrays` by its four 2x2 kernels."""
    placed, prefix = dict(arrays), f"{network.path}/"
    for layer in network._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, PhaseConv2D):
            path = layer.path.removeprefix(prefix) + KERNEL
            whole = np.asarray(placed.pop(path), np.float64)
            for (row, column), part in zip(PHASES, phase_kernels(whole), strict=True):
                placed[f"{path}_{row}{column}"] = part.astype(np.float32)
    return placed


@dataclasses.dataclass(frozen=True)
class TableSpec:
    """Size of a statistics table and the images from which it is computed.

    Attributes:
      rows: Number of rows. Row i belongs to truncation i / (rows - 1).
      batches: Number of batches for each row.
      batch_size: Number of images in a batch.
      mode: Truncation mode, "scale" or "resample". See `tf_biggan.generation.latents`.
      seed: Seed of latents and labels. All rows use the same samples, truncated differently.
    """

    rows: int
    batches: int
    batch_size: int
    mode: str
    seed: int


def statistics_table(
    config: Mapping[str, object], arrays: Mapping[str, np.ndarray], spec: TableSpec
) -> dict[str, np.ndarray]:
    """Returns tables [rows, channels] of the mean and variance of every batch norm.

    The statistics are those of the folded generator in training mode, for classes sampled
    uniformly. Row 0 is a copy of row 1, because the generator cannot be run at truncation 0.

    Args:
      config: `Generator.get_config()` of the generator.
      arrays: Folded variables of the generator, by path.
      spec: Size of the table and the images from which it is computed.

    Returns:
      float32 tables by the path of the batch norm's variable.
    """
    settings = {"bn_momentum": 0.0, "bn_synchronized": False}
    alone = {p: a[-1:] if "/moving_" in p else a for p, a in arrays.items()}
    generator = inference_generator({**config, **settings}, alone)
    statistics = StandingStatistics(generator)
    sizes = {"batches": spec.batches, "batch_size": spec.batch_size, "seed": spec.seed}
    images = (spec.rows - 1) * spec.batches * spec.batch_size
    progress = Progress("Statistics over truncation", images)
    rows = []
    for row in range(1, spec.rows):
        level = row / (spec.rows - 1)
        batches = standing_batches(generator, level, spec.mode, progress, **sizes)
        rows.append(statistics.means(batches))
    progress.close()
    return {
        path: np.concatenate([one[path] for one in (rows[0], *rows)]).astype(np.float32)
        for path in rows[0]
    }
