"""The generator of BigGAN and BigGAN-deep."""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from tf_biggan import checks
from tf_biggan.networks.architectures import LATENT_INJECTIONS, get_architecture
from tf_biggan.networks.block_specs import generator_blocks
from tf_biggan.networks.blocks import DeepGeneratorBlock, GeneratorBlock
from tf_biggan.networks.conditioning import LatentPlan
from tf_biggan.networks.layers.attention import SelfAttention
from tf_biggan.networks.layers.batch_norm import (
    DEFAULT_BN_EPSILON,
    DEFAULT_BN_MOMENTUM,
    table_position,
)
from tf_biggan.networks.layers.factory import LayerFactory
from tf_biggan.networks.layers.initializers import child_seed
from tf_biggan.networks.layers.precision import wide_dtype
from tf_biggan.networks.layers.spectral_norm import DEFAULT_SN_EPSILON
from tf_biggan.networks.network import (
    build_trunk,
    check_float,
    check_labels,
    check_shared_arguments,
    check_truncation,
    default,
    from_list,
    integers,
    with_attention,
)

BLOCKS = {"biggan": GeneratorBlock, "biggan_deep": DeepGeneratorBlock}


@keras.saving.register_keras_serializable(package="tf_biggan")
class Generator(keras.Model):
    """Images from latents and classes: z [N, latent_dim], labels to [N, H, W, C] in [-1, 1].

    Every variable exists after construction. Arguments that are None take the architecture's
    published value.

    Args:
      architecture: a name in `ARCHITECTURES`, an `Architecture`, or its fields as a dict.
      num_classes: classes; 0 for an unconditional generator.
      base_channels: width multiplier, the papers' "ch".
      depth: blocks per resolution.
      latent_dim: size of z; with split latents a multiple of (blocks + 1).
      latent_injection: "first", "split" or "all"; see `Architecture`.
      embedding_dim: size of the shared class embedding; 0 for per-class gain and bias tables.
      attention_stages: stages, from 0, after whose last block attention stands.
      image_channels: 1 to 4.
      bottom_size: (height, width) of the first feature map; images are larger by `scale`.
      spectral_norm: False for a generator whose weights have sigma folded in.
      sn_epsilon: epsilon of the spectral norm.
      initializer: "ortho", "n02" or "glorot"; biases start at 0.
      bn_epsilon: epsilon of the conditional batch norms.
      output_bn_epsilon: that of the last batch norm; None for `bn_epsilon`.
      bn_momentum: weight of the old running statistics.
      bn_synchronized: whether moments are taken over all replicas.
      num_statistics: rows of the table of statistics over truncation; 1 while training.
      seed: integer for reproducible initial values, None for random ones.
      **kwargs: Keras's own, such as `dtype` and `name`.

    Call arguments:
      z: latents [N, latent_dim], already truncated.
      labels: class indices [N], class weights [N, num_classes], or None if unconditional.
      truncation: scalar or [N] in (0, 1]: which statistics the batch norms use where the table has
        more than one row; None for 1.
      training: whether batch moments are used, and running statistics and u are moved.

    Raises:
      ValueError: an argument is out of range, or inputs do not fit the model.
    """

    def __init__(
        self,
        architecture,
        num_classes,
        base_channels=None,
        depth=None,
        latent_dim=None,
        latent_injection=None,
        embedding_dim=None,
        attention_stages=None,
        image_channels=3,
        bottom_size=(4, 4),
        spectral_norm=True,
        sn_epsilon=DEFAULT_SN_EPSILON,
        initializer="ortho",
        bn_epsilon=DEFAULT_BN_EPSILON,
        output_bn_epsilon=None,
        bn_momentum=DEFAULT_BN_MOMENTUM,
        bn_synchronized=True,
        num_statistics=1,
        seed=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        row = get_architecture(architecture)
        self.architecture = row
        self.num_classes = num_classes
        self.base_channels = default(base_channels, row.base_channels)
        self.depth = default(depth, row.depth)
        self.latent_dim = default(latent_dim, row.latent_dim)
        self.latent_injection = default(latent_injection, row.latent_injection)
        self.embedding_dim = default(embedding_dim, row.embedding_dim)
        self.attention_stages = integers(
            "attention_stages", default(attention_stages, row.generator.attention)
        )
        self.image_channels = image_channels
        self.bottom_size = integers("bottom_size", bottom_size)
        self.output_bn_epsilon = default(output_bn_epsilon, bn_epsilon)
        self.seed = seed
        self._check_arguments()
        self.factory = LayerFactory(
            spectral_norm=spectral_norm,
            sn_epsilon=sn_epsilon,
            initializer=initializer,
            bn_epsilon=bn_epsilon,
            bn_momentum=bn_momentum,
            bn_synchronized=bn_synchronized,
            num_statistics=num_statistics,
            condition=self._condition_kind(),
            num_classes=num_classes,
            seed=child_seed(seed, "generator"),
        )
        self._create_layers()
        self.build()

    def _check_arguments(self):
        check_shared_arguments(self)
        checks.require_choice("latent_injection", self.latent_injection, LATENT_INJECTIONS)
        checks.require_integer("embedding_dim", self.embedding_dim, 0)
        checks.require(
            self.embedding_dim > 0 or self.num_classes == 0 or self.latent_injection == "first",
            "per-class tables (`embedding_dim` 0) need `latent_injection` 'first'; z can only be"
            " joined to a class embedding",
            latent_injection=self.latent_injection,
            embedding_dim=self.embedding_dim,
        )

    def _condition_kind(self):
        if self.latent_injection != "first":
            return "vector"
        if self.num_classes == 0:
            return "none"
        return "vector" if self.embedding_dim else "label"

    def _create_layers(self):
        factory = self.factory
        self.block_specs = generator_blocks(
            self.architecture, self.base_channels, self.depth, self.attention_stages
        )
        embeds = self.num_classes > 0 and self.embedding_dim > 0
        self.latent_plan = LatentPlan(
            self.latent_injection,
            self.latent_dim,
            self.embedding_dim if embeds else 0,
            len(self.block_specs),
        )
        # The shared embedding stays free of spectral norm, which would cripple it now and then
        # (BigGAN-PyTorch, BigGAN.py).
        self.class_embedding = (
            factory.plain_embedding(self, "class_embedding", self.num_classes, self.embedding_dim)
            if embeds
            else None
        )
        self.bottom_channels = self.block_specs[0].in_channels
        positions = self.bottom_size[0] * self.bottom_size[1]
        self.first = factory.dense(self, "first", positions * self.bottom_channels)
        block = BLOCKS[self.architecture.variant]
        self.blocks = tuple(
            block(
                spec, factory=self._block_factory(index), dtype=self.dtype_policy, name=_name(index)
            )
            for index, spec in enumerate(self.block_specs)
        )
        self.attentions = tuple(
            SelfAttention(factory=factory.child(name), dtype=self.dtype_policy, name=name)
            for name in (f"attention_{i}" for i, s in enumerate(self.block_specs) if s.attention)
        )
        self.output_norm = factory.plain_batch_norm(self, "output_norm", self.output_bn_epsilon)
        self.to_image = factory.conv(self, "to_image", self.image_channels, 3)

    def _block_factory(self, index):
        return self.factory.child(_name(index))

    def build(self, z_shape=None, labels_shape=None):
        if self.class_embedding is not None:
            self.class_embedding.build()
        self.first.build((None, self.latent_plan.first_dim))
        shape = (None, *self.bottom_size, self.bottom_channels)
        shape = build_trunk(self, shape, (None, self.latent_plan.condition_dim))
        self.output_norm.build(shape)
        self.to_image.build(shape)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return tuple(side * self.architecture.scale for side in self.bottom_size)

    def __call__(self, z, labels=None, truncation=None, **kwargs):
        # Keras takes only tensors by position and would not convert lists.
        return super().__call__(
            from_list("z", z),
            from_list("labels", labels),
            truncation=from_list("truncation", truncation),
            **kwargs,
        )

    def call(self, z, labels=None, truncation=None, training=False):
        check_labels(labels, self.num_classes, z.shape[0])
        embeddings = None if labels is None else self.embed(labels)
        return self.synthesize(z, embeddings, truncation=truncation, training=training)

    def embed(self, labels):
        """What `synthesize` takes for these labels: class embeddings [N, embedding_dim].

        A generator with per-class tables has no class embedding and takes the labels themselves.
        """
        labels = ops.convert_to_tensor(from_list("labels", labels))
        check_labels(labels, self.num_classes, None)
        return labels if self.class_embedding is None else self.class_embedding(labels)

    def synthesize(self, z, embeddings=None, truncation=None, training=False):
        """Images from latents and class embeddings, which may be mixtures; see the class.

        Args:
          z: latents [N, latent_dim].
          embeddings: what `embed` returns, or any [N, embedding_dim]; None if unconditional.
          truncation, training: as in the call.
        """
        z = ops.convert_to_tensor(from_list("z", z))
        check_float("z", z, (self.latent_dim,))
        truncation = from_list("truncation", truncation)
        embeddings = from_list("embeddings", embeddings)
        embeddings = self._checked_embeddings(embeddings, z.shape[0])
        check_truncation(truncation, z.shape[0])
        first, conditions = self.latent_plan.distribute(z, embeddings)
        position = self._table_position(truncation)
        x = self.first(first, training=training)
        x = ops.reshape(x, (-1, *self.bottom_size, self.bottom_channels))
        for (block, attention), condition in zip(with_attention(self), conditions, strict=True):
            x = block(x, condition, position=position, training=training)
            if attention is not None:
                x = attention(x, training=training)
        x = ops.relu(self.output_norm(x, position=position, training=training))
        x = self.to_image(x, training=training)
        return ops.tanh(ops.cast(x, wide_dtype(self)))

    def _checked_embeddings(self, embeddings, batch_size):
        if self.class_embedding is None:
            check_labels(embeddings, self.num_classes, batch_size)
            return embeddings
        checks.require(
            embeddings is not None,
            f"`embeddings` are needed: [N, {self.embedding_dim}]",
            embeddings=embeddings,
        )
        embeddings = ops.convert_to_tensor(embeddings)
        check_float("embeddings", embeddings, (self.embedding_dim,), batch_size)
        return embeddings

    def _table_position(self, truncation):
        if truncation is None or self.factory.num_statistics == 1:
            return None
        return table_position(truncation, self.factory.num_statistics)

    def get_config(self):
        factory = self.factory
        return {
            **super().get_config(),
            "architecture": dataclasses.asdict(self.architecture),
            "num_classes": self.num_classes,
            "base_channels": self.base_channels,
            "depth": self.depth,
            "latent_dim": self.latent_dim,
            "latent_injection": self.latent_injection,
            "embedding_dim": self.embedding_dim,
            "attention_stages": self.attention_stages,
            "image_channels": self.image_channels,
            "bottom_size": self.bottom_size,
            "spectral_norm": factory.spectral_norm,
            "sn_epsilon": factory.sn_epsilon,
            "initializer": factory.initializer,
            "bn_epsilon": factory.bn_epsilon,
            "output_bn_epsilon": self.output_bn_epsilon,
            "bn_momentum": factory.bn_momentum,
            "bn_synchronized": factory.bn_synchronized,
            "num_statistics": factory.num_statistics,
            "seed": self.seed,
        }


def _name(index):
    return f"block_{index}"
