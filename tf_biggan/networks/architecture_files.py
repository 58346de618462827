"""Reads and checks custom architectures, which a run keeps in its config.json.

A custom architecture is an object in a JSON or YAML file. It holds the fields of `Architecture` and
the size of the first feature map. Its fields "generator" and "discriminator" are objects with the
fields of `Trunk`. This module imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from tf_biggan import checks
from tf_biggan.files import input_bounds
from tf_biggan.files.file_paths import expand_home
from tf_biggan.files.json_files import field, parse_json, require_kind
from tf_biggan.files.text_files import read_text
from tf_biggan.networks.architectures import ARCHITECTURES, VARIANTS, Architecture, Trunk

YAML_ENDINGS = (".yaml", ".yml")
ENDINGS = (".json", *YAML_ENDINGS)
# Key of the first feature map's size. It is not a field of `Architecture`; the networks take it as
# their argument `bottom_size`.
FIRST_SIZE = "first_size"
USUAL_FIRST_SIZE = (4, 4)
KINDS = {
    "name": "str",
    "variant": "str",
    "generator": "dict",
    "discriminator": "dict",
    "base_channels": "int",
    "depth": "int",
    "latent_dim": "int",
    "latent_injection": "str",
    "embedding_dim": "int",
    "source": "str",
    FIRST_SIZE: "tuple[int, ...]",
}
TRUNK_KINDS = {
    "widths": "tuple[int, ...]",
    "resample": "tuple[bool, ...]",
    "attention": "tuple[int, ...]",
}
SIDES = ("generator", "discriminator")
USUAL_DEPTHS = dict(zip(VARIANTS, (1, 2), strict=True))
# The smallest value that each field accepts.
MINIMA = {"base_channels": 1, "depth": 1, "latent_dim": 1, "embedding_dim": 0}
# Self-attention pools keys and values 2x2, so that a side of 1 would leave nothing.
SMALLEST_ATTENTION = 2
IN_PYTHON = "the architecture"


def parse_architecture(value: str | Mapping | Architecture) -> str | dict[str, Any]:
    """Returns the value of the setting `architecture`: a name, or a custom architecture's fields.

    Args:
      value: The name of an architecture; the path of a file, which ends in .json, .yaml or .yml; an
        `Architecture`; or its fields.

    Raises:
      ValueError: The file cannot be read, or the fields do not describe an architecture.
    """
    if isinstance(value, Architecture):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return complete_fields(value)
    if isinstance(value, str) and value.lower().endswith(ENDINGS):
        return read_architecture(expand_home(value))
    return value


def read_architecture(path: str) -> dict[str, Any]:
    """Returns the fields of a custom architecture; see `complete_fields`.

    Args:
      path: Path of a JSON or YAML file.

    Raises:
      ValueError: The file cannot be read, or does not describe an architecture. The message is one
        line that names the file and the key.
    """
    text = read_text(
        path, f"the architecture file {path!r} (a resumed run needs no --architecture)"
    )
    is_yaml = path.lower().endswith(YAML_ENDINGS)
    content = _parse_yaml(text, path) if is_yaml else parse_json(text, path, kind=None)
    require_kind(content, "dict", path)
    name, _ = os.path.splitext(os.path.basename(path))
    return complete_fields({"name": name, **content}, path)


def complete_fields(fields: Mapping[str, Any], path: str = IN_PYTHON) -> dict[str, Any]:
    """Returns all fields of an architecture as JSON values, after checking them.

    Args:
      fields: The fields of `Architecture`. `depth`, `source`, `first_size` and the trunks'
        `attention` may be missing.
      path: Path of the file that the fields come from, for messages.

    Returns:
      The fields of `Architecture`, and "first_size", [height, width] of the first feature map.

    Raises:
      ValueError: A key is unknown or missing, or a value has a wrong type or is out of range. Or
        fields contradict each other, or a published architecture with other fields has this name.
    """
    architecture, first_size = _described(fields, path)
    made = {**dataclasses.asdict(architecture), FIRST_SIZE: first_size}
    # JSON turns tuples into lists, so the result equals what is read from a config.json.
    return json.loads(json.dumps(made))


def architecture_of(fields: Mapping[str, Any]) -> Architecture:
    """Returns the architecture whose fields `complete_fields` returned."""
    return Architecture.from_dict({key: fields[key] for key in fields if key != FIRST_SIZE})


def shown(value: Any) -> Any:
    """Returns a setting's value as messages show it: a custom architecture is shown by its name."""
    return value["name"] if isinstance(value, dict) else value


