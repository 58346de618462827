"""Variables of a new network from those of a source, and an optimiser's from a source's slots.

What belongs to classes goes through a class map: rows of the shared embedding, of D's projection
and of per-class gains and offsets, and the entries of D's u for them. A row is the mean of its
source rows, or stays as initialised. Everything else is taken as it is. Under spectral norm D's
projection is divided by the sigma of its new rows, so for other than the same classes in another
order the projection's share in the logits changes by a factor.

A generator with sigma folded in gives its kernels as raw kernels, u found by power iteration, and
the statistics of truncation 1. The new network divides by sigma again. Folded kernels have a sigma
of 1 as far as their source's estimate had converged, and images change by no more than that. The
RGB kernel's sigma belonged to 128 outputs of which three are left: it moves into the gain and
offset before it, which is exact, since ReLU is homogeneous.
"""

from __future__ import annotations

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.layers.linear import Embedding
from tf_biggan.networks.layers.spectral_norm import SpectralNorm, normalized_layers
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.optimizer_slots import OptimizerSlots
from tf_biggan.training.finetuning.class_map import ClassSources
from tf_biggan.training.finetuning.source_model import SourceNetwork

STATISTICS = ("/moving_mean", "/moving_variance")
POWER_ITERATIONS = 200
POWER_TOLERANCE = 1e-7


def fill_network(network: keras.Model, source: SourceNetwork, sources: ClassSources) -> None:
    """Overwrites the initial values of a network.

    Args:
      network: of the source's architecture, with spectral norm and one row of statistics.
      source: where values come from.
      sources: the source classes of every class; see `class_map`.
    """
    class_axes = _class_axes(network)
    for path, variable in variables_by_path(network).items():
        if path not in source.arrays:
            # u, where the source has its sigma folded in.
            continue
        value = source.arrays[path]
        if id(variable) in class_axes:
            value = _mapped(value, variable, sources, class_axes[id(variable)])
        elif path.endswith(STATISTICS):
            value = value[-1:]
        variable.assign(value)
    same_classes = _is_permutation(sources, source.config["num_classes"])
    for layer in normalized_layers(network):
        is_new = f"{layer.path.removeprefix(f'{network.path}/')}/u" not in source.arrays
        if is_new or (isinstance(layer, Embedding) and not same_classes):
            layer.u.assign(_converged(layer)[1])
    if isinstance(network, Generator) and not source.config["spectral_norm"]:
        _keep_scale_of_image(network)


def fill_optimizer(
    optimizer: keras.optimizers.Optimizer, network: keras.Model, slots: OptimizerSlots
) -> None:
    """Overwrites the state of an Adam that is built on the trained variables of a network.

    Raises:
      ValueError: the slots are not those of the network's variables.
    """
    paths = {id(variable): path for path, variable in variables_by_path(network).items()}
    trained = [paths[id(variable)] for variable in network.trainable_variables]
    missing = sorted(set(trained) - (set(slots.momentum) & set(slots.velocity)))
    checks.require(not missing, "every trained variable must have its slots", missing=missing[:5])
    optimizer.iterations.assign(slots.iterations)
    for path, momentum, velocity in zip(
        trained, optimizer._momentums, optimizer._velocities, strict=True
    ):
        momentum.assign(slots.momentum[path])
        velocity.assign(slots.velocity[path])


def _is_permutation(sources, num_classes) -> bool:
    return sorted(sources) == [(index,) for index in range(num_classes)]


def _class_axes(network) -> dict[int, int]:
    """The axis of the classes in every variable of a class table, by the variable's id."""
    layers = network._flatten_layers(include_self=False, recursive=True)
    tables = [layer for layer in layers if isinstance(layer, Embedding)]
    axes = {id(table.kernel): 0 for table in tables}
    return axes | {id(table.u): 1 for table in tables if isinstance(table, SpectralNorm)}


def _mapped(value, variable, sources, axis):
    """Means over the source classes; for fresh ones what `variable` has."""
    rows, old = np.moveaxis(np.array(variable), axis, 0), np.moveaxis(value, axis, 0)
    for row, indices in zip(rows, sources, strict=True):
        if indices:
            row[...] = old[list(indices)].mean(axis=0)
    return np.moveaxis(rows, 0, axis)


def _converged(layer) -> tuple[float, np.ndarray]:
    """(sigma, u [1, outputs]) of a kernel after power iteration from its stored u."""
    matrix, u = np.array(layer.kernel_matrix()), np.array(layer.u)
    sigma = 0.0
    for _ in range(POWER_ITERATIONS):
        v = _unit(u @ matrix.T)
        u = v @ matrix
        before, sigma = sigma, float(np.linalg.norm(u))
        u = _unit(u)
        if abs(sigma - before) <= POWER_TOLERANCE * sigma:
            break
    return sigma, u


def _unit(vector):
    return vector / max(float(np.linalg.norm(vector)), np.finfo(vector.dtype).tiny)


def _keep_scale_of_image(generator) -> None:
    """Moves the last kernel's sigma, by which it will be divided, to the norm before it."""
    sigma, _ = _converged(generator.to_image)
    for variable in (generator.output_norm.gain, generator.output_norm.offset):
        variable.assign(sigma * np.array(variable))
