"""Creates the layers of a network from the settings that they share."""

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
from tf_biggan.networks.layers.linear import (
    KERNEL_INITIALIZERS,
    Conv2D,
    Dense,
    Embedding,
    PooledConv2D,
    UpsampledConv2D,
    child_seed,
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
    """Creates the layers of a network, each with its own name and seed.

    Attributes:
      spectral_norm: Whether kernels are spectrally normalised. Use False for kernels that are
        already divided by sigma.
      sn_epsilon: Epsilon of the spectral norm.
      initializer: Initial kernels: "ortho", "n02" or "glorot".
      bn_epsilon, bn_momentum, bn_synchronized, num_statistics: See `BatchNormCore`.
      condition: What the batch norms that the method `batch_norm` creates depend on: "none"
        (nothing), "vector" (dense layers compute gain and offset from a vector) or "label" (gain
        and offset are tables with one row for each class).
      num_classes: Number of classes, which only the condition "label" needs.
      seed: Integer for reproducible initial values, None for random ones.
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
        checks.require_choice("initializer", self.initializer, KERNEL_INITIALIZERS)
        checks.require_choice("condition", self.condition, CONDITIONS)
        for name in ("sn_epsilon", "bn_epsilon", "bn_momentum"):
            checks.require_fraction(name, getattr(self, name))

    def child(self, name: str) -> LayerFactory:
        """Returns a factory with a seed of its own for the parts of the composite layer `name`."""
        return dataclasses.replace(self, seed=child_seed(self.seed, name))

    def conv(self, owner: keras.Layer, name: str, filters: int, size: int, use_bias=True):
        """Returns a convolution with the dtype policy of `owner`."""
        kind = SNConv2D if self.spectral_norm else Conv2D
        return kind(filters, size, use_bias=use_bias, **self._kernel_settings(owner, name))

    def upsampled_conv(self, owner: keras.Layer, name: str, filters: int, size: int):
        """Returns a convolution that upsamples its input first."""
        kind = SNUpsampledConv2D if self.spectral_norm else UpsampledConv2D
        return kind(filters, size, **self._kernel_settings(owner, name))

    def pooled_conv(self, owner: keras.Layer, name: str, filters: int, size: int):
        """Returns a convolution that downsamples its output."""
        kind = SNPooledConv2D if self.spectral_norm else PooledConv2D
        return kind(filters, size, **self._kernel_settings(owner, name))

    def dense(self, owner: keras.Layer, name: str, units: int, use_bias=True):
        """Returns a dense layer with the dtype policy of `owner`."""
        kind = SNDense if self.spectral_norm else Dense
        return kind(units, use_bias=use_bias, **self._kernel_settings(owner, name))

    def embedding(self, owner: keras.Layer, name: str, num_classes: int, dim: int):
        """Returns a class embedding, which is spectrally normalised if `spectral_norm` is set."""
        kind = SNEmbedding if self.spectral_norm else Embedding
        return kind(num_classes, dim, **self._kernel_settings(owner, name))

    def plain_embedding(self, owner: keras.Layer, name: str, num_classes: int, dim: int):
        """Returns a class embedding that is never spectrally normalised."""
        return Embedding(num_classes, dim, **self._settings(owner, name))

    def batch_norm(self, owner: keras.Layer, name: str, channels: int):
        """Returns a conditional batch norm, or an unconditional one if `condition` is "none"."""
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
        """Returns an unconditional batch norm; `epsilon` replaces `bn_epsilon` if it is given."""
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
    """Base class of composite layers, whose parts are created by a factory.

    Args:
      factory: A `LayerFactory`, or its fields as a dict.
    """

    def __init__(self, factory=LayerFactory(), **kwargs):
        super().__init__(**kwargs)
        self.factory = factory if isinstance(factory, LayerFactory) else LayerFactory(**factory)

    def get_config(self):
        return {**super().get_config(), "factory": dataclasses.asdict(self.factory)}
