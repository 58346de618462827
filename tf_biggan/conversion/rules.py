"""From tables of names to a filled model: each source tensor used once, each variable filled once.

A family of checkpoints is data: rows (source layer, our layer, kind), the tensors of each kind, and
patterns of source keys that mean nothing to us. The interpreter below expands them for one model.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from tf_biggan.conversion.layouts import Transform
from tf_biggan.models.variables import variables_by_path


class ConversionError(ValueError):
    """A checkpoint and a model do not fit each other."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer: its key prefix in the source, its path in our model, its kind."""

    source: str
    target: str
    kind: str

    def under(self, source: str, target: str) -> Row:
        """The row moved below a source prefix and a target prefix."""
        return Row(f"{source}.{self.source}", f"{target}/{self.target}", self.kind)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One variable of a kind of layer: suffixes of its source keys, our suffix, the transform."""

    sources: tuple[str, ...]
    target: str
    transform: str


@dataclasses.dataclass(frozen=True)
class Rule:
    """One variable: the source keys it is made from, its path, and how."""

    sources: tuple[str, ...]
    target: str
    transform: Transform


Kinds = Mapping[str, Sequence[Tensor]]


def expand(rows: Sequence[Row], kinds: Kinds, transforms, targets) -> list[Rule]:
    """The rules of all rows for variables that the model has.

    Args:
      rows: layers of the family.
      kinds: tensors of each kind of layer.
      transforms: functions by name.
      targets: variable paths of the model; rows of absent layers give no rule.
    """
    rules = [
        Rule(
            tuple(row.source + suffix for suffix in tensor.sources),
            row.target + tensor.target,
            transforms[tensor.transform],
        )
        for row in rows
        for tensor in kinds[row.kind]
    ]
    return [rule for rule in rules if rule.target in targets]


def convert(
    rules: Sequence[Rule],
    tensors: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    ignored: Iterable[str] = (),
    done: Callable[[int], None] = lambda count: None,
) -> dict[str, np.ndarray]:
    """New values of all variables, by path.

    Args:
      rules: how variables are made.
      tensors: the source's tensors by key.
      shapes: the shape of every variable by path.
      ignored: regular expressions of source keys without a meaning here.
      done: called with 1 after every variable.

    Raises:
      ConversionError: a source key is used not once or a variable is made not once (all of both
        sides are named), or a shape does not fit.
    """
    meaningful = {key for key in tensors if not any(re.search(pattern, key) for pattern in ignored)}
    _check_exactly_once(
        Counter(key for rule in rules for key in rule.sources), meaningful, "source tensors"
    )
    _check_exactly_once(Counter(rule.target for rule in rules), set(shapes), "variables")
    made = {}
    for rule in rules:
        made[rule.target] = _transformed(rule, tensors, tuple(shapes[rule.target]))
        done(1)
    return made


def _transformed(rule, tensors, shape):
    sources = [np.asarray(tensors[key]) for key in rule.sources]
    try:
        array = rule.transform(*sources)
    except ValueError:  # NumPy's, of an array that does not have the layout's shape
        array = None
    if array is None or array.shape != shape:
        named = zip(rule.sources, sources, strict=True)
        received = ", ".join(f"{key} {source.shape}" for key, source in named)
        raise ConversionError(
            f"`{rule.target}` takes what fits its shape {shape}. Received: {received}."
        )
    return array


def _check_exactly_once(used: Counter, wanted: set, what: str) -> None:
    problems = {
        "left over": wanted - set(used),
        "missing": set(used) - wanted,
        "used more than once": {key for key, count in used.items() if count > 1},
    }
    found = [f"{word}: {', '.join(sorted(keys))}" for word, keys in problems.items() if keys]
    if found:
        raise ConversionError(f"Every one of the {what} must be used once; {'; '.join(found)}.")


def load(
    model,
    rules: Sequence[Rule],
    tensors: Mapping[str, np.ndarray],
    ignored: Iterable[str] = (),
    done: Callable[[int], None] = lambda count: None,
) -> None:
    """Fills every variable of `model`; none is touched if `convert` raises. See `convert`."""
    variables = variables_by_path(model)
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    for path, array in convert(rules, tensors, shapes, ignored, done).items():
        variables[path].assign(array)
