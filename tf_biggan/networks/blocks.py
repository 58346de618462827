"""The residual blocks of both networks, and the self-attention layer that follows some blocks.

A 1x1 convolution commutes with nearest-neighbour upsampling and with average pooling. The
convolution of a shortcut therefore runs before upsampling and after pooling, where the feature map
is smaller and the convolution costs less.
"""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from tf_biggan import checks
from tf_biggan.networks.architectures import BlockSpec
from tf_biggan.networks.layers.attention import attention
from tf_biggan.networks.layers.factory import FactoryLayer
from tf_biggan.networks.layers.linear import downsample, upsample, wide_dtype

QUERY_RATIO = 8
VALUE_RATIO = 2


class ResidualBlock(FactoryLayer):
    """Base class of the residual blocks, which map [N, H, W, in] to [N, H', W', out].

    H' is H, 2H or H/2; W' likewise.

    Args:
      spec: A `BlockSpec`, or its fields as a dict.
      **kwargs: `factory`, which makes the layers of the block, and arguments of `keras.Layer`.
    """

    def __init__(self, spec, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.spec = spec if isinstance(spec, BlockSpec) else BlockSpec(**spec)

    def conv(self, name, filters, size):
        """Returns a new convolution of this block."""
        return self.factory.conv(self, name, filters, size)

    def build_convolutions(self, shape, *convolutions):
        """Builds convolutions that follow each other; height and width of `shape` do not matter."""
        for layer in convolutions:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def get_config(self):
        return {**super().get_config(), "spec": dataclasses.asdict(self.spec)}


class _GeneratorResidualBlock(ResidualBlock):
    """Base class of the generator's blocks, with batch norm and ReLU before each convolution."""

    def build(self, x_shape, condition_shape=None):
        channels = x_shape[-1]
        for norm, conv in zip(self.norms, self.convolutions, strict=True):
            norm.build((*x_shape[:-1], channels), condition_shape)
            conv.build((*x_shape[:-1], channels))
            channels = conv.filters
        if self.shortcut is not None:
            self.shortcut.build(x_shape)

    def compute_output_shape(self, x_shape, condition_shape=None):
        factor = 2 if self.spec.resample else 1
        height, width = (None if size is None else size * factor for size in x_shape[1:3])
        return (x_shape[0], height, width, self.spec.out_channels)


@keras.saving.register_keras_serializable(package="tf_biggan")
class GeneratorBlock(_GeneratorResidualBlock):
    """Block of BigGAN's generator.

    Main path: norm, ReLU, upsampling, conv 3x3, norm, ReLU, conv 3x3. Shortcut: conv 1x1,
    upsampling.

    Source: BigGAN-PyTorch, layers.py `GBlock`.
    """

    def __init__(self, spec, **kwargs):
        super().__init__(spec, **kwargs)
        spec, factory = self.spec, self.factory
        self.norms = (
            factory.batch_norm(self, "norm_1", spec.in_channels),
            factory.batch_norm(self, "norm_2", spec.hidden_channels),
        )
        first = factory.upsampled_conv if spec.resample else factory.conv
        self.convolutions = (
            first(self, "conv_1", spec.hidden_channels, 3),
            self.conv("conv_2", spec.out_channels, 3),
        )
        projected = spec.resample or spec.in_channels != spec.out_channels
        self.shortcut = self.conv("shortcut", spec.out_channels, 1) if projected else None

    def call(self, x, condition=None, position=None, training=False):
        (norm_1, norm_2), (conv_1, conv_2) = self.norms, self.convolutions
        x = ops.cast(x, self.compute_dtype)
        h = ops.relu(norm_1(x, condition, position=position, training=training))
        h = conv_1(h, training=training)
        h = ops.relu(norm_2(h, condition, position=position, training=training))
        h = conv_2(h, training=training)
        if self.shortcut is not None:
            x = self.shortcut(x, training=training)
        return h + (upsample(x) if self.spec.resample else x)


@keras.saving.register_keras_serializable(package="tf_biggan")
class DeepGeneratorBlock(_GeneratorResidualBlock):
    """Block of BigGAN-deep's generator.

    Main path: four times norm, ReLU, conv. The kernels are 1x1 (into the bottleneck), 3x3 (after
    upsampling, if the block resamples), 3x3 and 1x1 (out of the bottleneck). Shortcut: the first
    `out_channels` channels of the input, upsampled if the block resamples. The shortcut has no
    weights.

    Source: BigGAN-PyTorch, BigGANdeep.py `GBlock`; paper, Figure 16.
    """

    def __init__(self, spec, **kwargs):
        super().__init__(spec, **kwargs)
        spec, factory = self.spec, self.factory
        checks.require(
            spec.out_channels <= spec.in_channels,
            "a block of BigGAN-deep's generator cannot have more output than input channels,"
            " because its shortcut drops channels; change the widths of the architecture",
            spec=spec,
        )
        hidden = spec.hidden_channels
        widths = ((spec.in_channels, hidden, 1), (hidden, hidden, 3), (hidden, hidden, 3))
        widths += ((hidden, spec.out_channels, 1),)
        self.norms = tuple(
            factory.batch_norm(self, f"norm_{i}", entering)
            for i, (entering, _, _) in enumerate(widths, start=1)
        )
        second = factory.upsampled_conv if spec.resample else factory.conv
        makers = (factory.conv, second, factory.conv, factory.conv)
        self.convolutions = tuple(
            make(self, f"conv_{i}", leaving, size)
            for i, (make, (_, leaving, size)) in enumerate(
                zip(makers, widths, strict=True), start=1
            )
        )
        self.shortcut = None

    def call(self, x, condition=None, position=None, training=False):
        h = x = ops.cast(x, self.compute_dtype)
        for norm, conv in zip(self.norms, self.convolutions, strict=True):
            h = ops.relu(norm(h, condition, position=position, training=training))
            h = conv(h, training=training)
        x = x[..., : self.spec.out_channels]
        return h + (upsample(x) if self.spec.resample else x)


class _DiscriminatorResidualBlock(ResidualBlock):
    """Base class of the discriminator's blocks, with average pooling and without batch norm."""

    def compute_output_shape(self, x_shape):
        factor = 2 if self.spec.resample else 1
        height, width = (None if size is None else size // factor for size in x_shape[1:3])
        return (x_shape[0], height, width, self.spec.out_channels)


@keras.saving.register_keras_serializable(package="tf_biggan")
class DiscriminatorBlock(_DiscriminatorResidualBlock):
    """Block of BigGAN's discriminator.

    Main path: ReLU, conv 3x3, ReLU, conv 3x3, pooling. Shortcut: pooling, conv 1x1. The shortcut
    takes x before the ReLU. If the block neither pools nor changes the number of channels, the
    shortcut is x itself.

    Source: BigGAN-PyTorch, layers.py `DBlock`.

    Args:
      spec: A `BlockSpec`, or its fields as a dict.
      preactivate: Whether the main path begins with the ReLU; False for the block whose input is
        the image.
      **kwargs: As for `ResidualBlock`.
    """

    def __init__(self, spec, preactivate=True, **kwargs):
        super().__init__(spec, **kwargs)
        spec = self.spec
        self.preactivate = preactivate
        self.conv_1 = self.conv("conv_1", spec.hidden_channels, 3)
        second = self.factory.pooled_conv if spec.resample else self.factory.conv
        self.conv_2 = second(self, "conv_2", spec.out_channels, 3)
        projected = spec.resample or spec.in_channels != spec.out_channels
        self.shortcut = self.conv("shortcut", spec.out_channels, 1) if projected else None

    def build(self, x_shape):
        self.build_convolutions(x_shape, self.conv_1, self.conv_2)
        if self.shortcut is not None:
            self.shortcut.build(x_shape)

    def call(self, x, training=False):
        x = ops.cast(x, self.compute_dtype)
        h = self.conv_1(ops.relu(x) if self.preactivate else x, training=training)
        h = self.conv_2(ops.relu(h), training=training)
        if self.spec.resample:
            x = downsample(x)
        if self.shortcut is not None:
            x = self.shortcut(x, training=training)
        return h + x

    def get_config(self):
        return {**super().get_config(), "preactivate": self.preactivate}


@keras.saving.register_keras_serializable(package="tf_biggan")
class RectifiedDiscriminatorBlock(DiscriminatorBlock):
    """`DiscriminatorBlock` whose shortcut takes x after the main path's initial ReLU.

    If `preactivate` is False, there is no initial ReLU, and the shortcut takes x itself.

    Source: PyTorch-StudioGAN, where this ReLU changes x in place.
    """

    def call(self, x, training=False):
        return super().call(ops.relu(x) if self.preactivate else x, training=training)


@keras.saving.register_keras_serializable(package="tf_biggan")
class DeepDiscriminatorBlock(_DiscriminatorResidualBlock):
    """Block of BigGAN-deep's discriminator.

    Main path: four times ReLU, conv. The kernels are 1x1 (into the bottleneck), 3x3, 3x3 and 1x1
    (out of the bottleneck, after pooling). Shortcut: pooling; if the block adds channels, a 1x1
    convolution computes them from the pooled input.

    Source: BigGAN-PyTorch, BigGANdeep.py `DBlock`; paper, Figure 16.
    """

    def __init__(self, spec, **kwargs):
        super().__init__(spec, **kwargs)
        spec = self.spec
        hidden, added = spec.hidden_channels, spec.out_channels - spec.in_channels
        checks.require(
            added >= 0,
            "a block of BigGAN-deep's discriminator cannot have fewer output than input"
            " channels, because its shortcut adds channels; change the widths of the"
            " architecture",
            spec=spec,
        )
        self.convolutions = (
            self.conv("conv_1", hidden, 1),
            self.conv("conv_2", hidden, 3),
            self.conv("conv_3", hidden, 3),
            self.conv("conv_4", spec.out_channels, 1),
        )
        self.shortcut = self.conv("shortcut", added, 1) if added else None

    def build(self, x_shape):
        self.build_convolutions(x_shape, *self.convolutions)
        if self.shortcut is not None:
            self.shortcut.build(x_shape)

    def call(self, x, training=False):
        h = x = ops.cast(x, self.compute_dtype)
        for conv in self.convolutions[:-1]:
            h = conv(ops.relu(h), training=training)
        h = ops.relu(h)
        if self.spec.resample:
            h, x = downsample(h), downsample(x)
        h = self.convolutions[-1](h, training=training)
        if self.shortcut is not None:
            x = ops.concatenate([x, self.shortcut(x, training=training)], axis=-1)
        return h + x


@keras.saving.register_keras_serializable(package="tf_biggan")
class RectifiedDeepDiscriminatorBlock(DeepDiscriminatorBlock):
    """`DeepDiscriminatorBlock` whose shortcut takes x after the main path's initial ReLU."""

    def call(self, x, training=False):
        return super().call(ops.relu(x), training=training)


@keras.saving.register_keras_serializable(package="tf_biggan")
class SelfAttention(FactoryLayer):
    """Returns x + gamma * attention(x), [N, H, W, C]; the initial gamma is 0.

    Queries (theta) and keys (phi) have C / 8 channels, values (g) have C / 2. Keys and values are
    max-pooled 2x2 after their convolutions. Scores are not scaled, and no convolution has a bias.
    The softmax runs in float32 (float64 in a float64 layer).

    Source: BigGAN-PyTorch, layers.py `Attention`.

    Args:
      factory: The `LayerFactory` that makes the four convolutions.
    """

    def build(self, input_shape):
        channels = input_shape[-1]
        keys, values = max(1, channels // QUERY_RATIO), max(1, channels // VALUE_RATIO)
        self.theta = self._projection("theta", keys, input_shape)
        self.phi = self._projection("phi", keys, input_shape)
        self.g = self._projection("g", values, input_shape)
        self.o = self._projection("o", channels, (*input_shape[:-1], values))
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def _projection(self, name, filters, input_shape):
        layer = self.factory.conv(self, name, filters, 1, use_bias=False)
        layer.build(input_shape)
        return layer

    def call(self, x, training=False):
        queries = _flattened(self.theta(x, training=training))
        keys = _flattened(_max_pool(self.phi(x, training=training)))
        values = _flattened(_max_pool(self.g(x, training=training)))
        mixed = attention(queries, keys, values, wide_dtype(self), training)
        mixed = ops.reshape(mixed, (-1, x.shape[1], x.shape[2], values.shape[-1]))
        return x + self.gamma * self.o(mixed, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape


def _flattened(x):
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))


def _max_pool(x):
    return ops.max_pool(x, 2, 2, data_format="channels_last")
