"""Converts BigGAN-PyTorch's optimiser files (G_optim.pth, D_optim.pth).

A PyTorch optimiser identifies parameters by number. The numbers follow the order of the network's
tensors without buffers. Each part of the state has the layout of its weight and is converted by the
same rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.conversion.converter import Plan, rules_for
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.conversion.rules import convert
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.optimizer_slots import OptimizerSlots

BUFFERS = r"\.(u\d+|sv\d+|stored_mean|stored_var|accumulation_counter)$"
SLOTS = {"momentum": "exp_avg", "velocity": "exp_avg_sq"}


def optimizer_slots(plan: Plan, networks: Mapping[str, keras.Model]) -> dict[str, OptimizerSlots]:
    """Returns the converted state of each optimiser in the source, by the name of its network.

    Args:
      plan: Plan of the conversion.
      networks: Converted networks by name.

    Raises:
      ValueError: The state is not that of an Adam optimiser for the network.
    """
    made = {}
    for name, state in plan.source.optimizers.items():
        rules = rules_for(plan, name, networks[name])
        made[name] = _slots(state, plan.prepared[name].tensors, networks[name], rules)
    return made


def _slots(state, tensors, network, rules) -> OptimizerSlots:
    keys = [key for key in tensors if not re.search(BUFFERS, key)]
    states = _states_in_order(state, len(keys))
    trainable = {variable.path for variable in network.trainable_variables}
    shapes = {
        path: tuple(variable.shape)
        for path, variable in variables_by_path(network).items()
        if variable.path in trainable
    }
    rules = [rule for rule in rules if rule.target in shapes]
    made = {}
    for slot, name in SLOTS.items():
        entries = {
            key: one.get(name) or _zeros(tensors.shapes[key])
            for key, one in zip(keys, states, strict=True)
        }
        of_shape = {key: getattr(entry, "shape", None) for key, entry in entries.items()}
        wrong = [key for key, shape in of_shape.items() if shape != tensors.shapes[key]]
        checks.require(not wrong, "a slot must have its weight's shape", other_shapes=wrong[:5])
        made[slot] = convert(rules, Tensors(entries), shapes)
    return OptimizerSlots(_steps(states), **made)


def _states_in_order(state, count):
    groups, kept = state.get("param_groups"), state.get("state")
    fits = isinstance(groups, (list, tuple)) and isinstance(kept, Mapping)
    fits = fits and all(isinstance(group, Mapping) and "params" in group for group in groups)
    numbers = [number for group in groups for number in group["params"]] if fits else []
    fits = fits and all(isinstance(one, Mapping) for one in kept.values())
    checks.require(
        fits and len(numbers) == count,
        f"an optimiser's file must hold the state of {count} parameters",
        parameters=len(numbers),
    )
    # PyTorch stores no state for a parameter that never had a gradient.
    return [kept.get(number) or {} for number in numbers]


def _steps(states) -> int:
    steps = [one["step"] for one in states if "step" in one]
    numbers = [step.read() if isinstance(step, StoredTensor) else step for step in steps]
    plain = all(isinstance(n, (int, float)) or getattr(n, "shape", None) == () for n in numbers)
    checks.require(plain, "an optimiser's steps must be numbers", steps=len(numbers))
    return max(map(int, numbers), default=0)


def _zeros(shape) -> StoredTensor:
    return StoredTensor(shape, "float32", lambda: np.zeros(shape, "float32"))
