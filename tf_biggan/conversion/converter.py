"""Converts networks of other code bases: constructor arguments, weights and optimiser states."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.cli.terminal import Progress
from tf_biggan.conversion.detection import (
    Match,
    discriminator_arguments,
    find_bottom_size,
    find_conditioning,
    generator_arguments,
    match_architecture,
)
from tf_biggan.conversion.families import FAMILIES, Choices, Prepared, check_choices
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.conversion.rules import FOLDED, ConversionError, Rule, convert, load
from tf_biggan.conversion.spectral_norm_styles import is_normalized
from tf_biggan.conversion.structure import Structure, find_structure
from tf_biggan.conversion.weight_sources import DISCRIMINATOR, GENERATOR, RAW_GENERATOR, Source
from tf_biggan.files.json_files import file_sha256
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path
from tf_biggan.networks.num_values import discriminator_values, generator_values, require_stored
from tf_biggan.store.model_directory import OptimizerSlots

# Epsilons, by the names of constructor arguments. No tensor shows them.
EPSILONS = ("sn_epsilon", "bn_epsilon", "output_bn_epsilon")
NARROW = ("float16", "bfloat16")
# The initial weights are overwritten at once, so the fastest initialiser is used.
INITIALIZER = {"initializer": "n02"}
BUFFERS = r"\.(u\d+|sv\d+|stored_mean|stored_var|accumulation_counter)$"
SLOTS = {"momentum": "exp_avg", "velocity": "exp_avg_sq"}


@dataclasses.dataclass(frozen=True)
class Plan:
    """Plan of a conversion, made from the shapes of the source's tensors.

    Attributes:
      source: Source of the weights.
      prepared: Tensors of each network, renamed and corrected.
      arguments: Constructor arguments of each network.
      chosen: Value and origin of each setting that no tensor shows, such as an epsilon.
      warnings: Sentences about differences from the source's code base.
    """

    source: Source
    prepared: Mapping[str, Prepared]
    arguments: Mapping[str, dict]
    chosen: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """Returns lines for the user: the networks found, the settings chosen, and warnings."""
        lines = [f"Found networks of {self.source.family}:"]
        for name, found in self.arguments.items():
            row = found["architecture"]
            size = "x".join(map(str, row.image_size(found.get("bottom_size", (4, 4)))))
            parts = [f"{row.variant} of {size} pixels", f"width {found['base_channels']}"]
            parts.append(f"{found['num_classes']:,} classes")
            if "latent_dim" in found:
                parts.append(f"z of {found['latent_dim']}")
            stages = ", ".join(map(str, found["attention_stages"])) or "none"
            parts.append(f"attention after stages: {stages}")
            lines.append(f"  {name}: {'; '.join(parts)}")
            if found.get("rectified_shortcuts"):
                lines.append("  its shortcuts see features after the ReLU")
            if name in self.source.wrappings:
                lines.append(f"  {self.source.wrappings[name]}")
        changes = dict.fromkeys(text for part in self.prepared.values() for text in part.changes)
        lines += [f"  {text}" for text in changes]
        lines += [f"  {name}: {text}" for name, text in self.chosen.items()]
        lines += [f"  not used: {text}" for text in self.source.set_aside]
        return lines + [f"  Warning: {text}." for text in self.warnings]


def plan_conversion(source: Source, choices: Choices) -> Plan:
    """Finds the constructor arguments of the networks from the shapes of the source's tensors.

    Args:
      source: Source of the weights.
      choices: Settings that the user gave.

    Raises:
      ValueError: The tensors do not describe a network of this package, or they contradict the
        choices. Also if `choices` lacks a setting that the user must give because no tensor shows
        it, or if the network would be far larger than the file.
    """
    check_choices(source.family, choices)
    family = FAMILIES[source.family]
    prepared = {name: family.prepare(source, name, choices) for name in source.networks}
    structures = {}
    for name, part in prepared.items():
        with _naming(name):
            found = find_structure(part.tensors.shapes, family.tables)
        structures[name] = _with_layers(found, source)
    match = _match(structures, prepared, family.tables, choices)
    shared, arguments = True, {}
    for name, part in prepared.items():
        side = _side(name)
        find = generator_arguments if side == GENERATOR else discriminator_arguments
        with _naming(name):
            found = find(part.tensors.shapes, family.tables, structures[name], match)
        _check_classes(name, found, choices)
        shared = shared if side == DISCRIMINATOR else bool(found["embedding_dim"])
        arguments[name] = {
            **found,
            **family.arguments(source, choices).get(side, {}),
            "spectral_norm": is_normalized(part.tensors),
        }
    bottom, assumed = _bottom_size(arguments, choices.resolution)
    if DISCRIMINATOR in arguments:
        arguments[DISCRIMINATOR]["bottom_size"] = bottom
    epsilons, chosen = _epsilons(family, shared, source, choices, arguments)
    for name, part in prepared.items():
        arguments[name] |= _arguments_of_norms(name, arguments[name], epsilons, part)
        count = generator_values if _side(name) == GENERATOR else discriminator_values
        stored = sum(map(math.prod, part.tensors.shapes.values()))
        require_stored(count(arguments[name]), stored, source.path)
    chosen |= {**assumed, **family.assumptions(source)}
    warnings = (*family.warnings(source), *_not_normalized(source, arguments))
    return Plan(source, prepared, arguments, chosen, warnings)


def build_networks(plan: Plan) -> dict[str, keras.Model]:
    """Builds the networks of a plan and assigns the weights of the source.

    Returns:
      The networks by name.

    Raises:
      ConversionError: A tensor is left over, is missing or has the wrong shape. The message names
        the tensor.
    """
    networks = {name: new_network(name, plan.arguments[name]) for name in plan.prepared}
    rules = {name: rules_for(plan, name, network) for name, network in networks.items()}
    ignored = FAMILIES[plan.source.family].tables.ignored
    progress = Progress("Converting", sum(map(len, rules.values())), unit="tensors")
    for name, network in networks.items():
        with _naming(name):
            load(network, rules[name], plan.prepared[name].tensors, ignored, progress.add)
    progress.close()
    return networks


@contextlib.contextmanager
def _naming(network: str) -> Iterator[None]:
    """Adds the name of the network to the message of a ConversionError."""
    try:
        yield
    except ConversionError as error:
        reason = str(error)
        reason = f"{reason[0].lower()}{reason[1:]}"
        raise ConversionError(f"Cannot convert the {network}: {reason}") from error


def rules_for(plan: Plan, name: str, network: keras.Model) -> list[Rule]:
    """Returns the rules that convert the source's tensors to the variables of a network."""
    family = FAMILIES[plan.source.family]
    make = family.generator_rules if _side(name) == GENERATOR else family.discriminator_rules
    return make(network, plan.prepared[name].tensors)


