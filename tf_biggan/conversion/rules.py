"""The code bases whose checkpoints are converted, as `--from` names them. Imports nothing."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from tf_biggan.cli.convert_settings import (  # noqa: F401
    BIGGAN_PYTORCH,
    FAMILIES,
    HUGGINGFACE,
    MMAGIC,
    STUDIOGAN,
    TFHUB,
)
from tf_biggan.networks.network import variables_by_path

# Code bases whose spectral norm is folded into the kernels that are converted.
FOLDED = (HUGGINGFACE, TFHUB)


Transform = Callable[..., np.ndarray]


@dataclasses.dataclass(frozen=True)
class SourceLayout:
    """What a code base's tensors depend on beyond PyTorch's own conventions.

    Attributes:
      label_conditioned: whether gains and offsets are tables of classes.
      condition_swap: leading columns of a modulation's matrix that move to the end: the class
        embedding's size where the source joins [y, z], else 0.
      first_swap: the same for the first dense layer, which sees the embedding in BigGAN-deep.
      bottom: (channels, height, width) of a channel-major first feature map; None where the source
        is channel-minor as we are.
    """

    label_conditioned: bool
    condition_swap: int
    first_swap: int
    bottom: tuple[int, int, int] | None

    @classmethod
    def of_generator(cls, generator, embedding_first: bool, channels_first: bool) -> SourceLayout:
        """The layout of a generator's tensors in a code base with these two habits."""
        plan = generator.latent_plan
        swap = plan.embedding_dim if embedding_first else 0
        return cls(
            label_conditioned=generator.factory.condition == "label",
            condition_swap=swap,
            first_swap=swap if plan.injection == "all" else 0,
            bottom=(generator.bottom_channels, *generator.bottom_size) if channels_first else None,
        )

    def transforms(self) -> Mapping[str, Transform]:
        """Every transform by name. Those of folded kernels take (weight, u, v)."""
        return {
            "same": np.asarray,
            "row": _row,
            "u": _row,
            "transpose": np.transpose,
            "scalar": lambda array: np.reshape(array, ()),
            "conv": _conv,
            "modulation": np.asarray if self.label_conditioned else self._modulation,
            "first": self._first,
            "bottom": self._bottom,
            "bottom_row": lambda u: self._bottom(np.ravel(u))[None],
            "folded_conv": lambda *w: _conv(_fold(*w)),
            "folded_modulation": lambda *w: self._modulation(_fold(*w)),
            "folded_first": lambda *w: self._first(_fold(*w)),
            "folded_rgb": lambda *w: _conv(_fold(*w))[..., :3],
            "rgb": lambda bias: bias[:3],
        }

    def inverses(self) -> Mapping[str, Transform]:
        """What undoes each transform that loses nothing, by the same names."""
        return {
            "same": np.asarray,
            "row": np.ravel,
            "transpose": np.transpose,
            "scalar": lambda array: np.reshape(array, ()),
            "conv": lambda kernel: np.transpose(kernel, (3, 2, 0, 1)),
            "modulation": np.asarray if self.label_conditioned else self._modulation_back,
            "first": self._first_back,
            "bottom": self._bottom_back,
            "bottom_row": lambda u: self._bottom_back(np.ravel(u))[None],
            "u": np.asarray,
        }

    def _modulation_back(self, kernel):
        return np.roll(kernel.T, self.condition_swap, axis=1)

    def _first_back(self, kernel):
        return self._bottom_back(np.roll(kernel.T, self.first_swap, axis=1))

    def _bottom_back(self, array):
        if self.bottom is None:
            return np.asarray(array)
        channels, *size = self.bottom
        channel_major = np.moveaxis(array.reshape(*size, channels, *array.shape[1:]), 2, 0)
        return channel_major.reshape(array.shape)

    def _modulation(self, weight):
        return np.roll(weight, -self.condition_swap, axis=1).T

    def _first(self, weight):
        return np.roll(self._bottom(weight), -self.first_swap, axis=1).T

    def _bottom(self, array):
        if self.bottom is None:
            return np.asarray(array)
        channel_minor = np.moveaxis(array.reshape(*self.bottom, *array.shape[1:]), 0, 2)
        return channel_minor.reshape(array.shape)


DISCRIMINATOR_LAYOUT = SourceLayout(False, 0, 0, None)


def _row(array):
    """[C] or [1, C] to [1, C]; a table [T, C] as it is."""
    return np.atleast_2d(array)


def _conv(weight):
    return np.transpose(weight, (2, 3, 1, 0))


def _fold(weight, u, v):
    """weight / sigma with sigma = u W v, as torch.nn.utils.spectral_norm has it in eval mode."""
    matrix = weight.reshape(weight.shape[0], -1)
    return weight / (u @ (matrix @ v))


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


@dataclasses.dataclass(frozen=True)
class Tables:
    """The names of one code base.

    Attributes:
      kinds: tensors of each kind of layer.
      generator, discriminator: rows outside of the blocks.
      block, attention: rows below the prefix of a block, or of an attention layer.
      place: regular expression of that prefix; its groups are numbers that order the places.
      ignored: why source keys, by regular expression, have no place in a model of ours.
    """

    kinds: Kinds
    generator: tuple[Row, ...]
    discriminator: tuple[Row, ...]
    block: tuple[Row, ...]
    attention: tuple[Row, ...]
    place: str
    ignored: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def key(self, group: str, target: str) -> str | None:
        """The key of a layer's first tensor (its kernel), relative to its group's prefix.

        Args:
          group: "generator", "discriminator", "block" or "attention".
          target: the layer's path in our model, relative to the group's.

        Returns:
          The key, or None where the code base has no such layer.
        """
        for row in getattr(self, group):
            if row.target == target:
                return row.source + self.kinds[row.kind][0].sources[0]
        return None
