"""Array layouts: PyTorch's to ours, as NumPy functions by name.

PyTorch keeps convolutions (out, in, h, w) and matrices (out, in); Keras (h, w, in, out) and
(in, out). Code bases also differ in the order of the condition ([y, z] or [z, y], ours) and of the
first layer's outputs ((C, 4, 4) or (4, 4, C), ours).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

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
