"""The four residual blocks: generator and discriminator, BigGAN and BigGAN-deep.

A 1x1 convolution commutes with nearest upsampling and with average pooling, so every shortcut is
convolved at the smaller of its two sizes.
"""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from tf_biggan import checks
from tf_biggan.networks.block_specs import BlockSpec
from tf_biggan.networks.layers.convolutions import downsample, upsample
from tf_biggan.networks.layers.factory import FactoryLayer


class ResidualBlock(FactoryLayer):
    """Base of the blocks: [N, H, W, in] to [N, H', W', out], with H' = H, 2H or H/2.

    Args:
      spec: a `BlockSpec`, or its fields as a dict.
      factory: makes the parts.
    """

    def __init__(self, spec, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.spec = spec if isinstance(spec, BlockSpec) else BlockSpec(**spec)

    def conv(self, name, filters, size):
        """A convolution of this block."""
        return self.factory.conv(self, name, filters, size)

    def build_convolutions(self, shape, *convolutions):
        """Builds convolutions that follow one another; sizes do not matter to their kernels."""
        for layer in convolutions:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def get_config(self):
        return {**super().get_config(), "spec": dataclasses.asdict(self.spec)}


class _GeneratorResidualBlock(ResidualBlock):
    """A generator's block: its convolutions follow conditional batch norms and ReLUs."""

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
    """norm, ReLU, upsample, conv 3x3, norm, ReLU, conv 3x3; shortcut conv 1x1, upsample.

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
    """Four times norm, ReLU, conv: 1x1 to the bottleneck, [upsample] 3x3, 3x3, 1x1 out of it.

    The shortcut drops the last channels and upsamples; it has no weights. Source: BigGAN-PyTorch,
    BigGANdeep.py `GBlock`; paper, Figure 16.
    """

    def __init__(self, spec, **kwargs):
        super().__init__(spec, **kwargs)
        spec, factory = self.spec, self.factory
        checks.require(
            spec.out_channels <= spec.in_channels,
            "a deep generator's block cannot widen",
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
    """A discriminator's block: no normalisation, and pooling where the spec resamples."""

    def compute_output_shape(self, x_shape):
        factor = 2 if self.spec.resample else 1
        height, width = (None if size is None else size // factor for size in x_shape[1:3])
        return (x_shape[0], height, width, self.spec.out_channels)


@keras.saving.register_keras_serializable(package="tf_biggan")
class DiscriminatorBlock(_DiscriminatorResidualBlock):
    """[ReLU], conv 3x3, ReLU, conv 3x3, pool; shortcut pool, conv 1x1.

    The shortcut sees x before the ReLU, and is x itself where the block neither pools nor changes
    width. Source: BigGAN-PyTorch, layers.py `DBlock`.

    Args:
      preactivate: whether the first ReLU is there; not in the block that sees the image.
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
    """`DiscriminatorBlock` whose shortcut, too, sees x after the first ReLU.

    Source: PyTorch-StudioGAN, whose ReLU there works in place.
    """

    def call(self, x, training=False):
        return super().call(ops.relu(x) if self.preactivate else x, training=training)


@keras.saving.register_keras_serializable(package="tf_biggan")
class DeepDiscriminatorBlock(_DiscriminatorResidualBlock):
    """Four times ReLU, conv: 1x1 to the bottleneck, 3x3, 3x3, [pool] 1x1 out of it.

    The shortcut pools; where the block widens, a 1x1 convolution of it gives the added channels.
    Source: BigGAN-PyTorch, BigGANdeep.py `DBlock`; paper, Figure 16.
    """

    def __init__(self, spec, **kwargs):
        super().__init__(spec, **kwargs)
        spec = self.spec
        hidden, added = spec.hidden_channels, spec.out_channels - spec.in_channels
        checks.require(added >= 0, "a deep discriminator's block cannot narrow", spec=spec)
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
    """`DeepDiscriminatorBlock` whose shortcut, too, sees x after the first ReLU."""

    def call(self, x, training=False):
        return super().call(ops.relu(x), training=training)
