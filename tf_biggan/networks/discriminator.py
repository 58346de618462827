"""The projection discriminator of BigGAN and BigGAN-deep."""

from __future__ import annotations

import keras
from keras import ops

from tf_biggan.networks.architectures import discriminator_blocks
from tf_biggan.networks.blocks import (
    DeepDiscriminatorBlock,
    DiscriminatorBlock,
    RectifiedDeepDiscriminatorBlock,
    RectifiedDiscriminatorBlock,
)
from tf_biggan.networks.layers.linear import wide_dtype
from tf_biggan.networks.layers.spectral_norm import DEFAULT_SN_EPSILON
from tf_biggan.networks.network import Network, check_float, check_labels, from_list

# Maps (variant, `rectified_shortcuts`) to the class of the residual blocks.
BLOCKS = {
    ("biggan", False): DiscriminatorBlock,
    ("biggan", True): RectifiedDiscriminatorBlock,
    ("biggan_deep", False): DeepDiscriminatorBlock,
    ("biggan_deep", True): RectifiedDeepDiscriminatorBlock,
}


@keras.saving.register_keras_serializable(package="tf_biggan")
class Discriminator(Network):
    """Maps images [N, H, W, C] in [-1, 1] and labels to logits [N], large for real images.

    The features after the last block and a ReLU are summed over all positions, and a dense layer
    computes the logit from these sums. In a conditional network, the inner product of the sums and
    the class embedding is added (projection). All variables exist after construction. If
    `base_channels`, `depth` or `attention_stages` is None, the architecture's value is used.

    Args:
      architecture: A name in `ARCHITECTURES`, an `Architecture`, or its fields as a dict.
      num_classes: Number of classes; 0 for an unconditional discriminator.
      base_channels: Width multiplier, "ch" in the papers.
      depth: Residual blocks per stage.
      attention_stages: Stages, counted from 0, whose last block is followed by self-attention.
      image_channels: Channels of the images, 1 to 4.
      bottom_size: The generator's `bottom_size`. The architecture's `scale` times this size is the
        size of the images.
      wide: Whether the inner width of a BigGAN block is its output width, as in BigGAN. If False,
        it is the input width, as in SN-GAN.
      rectified_shortcuts: Whether shortcuts take features after the ReLU, as in
        PyTorch-StudioGAN. If False, they take features before the ReLU.
      spectral_norm: Whether kernels are spectrally normalised.
      sn_epsilon: Epsilon of the spectral norm.
      initializer: Initial kernels: "ortho", "n02" or "glorot". Biases start at 0.
      seed: Integer for reproducible initial values; None for random ones.
      **kwargs: Arguments of `keras.Model`, such as `dtype` and `name`.

    Call arguments:
      images: [N, H, W, image_channels].
      labels: Class indices [N], class weights [N, num_classes], or None if unconditional.
      training: Whether the vectors u of the spectral norm are updated.

    Raises:
      ValueError: An argument is out of range, or inputs do not fit the network.
    """

    side = "discriminator"

    def __init__(
        self,
        architecture,
        num_classes,
        base_channels=None,
        depth=None,
        attention_stages=None,
        image_channels=3,
        bottom_size=(4, 4),
        wide=True,
        rectified_shortcuts=False,
        spectral_norm=True,
        sn_epsilon=DEFAULT_SN_EPSILON,
        initializer="ortho",
        seed=None,
        **kwargs,
    ):
        super().__init__(locals(), **kwargs)
        self.factory = self.create_factory()
        self._create_layers()
        self.build()

    def _create_layers(self):
        # Keras lists the variables in the order in which these attributes are set.
        specs = discriminator_blocks(
            self.architecture,
            self.base_channels,
            self.depth,
            self.attention_stages,
            self.image_channels,
            self.wide,
        )
        is_deep = self.architecture.variant == "biggan_deep"
        self.stem = self.factory.conv(self, "stem", specs[0].in_channels, 3) if is_deep else None
        self.create_trunk(specs)
        self.to_logit = self.factory.dense(self, "to_logit", 1)
        self.class_embedding = (
            self.factory.embedding(
                self, "class_embedding", self.num_classes, specs[-1].out_channels
            )
            if self.num_classes
            else None
        )

    def create_block(self, index):
        settings = self.block_settings(index)
        if self.architecture.variant == "biggan":
            settings["preactivate"] = index > 0
        return BLOCKS[self.architecture.variant, self.rectified_shortcuts](**settings)

    def build(self, images_shape=None, labels_shape=None):
        shape = (None, *self.image_size, self.image_channels)
        if self.stem is not None:
            self.stem.build(shape)
            shape = self.stem.compute_output_shape(shape)
        shape = self.build_trunk(shape)
        self.to_logit.build((None, shape[-1]))
        if self.class_embedding is not None:
            self.class_embedding.build()

    def __call__(self, images, labels=None, **kwargs):
        # Keras accepts only tensors as positional arguments and does not convert lists.
        return super().__call__(images, from_list("labels", labels), **kwargs)

    def call(self, images, labels=None, training=False):
        check_float("images", images, (*self.image_size, self.image_channels))
        check_labels(labels, self.num_classes, images.shape[0])
        features = self.features(images, training=training)
        logits = self.to_logit(features, training=training)[:, 0]
        logits = ops.cast(logits, wide_dtype(self))
        if labels is None:
            return logits
        embeddings = self.class_embedding(labels, training=training)
        products = ops.cast(embeddings, features.dtype) * features
        return logits + ops.sum(products, axis=-1)

    def features(self, images, training=False):
        """Returns the features from which the logit is computed, summed over all positions.

        They are the output of the last block after a ReLU.

        Args:
          images: [N, H, W, image_channels].
          training: Whether the vectors u of the spectral norm are updated.

        Returns:
          [N, features].
        """
        x = images if self.stem is None else self.stem(images, training=training)
        for block, attention in self.blocks_with_attention():
            x = block(x, training=training)
            if attention is not None:
                x = attention(x, training=training)
        return ops.sum(ops.relu(ops.cast(x, wide_dtype(self))), axis=(1, 2))
