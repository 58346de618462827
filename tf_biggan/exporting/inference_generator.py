"""The generator that an export holds: folded, with the rewritten convolutions where they pay."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.exporting.folding import KERNEL
from tf_biggan.exporting.phase_convolution import (
    PHASES,
    SMALLEST_SIDE,
    PhaseConv2D,
    PhaseFactory,
    phase_kernels,
)
from tf_biggan.models.discriminator import Discriminator
from tf_biggan.models.generator import Generator
from tf_biggan.models.variables import variables_by_path

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@keras.saving.register_keras_serializable(package="tf_biggan")
class InferenceGenerator(Generator):
    """A `Generator` of folded weights, equal to it; from maps of 8x8 it has `PhaseConv2D`."""

    def _block_factory(self, index):
        factory = super()._block_factory(index)
        doublings = sum(spec.resample for spec in self.block_specs[:index])
        if min(self.bottom_size) * 2**doublings < SMALLEST_SIDE:
            return factory
        return PhaseFactory(**vars(factory))


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
