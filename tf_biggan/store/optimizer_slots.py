"""The state of an Adam beside a network in a model's folder, so that training can go on.

The file is `optimizer_NETWORK.safetensors`, with "iterations" and, by the path of every trainable
variable below its network, "momentum/PATH" and "velocity/PATH".
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
    """Adam's state of one network.

    Attributes:
      iterations: steps that were taken.
      momentum: mean of the gradients (PyTorch's exp_avg) by the path of a variable below its
        network, each of the variable's shape.
      velocity: mean of their squares (exp_avg_sq) in the same way.
    """

    iterations: int
    momentum: Mapping[str, np.ndarray]
    velocity: Mapping[str, np.ndarray]


def write_optimizer_slots(folder: str, network: str, slots: OptimizerSlots) -> None:
    """Writes the slots of a network ("generator", "raw_generator", "discriminator")."""
    arrays = {ITERATIONS: np.array(slots.iterations, "int64")}
    for prefix, values in ((MOMENTUM, slots.momentum), (VELOCITY, slots.velocity)):
        arrays |= {prefix + path: np.asarray(value, order="C") for path, value in values.items()}
    write_safetensors(_file(folder, network), arrays)


def load_optimizer_slots(folder: str, network: str) -> OptimizerSlots | None:
    """The slots of a network in a model's folder, to be assigned to an Adam built on the network.

    Keras's Adam keeps `_momentums` and `_velocities` in the order of its trainable variables; a
    variable's path without the network's own name is the key here.

    Args:
      folder: path of the model's folder.
      network: "generator", "raw_generator" or "discriminator". Where a folder holds a
        "raw_generator", the slots are its, not the moving average's.

    Returns:
      The slots, or None where the folder has none for that network.

    Raises:
      ValueError: the file is damaged.
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
