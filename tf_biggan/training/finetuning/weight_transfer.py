"""Copies weights and optimiser slots of a source model into a new network, and freezes blocks.

A class map tells from which source classes each class takes its weights. It applies to variables
with a row for each class: the shared embedding, the discriminator's projection and its u, and gains
and offsets for each class. The row of a new class is the mean of the rows of its source classes. A
class without source classes keeps its initial row. All other variables are copied unchanged.

The discriminator divides its projection by the sigma of the new rows. The projection's part of the
logits therefore changes by a factor, unless the new classes are the source's classes (in any
order).

Some source generators are "folded": their kernels are already divided by sigma. These kernels
become the raw kernels, the vectors u are found by power iteration, and batch-norm statistics are
taken from the row of truncation 1. The new network divides by sigma again. The source divided each
kernel by its estimate of sigma, so the sigma of a folded kernel differs from 1 only by the error of
this estimate. This error is the only reason why images change.

The kernel of the last convolution is an exception: its sigma was estimated over 128 output
channels, and only three of them are left. Gain and offset of the batch norm before this convolution
are therefore multiplied by the sigma of the three channels. This does not change images, because
only a ReLU follows the batch norm, and ReLU is homogeneous.
"""

from __future__ import annotations

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.layers.linear import Embedding
from tf_biggan.networks.layers.spectral_norm import SpectralNorm, normalized_layers
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.model_directory import OptimizerSlots
from tf_biggan.training.finetuning.class_map import ClassSources
from tf_biggan.training.finetuning.source_model import SourceNetwork

STATISTICS = ("/moving_mean", "/moving_variance")
POWER_ITERATIONS = 200
POWER_TOLERANCE = 1e-7


def transfer_weights(
    network: keras.Model, source: SourceNetwork, source_classes: ClassSources
) -> None:
    """Replaces the initial values of a network with the weights of a source.

    Args:
      network: A network of the source's architecture, with spectral norm and one row of batch-norm
        statistics.
      source: The network whose weights are copied.
      source_classes: The source classes of every class; see `class_map`.
    """
    class_axes = _class_axes(network)
    for path, variable in variables_by_path(network).items():
        if path not in source.arrays:
            # u is missing if the source's kernels are already divided by sigma.
            continue
        value = source.arrays[path]
        if id(variable) in class_axes:
            value = _mapped(value, variable, source_classes, class_axes[id(variable)])
        elif path.endswith(STATISTICS):
            value = value[-1:]
        variable.assign(value)
    same_classes = _is_permutation(source_classes, source.config["num_classes"])
    for layer in normalized_layers(network):
        is_new = f"{layer.path.removeprefix(f'{network.path}/')}/u" not in source.arrays
        if is_new or (isinstance(layer, Embedding) and not same_classes):
            layer.u.assign(_converged(layer)[1])
    if isinstance(network, Generator) and not source.config["spectral_norm"]:
        _keep_scale_of_image(network)


def transfer_optimizer_slots(
    optimizer: keras.optimizers.Optimizer, network: keras.Model, slots: OptimizerSlots
) -> None:
    """Replaces the state of an Adam optimiser with the slots of a source.

    Args:
      optimizer: Adam, built on the trainable variables of `network`.
      network: The network that the optimiser updates.
      slots: The optimiser slots of the source.

    Raises:
      ValueError: The source has no slots for a trainable variable.
    """
    paths = {id(variable): path for path, variable in variables_by_path(network).items()}
    trained = [paths[id(variable)] for variable in network.trainable_variables]
    missing = sorted(set(trained) - (set(slots.momentum) & set(slots.velocity)))
    checks.require(
        not missing,
        "the source's optimiser state lacks some of the trained variables; leave out"
        " --init_optimizers",
        missing=missing[:5],
    )
    optimizer.iterations.assign(slots.iterations)
    for path, momentum, velocity in zip(
        trained, optimizer._momentums, optimizer._velocities, strict=True
    ):
        momentum.assign(slots.momentum[path])
        velocity.assign(slots.velocity[path])


def _is_permutation(source_classes, num_classes) -> bool:
    return sorted(source_classes) == [(index,) for index in range(num_classes)]


def _class_axes(network) -> dict[int, int]:
    """Maps the id of every variable that has an axis of classes to the index of this axis."""
    layers = network._flatten_layers(include_self=False, recursive=True)
    tables = [layer for layer in layers if isinstance(layer, Embedding)]
    axes = {id(table.kernel): 0 for table in tables}
    return axes | {id(table.u): 1 for table in tables if isinstance(table, SpectralNorm)}


def _mapped(value, variable, source_classes, axis):
    """Returns the new value of a variable: for each class, the mean over its source classes.

    A class without source classes keeps the variable's initial value.
    """
    rows, old = np.moveaxis(np.array(variable), axis, 0), np.moveaxis(value, axis, 0)
    for row, indices in zip(rows, source_classes, strict=True):
        if indices:
            row[...] = old[list(indices)].mean(axis=0)
    return np.moveaxis(rows, 0, axis)


def _converged(layer) -> tuple[float, np.ndarray]:
    """Returns (sigma, u [1, outputs]) of a kernel after power iteration until convergence."""
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
    """Multiplies gain and offset of the last batch norm by the sigma of the last kernel."""
    sigma, _ = _converged(generator.to_image)
    for variable in (generator.output_norm.gain, generator.output_norm.offset):
        variable.assign(sigma * np.array(variable))


def freeze_blocks(discriminator: Discriminator, count: int) -> None:
    """Excludes the first `count` blocks from training, with the stem and with their attention.

    Their kernels and biases are no longer trainable variables, so they have no gradients and no
    optimiser slots. The vectors u of their spectral norm are still updated in every forward pass in
    training; the kernels stay fixed, so u only becomes more exact.

    Args:
      discriminator: Changed in place. Its optimiser must not be built yet.
      count: Number of residual blocks to freeze, counted from the image; 0 for none. BigGAN-deep
        has `depth` blocks per stage.

    Raises:
      ValueError: The discriminator has fewer than `count` blocks.
    """
    checks.require_integer("freeze_d_blocks", count, 0, len(discriminator.blocks))
    if count and discriminator.stem is not None:
        discriminator.stem.trainable = False
    for block, attention in list(discriminator.blocks_with_attention())[:count]:
        block.trainable = False
        if attention is not None:
            attention.trainable = False