def provenance(plan: Plan, licence_note: str | None = None) -> dict[str, object]:
    """Returns the provenance of converted weights: their origin and all changes, as JSON values.

    Args:
      plan: Plan of the conversion.
      licence_note: Text about the licence of the weights, or None.
    """
    family, source = FAMILIES[plan.source.family], plan.source
    note = {"licence_note": licence_note} if licence_note else {}
    return note | {
        "family": source.family,
        "files": [
            {"name": os.path.basename(path), "sha256": file_sha256(path)} for path in source.files
        ],
        "changes": {name: [*part.changes, *_widened(part)] for name, part in plan.prepared.items()},
        "ignored": {
            name: _ignored(part.tensors, family.tables.ignored)
            for name, part in plan.prepared.items()
        },
        "wrappings": dict(source.wrappings),
        "set_aside": list(source.set_aside),
        "warnings": list(plan.warnings),
        "not_in_the_file": dict(plan.chosen),
    }


def _side(name):
    return GENERATOR if name == RAW_GENERATOR else name


def new_network(name: str, arguments: Mapping[str, object]) -> keras.Model:
    """Builds a network whose initial weights are meant to be overwritten.

    Args:
      name: "generator", "raw_generator" or "discriminator".
      arguments: Constructor arguments.
    """
    kind = Generator if _side(name) == GENERATOR else Discriminator
    return kind(**arguments, **INITIALIZER, name=_side(name))


def _with_layers(structure: Structure, source) -> Structure:
    """Sets which blocks upsample, if there is a config.json of pytorch-pretrained-BigGAN."""
    layers = source.settings.get("layers")
    if not isinstance(layers, list):
        return structure
    checks.require(
        len(layers) == len(structure.blocks),
        "`layers` in the config.json beside the weights must have one entry for each"
        " residual block of the weights; use the config.json that belongs to the weights",
        layers=len(layers),
        blocks=len(structure.blocks),
    )
    blocks = [
        dataclasses.replace(block, resample=bool(layer[0]))
        for block, layer in zip(structure.blocks, layers, strict=True)
    ]
    return dataclasses.replace(structure, blocks=tuple(blocks))


def _match(structures, prepared, tables, choices) -> Match:
    sides = {_side(name): found for name, found in structures.items()}
    published, bottom = {}, None
    if GENERATOR in prepared:
        shapes = prepared[GENERATOR].tensors.shapes
        found = find_conditioning(shapes, tables, structures[GENERATOR])
        names = ("latent_dim", "latent_injection", "embedding_dim")
        published = {name: getattr(found, name) for name in names}
        bottom = find_bottom_size(shapes, tables, structures[GENERATOR])
    return match_architecture(sides, choices.resolution, published, bottom)


