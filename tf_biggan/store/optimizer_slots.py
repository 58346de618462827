"""Reads and writes the state of an Adam optimiser in a model folder, so that training can resume.

The state of each network is in `optimizer_NETWORK.safetensors`. The file holds "iterations" and,
for every trainable variable, "momentum/PATH" and "velocity/PATH". PATH is the variable's path
relative to its network.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from tf_biggan.files.safetensors_files import open_safetensors, write_safetensors

ITERATIONS, MOMENTUM, VELOCITY = "iterations", "momentum/", "velocity/"


@dataclasses.dataclass(frozen=True)
class OptimizerSlots:
    """State of the Adam optimiser of one network.

    Attributes:
      iterations: Number of optimiser steps taken.
      momentum: Moving average of each variable's gradients (`exp_avg` in PyTorch). Keys are paths
        relative to the network; each array has the shape of its variable.
      velocity: Moving average of each variable's squared gradients (`exp_avg_sq` in PyTorch), with
        the same keys and shapes.
    """

    iterations: int
    momentum: Mapping[str, np.ndarray]
    velocity: Mapping[str, np.ndarray]


def write_optimizer_slots(folder: str, network: str, slots: OptimizerSlots) -> None:
    """Writes the optimiser state of a network to a model folder.

    Args:
      folder: Path of the model folder.
      network: "generator", "raw_generator" or "discriminator".
      slots: State to write.
    """
    arrays = {ITERATIONS: np.array(slots.iterations, "int64")}
    for prefix, values in ((MOMENTUM, slots.momentum), (VELOCITY, slots.velocity)):
        arrays |= {prefix + path: np.asarray(value, order="C") for path, value in values.items()}
    write_safetensors(_file(folder, network), arrays)


def load_optimizer_slots(folder: str, network: str) -> OptimizerSlots | None:
    """Returns the optimiser state of a network in a model folder.

    The caller assigns it to a Keras Adam that was built on the network. Keras's Adam keeps
    `_momentums` and `_velocities` in the order of its trainable variables, whereas the keys here
    are the variables' paths relative to the network.

    Args:
      folder: Path of the model folder.
      network: "generator", "raw_generator" or "discriminator". If the folder holds a
        "raw_generator", the optimiser state belongs to it and not to the moving average.

    Returns:
      The state, or None if the folder holds no state for that network.

    Raises:
      ValueError: The file is damaged.
    """
    path = _file(folder, network)
    if not os.path.exists(path):
        return None
    with open_safetensors(path) as stored:
        arrays = {key: stored.get_tensor(key) for key in stored.keys()}
    return OptimizerSlots(
        int(arrays[ITERATIONS]), _below(arrays, MOMENTUM), _below(arrays, VELOCITY)
    )


def _file(folder, network):
    return os.path.join(folder, f"optimizer_{network}.safetensors")


def _below(arrays, prefix):
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
