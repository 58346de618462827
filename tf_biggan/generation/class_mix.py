"""Mixtures of classes as users write them: "tench:0.5,goldfish:0.5"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from tf_biggan import checks
from tf_biggan.data.classes import ClassLookup

# Names may have commas and colons: a weight is what follows the last colon before a comma.
_ENTRY = re.compile(r"\s*(.+?)\s*:\s*([^,:]+?)\s*(?:,|$)")
FORM = "a class mix must be classes with weights above 0, such as tench:0.5,goldfish:0.5"


def parse_class_mix(specification: str, lookup: ClassLookup) -> dict[int, float]:
    """Weights by class, in the order named, divided by their sum.

    Raises:
      ValueError: the text has another form, a weight is not above 0, or a class is unknown or
        named twice.
    """
    entries, end = [], 0
    for match in _ENTRY.finditer(specification):
        checks.require(match.start() == end, FORM, class_mix=specification)
        entries.append(match.groups())
        end = match.end()
    checks.require(bool(entries) and end == len(specification), FORM, class_mix=specification)
    weights: dict[int, float] = {}
    for name, weight in entries:
        classes = lookup.parse(name)
        checks.require(len(classes) == 1, f"{FORM}; every class needs its own", class_mix=name)
        checks.require(classes[0] not in weights, "a class mix names a class once", class_mix=name)
        weights[classes[0]] = _weight(weight, specification)
    total = sum(weights.values())
    return {index: weight / total for index, weight in weights.items()}


def mix_weights(mix: Mapping[int, float], num_classes: int) -> np.ndarray:
    """Class weights float32 [num_classes] of a mixture."""
    weights = np.zeros(num_classes, np.float32)
    weights[list(mix)] = list(mix.values())
    return weights


def _weight(text: str, specification: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    checks.require(0 < value < math.inf, FORM, class_mix=specification)
    return value
