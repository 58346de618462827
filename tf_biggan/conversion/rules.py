"""Tables and rules that map the tensors of another code base to the variables of a network.

Each code base is described by `Tables`: a `Row` for each layer and, for each kind of layer, a
`Tensor` for each of its variables. `expand` makes a `Rule` for each variable of a network from
these tables, and `convert` applies the rules.
"""

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

# Code bases whose kernels are divided by sigma (folded) during the conversion.
FOLDED = (HUGGINGFACE, TFHUB)

Transform = Callable[..., np.ndarray]


class ConversionError(ValueError):
    """Raised if the tensors of a checkpoint do not fit the variables of a network."""


@dataclasses.dataclass(frozen=True)
class SourceLayout:
    """Layout of a code base's tensors, as far as it differs between code bases that use PyTorch.

    Attributes:
      label_conditioned: Whether gains and offsets are tables with one row per class.
      condition_swap: Number of leading columns that move to the end of each modulation matrix (the
        matrix that computes gains or offsets). It is the size of the class embedding y if the
        source concatenates [y, z], and 0 if it concatenates [z, y] like this package.
      first_swap: The same as `condition_swap`, for the matrix of the first dense layer. It is 0
        unless the input of this layer includes the class embedding, as in BigGAN-deep.
      bottom: (channels, height, width) of the generator's first feature map if the source stores it
        with channels first. None if the source stores it with channels last, like this package.
    """

    label_conditioned: bool
    condition_swap: int
    first_swap: int
    bottom: tuple[int, int, int] | None

    @classmethod
    def of_generator(cls, generator, embedding_first: bool, channels_first: bool) -> SourceLayout:
        """Returns the layout of a generator's tensors in a code base.

        Args:
          generator: Generator of this package.
          embedding_first: Whether the code base concatenates the class embedding and the latent
            vector as [y, z].
          channels_first: Whether the code base stores the first feature map with channels first.
        """
        plan = generator.latent_plan
        swap = plan.embedding_dim if embedding_first else 0
        return cls(
            label_conditioned=generator.factory.condition == "label",
            condition_swap=swap,
            first_swap=swap if plan.injection == "all" else 0,
            bottom=(generator.bottom_channels, *generator.bottom_size) if channels_first else None,
        )

    def transforms(self) -> Mapping[str, Transform]:
        """Returns the functions that convert a source tensor to a variable, by name.

        Transforms named "folded_*" take (weight, u, v) and divide the weight by its spectral norm.
        """
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
        """Returns the inverses of the transforms by name, except those that lose information."""
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
    """Reshapes [C] to [1, C]. Arrays [1, C] and tables [rows, C] stay as they are."""
    return np.atleast_2d(array)


def _conv(weight):
    return np.transpose(weight, (2, 3, 1, 0))


def _fold(weight, u, v):
    """Returns weight / sigma with sigma = u W v, like torch.nn.utils.spectral_norm in eval mode."""
    matrix = weight.reshape(weight.shape[0], -1)
    return weight / (u @ (matrix @ v))