def _described(fields, path) -> tuple[Architecture, tuple[int, int]]:
    _require_keys(fields, KINDS, path, "")
    trunks = {side: _trunk(field(fields, side, "dict", path), path, side) for side in SIDES}
    depth = USUAL_DEPTHS.get(field(fields, "variant", "str", path), 1)
    defaults = {"depth": depth, "source": "", FIRST_SIZE: USUAL_FIRST_SIZE}
    values = {
        key: field(fields, key, kind, path, *([defaults[key]] if key in defaults else []))
        for key, kind in KINDS.items()
    }
    first_size = tuple(values.pop(FIRST_SIZE))
    try:
        for key, minimum in MINIMA.items():
            checks.require_integer(key, values[key], minimum)
        architecture = Architecture(**{**values, **trunks})
        _require_own_name(architecture, first_size)
        _require_fitting(architecture, first_size)
    except ValueError as error:
        raise ValueError(f"Cannot read {path}: {error}") from error
    return architecture, first_size


def _trunk(fields, path, side) -> Trunk:
    _require_keys(fields, TRUNK_KINDS, path, f" of {side!r}")
    values = {key: fields.get(key, ()) for key in TRUNK_KINDS}
    for key, kind in TRUNK_KINDS.items():
        if key not in fields and key != "attention":
            raise ValueError(f"Cannot read {path}: the field '{side}.{key}' is missing")
        require_kind(values[key], kind, path, f"{side}.{key}")
    try:
        checks.require(
            len(values["resample"]) > 0 and min(values["widths"], default=0) > 0,
            "a network needs at least one stage, and `widths` must be above 0",
            **values,
        )
        checks.require(
            len(set(values["attention"])) == len(values["attention"]),
            "`attention` must not hold a stage twice",
            attention=values["attention"],
        )
        return Trunk(**{key: tuple(value) for key, value in values.items()})
    except ValueError as error:
        raise ValueError(f"Cannot read {path}: in {side!r}: {error}") from error


def _require_keys(fields, known, path, of) -> None:
    unknown = [key for key in fields if key not in known]
    if unknown:
        raise ValueError(
            f"Cannot read {path}: unknown key {', '.join(map(repr, unknown))}{of}. The keys{of} are"
            f" {', '.join(known)}."
        )


def _require_own_name(architecture: Architecture, first_size) -> None:
    """Raises a ValueError if the name is that of a published architecture with other fields.

    Reports would otherwise show two architectures under one name.
    """
    checks.require(
        architecture.name.isprintable() and architecture.name.strip() != "",
        "`name` must be one line of text",
        name=architecture.name,
    )
    row = ARCHITECTURES.get(architecture.name)
    same = row is None or dataclasses.replace(architecture, source=row.source) == row
    checks.require(
        row is None or (same and first_size == USUAL_FIRST_SIZE),
        "`name` belongs to a published architecture with other fields; choose another name",
        name=architecture.name,
    )


def _require_fitting(architecture: Architecture, first_size) -> None:
    """Checks the number of blocks and the sizes of feature maps.

    The discriminator must be able to halve the maps, and maps with attention must not be too small.
    """
    checks.require(
        len(first_size) == 2 and min(first_size) > 0,
        "`first_size` must be two integers above 0, height and width",
        first_size=first_size,
    )
    image = architecture.image_size(first_size)
    halvings = sum(architecture.discriminator.resample)
    checks.require(
        all(side % 2**halvings == 0 for side in image),
        f"the discriminator halves the size {halvings} times, so both sides of the images must be"
        f" multiples of {2**halvings}",
        image_size=image,
    )
    for side in SIDES:
        trunk = getattr(architecture, side)
        blocks = architecture.depth * len(trunk.resample)
        checks.require(
            blocks <= input_bounds.RESIDUAL_BLOCKS,
            f"a network may have at most {input_bounds.RESIDUAL_BLOCKS} residual blocks",
            blocks=blocks,
        )
        for stage in trunk.attention:
            steps = sum(trunk.resample[: stage + 1])
            factor = 2**steps if side == "generator" else 0.5**steps
            start = first_size if side == "generator" else image
            checks.require(
                min(start) * factor >= SMALLEST_ATTENTION,
                f"self-attention needs feature maps of at least"
                f" {SMALLEST_ATTENTION}x{SMALLEST_ATTENTION}; move or remove the attention of the"
                f" {side}",
                attention=trunk.attention,
            )


def _parse_yaml(text: str, path: str) -> Any:
    checks.require_packages(
        f"Cannot read {path}: YAML files need PyYAML (pip install PyYAML). A JSON file with the"
        " same content needs no package.",
        "yaml",
    )
    import yaml

    try:
        return yaml.safe_load(text)
    # PyYAML raises a ValueError for a date that does not exist, such as 2026-02-30.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Cannot read {path}: it must be YAML ({reason})") from None
