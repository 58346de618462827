"""The settings that all layers of a network share, and the making of layers from them."""

from __future__ import annotations

import dataclasses

import keras

from tf_biggan import checks
from tf_biggan.networks.layers.batch_norm import (
    DEFAULT_BN_EPSILON,
    DEFAULT_BN_MOMENTUM,
    BatchNorm,
    ConditionalBatchNorm,
)
from tf_biggan.networks.layers.initializers import INITIALIZERS, child_seed
from tf_biggan.networks.layers.linear import (
    Conv2D,
    Dense,
    Embedding,
    PooledConv2D,
    UpsampledConv2D,
)
from tf_biggan.networks.layers.spectral_norm import (
    DEFAULT_SN_EPSILON,
    SNConv2D,
    SNDense,
    SNEmbedding,
    SNPooledConv2D,
    SNUpsampledConv2D,
)

CONDITIONS = ("none", "vector", "label")


@dataclasses.dataclass(frozen=True)
class LayerFactory:
    """Makes the named, separately seeded layers of a network.

    Attributes:
      spectral_norm: whether kernels are spectrally normalised; False for folded weights.
      sn_epsilon: epsilon of the spectral norm.
      initializer: "ortho", "n02" or "glorot".
      bn_epsilon, bn_momentum, bn_synchronized, num_statistics: see `BatchNormCore`.
      condition: what batch norms are conditioned on: "none" (they learn a plain gain and offset),
        "vector" (bias-free dense layers on a vector) or "label" (one row per class).
      num_classes: rows of the tables of condition "label".
      seed: integer for reproducible initial values, None for random ones.
    """

    spectral_norm: bool = True
    sn_epsilon: float = DEFAULT_SN_EPSILON
    initializer: str = "ortho"
    bn_epsilon: float = DEFAULT_BN_EPSILON
    bn_momentum: float = DEFAULT_BN_MOMENTUM
    bn_synchronized: bool = True
    num_statistics: int = 1
    condition: str = "none"
    num_classes: int = 0
    seed: int | None = None

    def __post_init__(self):
        checks.require_choice("initializer", self.initializer, tuple(INITIALIZERS))
        checks.require_choice("condition", self.condition, CONDITIONS)
        for name in ("sn_epsilon", "bn_epsilon", "bn_momentum"):
            checks.require_fraction(name, getattr(self, name))

    def child(self, name: str) -> LayerFactory:
        """The factory for the parts of the composite layer called `name`."""
        return dataclasses.replace(self, seed=child_seed(self.seed, name))

    def conv(self, owner: keras.Layer, name: str, filters: int, size: int, use_bias=True):
        """A convolution of `owner`, of its dtype policy."""
        kind = SNConv2D if self.spectral_norm else Conv2D
        return kind(filters, size, use_bias=use_bias, **self._kernel_settings(owner, name))

    def upsampled_conv(self, owner: keras.Layer, name: str, filters: int, size: int):
        """A convolution of `owner` that doubles its input first."""
        kind = SNUpsampledConv2D if self.spectral_norm else UpsampledConv2D
        return kind(filters, size, **self._kernel_settings(owner, name))

    def pooled_conv(self, owner: keras.Layer, name: str, filters: int, size: int):
        """A convolution of `owner` whose output is halved by means."""
        kind = SNPooledConv2D if self.spectral_norm else PooledConv2D
        return kind(filters, size, **self._kernel_settings(owner, name))

    def dense(self, owner: keras.Layer, name: str, units: int, use_bias=True):
        """A dense layer of `owner`."""
        kind = SNDense if self.spectral_norm else Dense
        return kind(units, use_bias=use_bias, **self._kernel_settings(owner, name))

    def embedding(self, owner: keras.Layer, name: str, num_classes: int, dim: int):
        """A class embedding of `owner`, spectrally normalised as the other kernels are."""
        kind = SNEmbedding if self.spectral_norm else Embedding
        return kind(num_classes, dim, **self._kernel_settings(owner, name))

    def plain_embedding(self, owner: keras.Layer, name: str, num_classes: int, dim: int):
        """A class embedding that is never spectrally normalised."""
        return Embedding(num_classes, dim, **self._settings(owner, name))

    def batch_norm(self, owner: keras.Layer, name: str, channels: int):
        """The batch norm of `owner` for this factory's condition."""
        if self.condition == "none":
            return self.plain_batch_norm(owner, name)
        child = self.child(name)
        return ConditionalBatchNorm(
            gain=child._modulation(owner, "gain", channels),
            offset=child._modulation(owner, "offset", channels),
            epsilon=self.bn_epsilon,
            **self._norm_settings(owner, name),
        )

    def plain_batch_norm(self, owner: keras.Layer, name: str, epsilon: float | None = None):
        """An unconditional batch norm of `owner`, of another epsilon if one is given."""
        epsilon = self.bn_epsilon if epsilon is None else epsilon
        return BatchNorm(epsilon=epsilon, **self._norm_settings(owner, name))

    def _modulation(self, owner, name, channels):
        if self.condition == "label":
            return self.plain_embedding(owner, name, self.num_classes, channels)
        return self.dense(owner, name, channels, use_bias=False)

    def _settings(self, owner, name):
        seed = child_seed(self.seed, name)
        return dict(initializer=self.initializer, seed=seed, dtype=owner.dtype_policy, name=name)

    def _kernel_settings(self, owner, name):
        epsilon = dict(epsilon=self.sn_epsilon) if self.spectral_norm else {}
        return {**self._settings(owner, name), **epsilon}

    def _norm_settings(self, owner, name):
        return dict(
            momentum=self.bn_momentum,
            synchronized=self.bn_synchronized,
            num_statistics=self.num_statistics,
            dtype=owner.dtype_policy,
            name=name,
        )


class FactoryLayer(keras.Layer):
    """Base of composite layers, whose parts a factory makes.

    Args:
      factory: a `LayerFactory`, or its fields as a dict.
    """

    def __init__(self, factory=LayerFactory(), **kwargs):
        super().__init__(**kwargs)
        self.factory = factory if isinstance(factory, LayerFactory) else LayerFactory(**factory)

    def get_config(self):
        return {**super().get_config(), "factory": dataclasses.asdict(self.factory)}