def _bottom_size(arguments, resolution) -> tuple[tuple[int, int], dict[str, str]]:
    """Returns the size of the first feature map, and a note if the size had to be assumed.

    A generator's tensors show the size. A discriminator's tensors do not.
    """
    if GENERATOR in arguments:
        return arguments[GENERATOR]["bottom_size"], {}
    scale = arguments[DISCRIMINATOR]["architecture"].scale
    if resolution is not None:
        return (resolution // scale,) * 2, {}
    text = (
        f"{4 * scale}, assumed because a discriminator alone does not show its resolution;"
        " --resolution changes it"
    )
    return (4, 4), {"resolution": text}


def _not_normalized(source, arguments) -> list[str]:
    """Returns a warning for each network without spectral norm.

    There is no warning for code bases whose kernels the conversion divides by sigma, because all
    networks of these code bases have a spectral norm.
    """
    return [
        (
            f"the {name}'s tensors have no singular vectors (u0), so it is converted to a network"
            " without spectral norm"
        )
        for name, found in arguments.items()
        if source.family not in FOLDED and not found["spectral_norm"]
    ]


def _check_classes(name, found, choices):
    checks.require(
        choices.num_classes in (None, found["num_classes"]),
        f"--num_classes differs from the number of classes of the {name},"
        f" {found['num_classes']}; leave it out or correct it",
        num_classes=choices.num_classes,
    )


def _epsilons(family, shared, source, choices, arguments):
    """Returns the epsilons, and a note on the origin of each.

    An epsilon on the command line takes precedence, then the epsilon in the configuration beside
    the weights, then the published value of the code base.
    """
    published, values, chosen = dict(family.epsilons(shared)), {}, {}
    stored = family.stored_epsilons(source.settings)
    if not any(found["spectral_norm"] for found in arguments.values()):
        published.pop("sn_epsilon", None)
        checks.require(
            choices.sn_epsilon is None,
            "--sn_epsilon has no effect on networks without spectral norm; leave it out",
            sn_epsilon=choices.sn_epsilon,
        )
        stored = {name: value for name, value in stored.items() if name != "sn_epsilon"}
    for name in EPSILONS:
        # If no separate value is published, the last batch norm has the same epsilon as the others.
        value = published.get(name, values.get("bn_epsilon"))
        given = getattr(choices, name)
        if value is None and given is None:
            continue  # There is no spectral norm.
        if given is not None:
            values[name], origin = given, "given on the command line"
        elif stored.get(name) is not None:
            values[name], origin = float(stored[name]), "from the configuration beside the weights"
        elif name not in published:
            values[name], origin = value, "as bn_epsilon"
        else:
            values[name], origin = value, f"as published by {source.family}"
        chosen[name] = f"{values[name]:g}, {origin}"
    return values, chosen


def _arguments_of_norms(name, arguments, epsilons, part):
    if _side(name) == DISCRIMINATOR:
        return {k: value for k, value in epsilons.items() if k == "sn_epsilon"}
    rows = [
        shape[0]
        for key, shape in part.tensors.shapes.items()
        if key.endswith("running_means") and len(shape) == 2
    ]
    return {**epsilons, "num_statistics": rows[0] if rows else 1}


def _widened(part) -> list[str]:
    narrow = sorted({dtype for dtype in part.tensors.dtypes.values() if dtype in NARROW})
    return [f"{dtype} widened to float32" for dtype in narrow]


def _ignored(tensors, patterns) -> dict[str, str]:
    found = {}
    for pattern, reason in patterns.items():
        count = sum(bool(re.search(pattern, key)) for key in tensors)
        if count:
            found[pattern] = f"{count} tensors: {reason}"
    return found


def optimizer_slots(plan: Plan, networks: Mapping[str, keras.Model]) -> dict[str, OptimizerSlots]:
    """Returns the converted state of each optimiser in the source, by the name of its network.

    Args:
      plan: Plan of the conversion.
      networks: Converted networks by name.

    Raises:
      ValueError: The state does not belong to an Adam optimiser of the network.
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
        checks.require(
            not wrong,
            "cannot convert the optimiser's state: parts of it have other shapes than their"
            " weights; use the optimiser file that was saved with the weights",
            other_shapes=wrong[:5],
        )
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
        f"cannot convert the optimiser's state: the network has {count} parameters; use the"
        " optimiser file that was saved with the weights",
        parameters=len(numbers),
    )
    # PyTorch stores no state for a parameter that never had a gradient.
    return [kept.get(number) or {} for number in numbers]


def _steps(states) -> int:
    steps = [one["step"] for one in states if "step" in one]
    numbers = [step.read() if isinstance(step, StoredTensor) else step for step in steps]
    plain = all(isinstance(n, (int, float)) or getattr(n, "shape", None) == () for n in numbers)
    checks.require(
        plain,
        "cannot convert the optimiser's state: its step counts are not numbers; save the state"
        " again with state_dict()",
        steps=len(numbers),
    )
    return max(map(int, numbers), default=0)


def _zeros(shape) -> StoredTensor:
    return StoredTensor(shape, "float32", lambda: np.zeros(shape, "float32"))