@dataclasses.dataclass(frozen=True)
class Row:
    """Maps one layer of the source to one layer of a network.

    Attributes:
      source: Prefix of the layer's keys in the source.
      target: Path of the layer, relative to the network.
      kind: Kind of layer, a key of the code base's table of kinds.
    """

    source: str
    target: str
    kind: str

    def under(self, source: str, target: str) -> Row:
        """Returns a copy of the row with a prefix before its source key and its target path.

        Args:
          source: Prefix of the source key.
          target: Prefix of the target path.
        """
        return Row(f"{source}.{self.source}", f"{target}/{self.target}", self.kind)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Maps source tensors of one layer to one variable of the layer.

    Attributes:
      sources: Suffixes of the source keys from which the variable is made.
      target: Suffix of the variable's path.
      transform: Name of the transform, see `SourceLayout.transforms`.
    """

    sources: tuple[str, ...]
    target: str
    transform: str


@dataclasses.dataclass(frozen=True)
class Rule:
    """Says how one variable of a network is made from source tensors.

    Attributes:
      sources: Keys of the source tensors.
      target: Path of the variable, relative to the network.
      transform: Function from the source arrays to the variable's value.
    """

    sources: tuple[str, ...]
    target: str
    transform: Transform


Kinds = Mapping[str, Sequence[Tensor]]


def expand(rows: Sequence[Row], kinds: Kinds, transforms, targets) -> list[Rule]:
    """Returns the rules for all variables of a network.

    Args:
      rows: Layers of the code base.
      kinds: Tensors of each kind of layer.
      transforms: Transforms by name.
      targets: Paths of the network's variables. A row whose layer the network does not have is
        skipped.
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
    """Applies rules to source tensors and returns the value of each variable by path.

    Args:
      rules: Rules for the variables.
      tensors: Source tensors by key.
      shapes: Shape of each variable by path.
      ignored: Regular expressions of source keys that no variable needs.
      done: Function that is called with 1 after each variable, to show progress.

    Raises:
      ConversionError: A source tensor is not used exactly once, a variable is not made exactly
        once, or a shape does not fit. The message names the tensors or variables.
    """
    meaningful = {key for key in tensors if not any(re.search(pattern, key) for pattern in ignored)}
    _check_exactly_once(
        Counter(key for rule in rules for key in rule.sources),
        meaningful,
        "source tensors must be used",
    )
    _check_exactly_once(
        Counter(rule.target for rule in rules), set(shapes), "variables must be made"
    )
    made = {}
    for rule in rules:
        made[rule.target] = _transformed(rule, tensors, tuple(shapes[rule.target]))
        done(1)
    return made


def _transformed(rule, tensors, shape):
    sources = [np.asarray(tensors[key]) for key in rule.sources]
    try:
        array = rule.transform(*sources)
    except ValueError:  # NumPy cannot reshape the array to the layout's shape.
        array = None
    if array is None or array.shape != shape:
        named = zip(rule.sources, sources, strict=True)
        received = ", ".join(f"{key} {source.shape}" for key, source in named)
        raise ConversionError(
            f"The weights do not fit: `{rule.target}` needs the shape {shape}. Received:"
            f" {received}."
        )
    return array


def _check_exactly_once(used: Counter, wanted: set, what: str) -> None:
    problems = {
        "left over": wanted - set(used),
        "missing": set(used) - wanted,
        "more than once": {key for key, count in used.items() if count > 1},
    }
    found = [f"{word}: {', '.join(sorted(keys))}" for word, keys in problems.items() if keys]
    if found:
        raise ConversionError(
            f"The weights do not fit the network: each of the {what} exactly once."
            f" Received: {'; '.join(found)}."
        )


def load(
    model,
    rules: Sequence[Rule],
    tensors: Mapping[str, np.ndarray],
    ignored: Iterable[str] = (),
    done: Callable[[int], None] = lambda count: None,
) -> None:
    """Assigns source tensors to every variable of a network.

    `model` is the network. For all other arguments, and for the errors, see `convert`. After an
    error, no variable is changed.
    """
    variables = variables_by_path(model)
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    for path, array in convert(rules, tensors, shapes, ignored, done).items():
        variables[path].assign(array)


@dataclasses.dataclass(frozen=True)
class Tables:
    """Names of layers and tensors in one code base.

    Attributes:
      kinds: Tensors of each kind of layer.
      generator, discriminator: Rows for layers outside the residual blocks.
      block, attention: Rows for the layers of a residual block and of an attention layer, relative
        to the prefix of the block or attention layer.
      place: Regular expression of the prefix of a block or attention layer. The numbers in a prefix
        give the order of the blocks.
      ignored: Regular expressions of source keys that no variable needs, with the reason.
    """

    kinds: Kinds
    generator: tuple[Row, ...]
    discriminator: tuple[Row, ...]
    block: tuple[Row, ...]
    attention: tuple[Row, ...]
    place: str
    ignored: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def key(self, group: str, target: str) -> str | None:
        """Returns the source key of a layer's first tensor (its kernel).

        Args:
          group: "generator", "discriminator", "block" or "attention".
          target: Path of the layer in this package, relative to its network, block or attention
            layer.

        Returns:
          The key in the code base, relative to its network, block or attention layer. None if the
          code base has no such layer.
        """
        for row in getattr(self, group):
            if row.target == target:
                return row.source + self.kinds[row.kind][0].sources[0]
        return None
