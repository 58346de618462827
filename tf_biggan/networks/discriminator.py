"""The projection discriminator of BigGAN and BigGAN-deep."""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from tf_biggan.networks.architectures import get_architecture
from tf_biggan.networks.block_specs import discriminator_blocks
from tf_biggan.networks.blocks import (
    DeepDiscriminatorBlock,
    DiscriminatorBlock,
    RectifiedDeepDiscriminatorBlock,
    RectifiedDiscriminatorBlock,
)
from tf_biggan.networks.layers.attention import SelfAttention
from tf_biggan.networks.layers.factory import LayerFactory
from tf_biggan.networks.layers.initializers import child_seed
from tf_biggan.networks.layers.precision import wide_dtype
from tf_biggan.networks.layers.spectral_norm import DEFAULT_SN_EPSILON
from tf_biggan.networks.network import (
    build_trunk,
    check_float,
    check_labels,
    check_shared_arguments,
    default,
    from_list,
    integers,
    with_attention,
)

# By variant and `rectified_shortcuts`.
BLOCKS = {
    ("biggan", False): DiscriminatorBlock,
    ("biggan", True): RectifiedDiscriminatorBlock,
    ("biggan_deep", False): DeepDiscriminatorBlock,
    ("biggan_deep", True): RectifiedDeepDiscriminatorBlock,
}


@keras.saving.register_keras_serializable(package="tf_biggan")
class Discriminator(keras.Model):
    """Logits of images being real for their class: [N, H, W, C] in [-1, 1], labels to [N].

    The head sums features over positions, then adds a dense layer's output and the inner product
    with the class's embedding (projection; none if unconditional). Every variable exists after
    construction. Arguments that are None take the architecture's published value.

    Args:
      architecture: a name in `ARCHITECTURES`, an `Architecture`, or its fields as a dict.
      num_classes: classes; 0 for an unconditional discriminator.
      base_channels: width multiplier, the papers' "ch".
      depth: blocks per resolution.
      attention_stages: stages, from 0, after whose last block attention stands.
      image_channels: 1 to 4.
      bottom_size: the generator's; images are larger by the architecture's `scale`.
      wide: whether a BigGAN block's inner width is its output's (BigGAN) or its input's (SN-GAN).
      rectified_shortcuts: whether shortcuts see features after the ReLU (StudioGAN) or before it.
      spectral_norm: whether kernels are spectrally normalised.
      sn_epsilon: epsilon of the spectral norm.
      initializer: "ortho", "n02" or "glorot"; biases start at 0.
      seed: integer for reproducible initial values, None for random ones.
      **kwargs: Keras's own, such as `dtype` and `name`.

    Call arguments:
      images: [N, H, W, image_channels].
      labels: class indices [N], class weights [N, num_classes], or None if unconditional.
      training: whether the vectors u of spectral norm are moved.

    Raises:
      ValueError: an argument is out of range, or inputs do not fit the model.
    """

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
        super().__init__(autocast=False, **kwargs)
        row = get_architecture(architecture)
        self.architecture = row
        self.num_classes = num_classes
        self.base_channels = default(base_channels, row.base_channels)
        self.depth = default(depth, row.depth)
        self.attention_stages = integers(
            "attention_stages", default(attention_stages, row.discriminator.attention)
        )
        self.image_channels = image_channels
        self.bottom_size = integers("bottom_size", bottom_size)
        self.wide = wide
        self.rectified_shortcuts = rectified_shortcuts
        self.seed = seed
        check_shared_arguments(self)
        self.factory = LayerFactory(
            spectral_norm=spectral_norm,
            sn_epsilon=sn_epsilon,
            initializer=initializer,
            seed=child_seed(seed, "discriminator"),
        )
        self._create_layers()
        self.build()

    def _create_layers(self):
        row, factory = self.architecture, self.factory
        self.block_specs = discriminator_blocks(
            row,
            self.base_channels,
            self.depth,
            self.attention_stages,
            self.image_channels,
            self.wide,
        )
        deep = row.variant == "biggan_deep"
        stem_channels = self.block_specs[0].in_channels
        self.stem = factory.conv(self, "stem", stem_channels, 3) if deep else None
        self.blocks = tuple(self._block(i, deep) for i in range(len(self.block_specs)))
        self.attentions = tuple(
            SelfAttention(factory=factory.child(name), dtype=self.dtype_policy, name=name)
            for name in (f"attention_{i}" for i, s in enumerate(self.block_specs) if s.attention)
        )
        features = self.block_specs[-1].out_channels
        self.to_logit = factory.dense(self, "to_logit", 1)
        self.class_embedding = (
            factory.embedding(self, "class_embedding", self.num_classes, features)
            if self.num_classes
            else None
        )

    def _block(self, index, deep):
        name = f"block_{index}"
        settings = dict(factory=self.factory.child(name), dtype=self.dtype_policy, name=name)
        if not deep:
            settings["preactivate"] = index > 0
        kind = BLOCKS[self.architecture.variant, self.rectified_shortcuts]
        return kind(self.block_specs[index], **settings)

    def build(self, images_shape=None, labels_shape=None):
        shape = (None, *self.image_size, self.image_channels)
        if self.stem is not None:
            self.stem.build(shape)
            shape = self.stem.compute_output_shape(shape)
        shape = build_trunk(self, shape)
        self.to_logit.build((None, shape[-1]))
        if self.class_embedding is not None:
            self.class_embedding.build()

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return tuple(side * self.architecture.scale for side in self.bottom_size)

    def __call__(self, images, labels=None, **kwargs):
        # Keras takes only tensors by position and would not convert lists.
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
        """What the head sees: last feature map after ReLU, summed over positions [N, features]."""
        x = images if self.stem is None else self.stem(images, training=training)
        for block, attention in with_attention(self):
            x = block(x, training=training)
            if attention is not None:
                x = attention(x, training=training)
        return ops.sum(ops.relu(ops.cast(x, wide_dtype(self))), axis=(1, 2))

    def get_config(self):
        return {
            **super().get_config(),
            "architecture": dataclasses.asdict(self.architecture),
            "num_classes": self.num_classes,
            "base_channels": self.base_channels,
            "depth": self.depth,
            "attention_stages": self.attention_stages,
            "image_channels": self.image_channels,
            "bottom_size": self.bottom_size,
            "wide": self.wide,
            "rectified_shortcuts": self.rectified_shortcuts,
            "spectral_norm": self.factory.spectral_norm,
            "sn_epsilon": self.factory.sn_epsilon,
            "initializer": self.factory.initializer,
            "seed": self.seed,
        }
