"""The generator of BigGAN and BigGAN-deep."""

from __future__ import annotations

import dataclasses

import keras
from keras import ops

from tf_biggan import checks
from tf_biggan.networks.architectures import LATENT_INJECTIONS, generator_blocks
from tf_biggan.networks.blocks import DeepGeneratorBlock, GeneratorBlock
from tf_biggan.networks.layers.batch_norm import (
    DEFAULT_BN_EPSILON,
    DEFAULT_BN_MOMENTUM,
    table_position,
)
from tf_biggan.networks.layers.linear import wide_dtype
from tf_biggan.networks.layers.spectral_norm import DEFAULT_SN_EPSILON
from tf_biggan.networks.network import (
    Network,
    check_float,
    check_labels,
    check_truncation,
    from_list,
)

BLOCKS = {"biggan": GeneratorBlock, "biggan_deep": DeepGeneratorBlock}


@dataclasses.dataclass(frozen=True)
class LatentPlan:
    """Decides which part of z each layer of G receives, and which layers get the class embedding.

    Attributes:
      injection: "first", "split" or "all"; see `architectures.Architecture`.
      latent_dim: Size of the latent vector z.
      embedding_dim: Size of the class embedding; 0 if there is none.
      num_blocks: Number of residual blocks.
    """

    injection: str
    latent_dim: int
    embedding_dim: int
    num_blocks: int

    def __post_init__(self):
        checks.require_integer("latent_dim", self.latent_dim, 1)
        checks.require(
            self.injection != "split" or self.latent_dim % self.num_chunks == 0,
            f"`latent_dim` must be a multiple of {self.num_chunks} if `latent_injection` is"
            " 'split': one chunk of z for the first layer and one for each of"
            f" {self.num_blocks} blocks; use {self._nearest()}",
            latent_dim=self.latent_dim,
        )

    @property
    def num_chunks(self) -> int:
        """Number of chunks of a split z: one for the first layer and one for each block."""
        return self.num_blocks + 1

    @property
    def first_dim(self) -> int:
        """Size of the input of the first dense layer."""
        return {
            "first": self.latent_dim,
            "split": self.latent_dim // self.num_chunks,
            "all": self.latent_dim + self.embedding_dim,
        }[self.injection]

    @property
    def condition_dim(self) -> int:
        """Size of the vector that a block's batch norms are conditioned on."""
        return {
            "first": self.embedding_dim,
            "split": self.latent_dim // self.num_chunks + self.embedding_dim,
            "all": self.latent_dim + self.embedding_dim,
        }[self.injection]

    def distribute(self, z, embeddings):
        """Returns the input of the first dense layer and the condition of every block.

        Args:
          z: Latent vectors [N, latent_dim].
          embeddings: Class embeddings [N, embedding_dim]; labels, if the batch norms have gains and
            offsets for each class; None for an unconditional generator.

        Returns:
          (input of the first layer [N, first_dim], a tuple with the condition of each block). If a
          condition holds both z and the embedding, z comes first.
        """
        if self.injection == "first":
            return z, (embeddings,) * self.num_blocks
        if self.injection == "all":
            joined = _join(z, embeddings)
            return joined, (joined,) * self.num_blocks
        first, *chunks = ops.split(z, self.num_chunks, axis=-1)
        return first, tuple(_join(chunk, embeddings) for chunk in chunks)

    def _nearest(self):
        below = self.latent_dim // self.num_chunks * self.num_chunks
        return " or ".join(str(dim) for dim in (below, below + self.num_chunks) if dim > 0)


def _join(z, embeddings):
    if embeddings is None:
        return z
    return ops.concatenate([z, ops.cast(embeddings, z.dtype)], axis=-1)


@keras.saving.register_keras_serializable(package="tf_biggan")
class Generator(Network):
    """Maps latent vectors [N, latent_dim] and labels to images [N, H, W, C] in [-1, 1].

    All variables exist after construction. If an argument is None, the architecture's value is
    used, unless the argument's description says otherwise.

    Args:
      architecture: A name in `ARCHITECTURES`, an `Architecture`, or its fields as a dict.
      num_classes: Number of classes; 0 for an unconditional generator.
      base_channels: Width multiplier, "ch" in the papers.
      depth: Residual blocks per stage.
      latent_dim: Size of the latent vector. With `latent_injection="split"` it must be a multiple
        of the number of blocks plus 1.
      latent_injection: "first", "split" or "all"; see `Architecture`.
      embedding_dim: Size of the class embedding that all conditional batch norms share. 0: there is
        no embedding, and every conditional batch norm has its own gains and offsets for each class.
      attention_stages: Stages, counted from 0, whose last block is followed by self-attention.
      image_channels: Channels of the images, 1 to 4.
      bottom_size: (height, width) of the first feature map. The architecture's `scale` times this
        size is the size of the images.
      spectral_norm: Whether kernels are spectrally normalised. Use False for kernels that are
        already divided by sigma.
      sn_epsilon: Epsilon of the spectral norm.
      initializer: Initial kernels: "ortho", "n02" or "glorot". Biases start at 0.
      bn_epsilon: Epsilon of the conditional batch norms.
      output_bn_epsilon: Epsilon of the last batch norm; None for `bn_epsilon`.
      bn_momentum: Weight of the old value when running statistics are updated.
      bn_synchronized: Whether batch statistics are taken over all replicas.
      num_statistics: Number of rows in every table of batch-norm statistics, one for each
        truncation. Training needs 1 row.
      seed: Integer for reproducible initial values; None for random ones.
      **kwargs: Arguments of `keras.Model`, such as `dtype` and `name`.

    Call arguments:
      z: Latent vectors [N, latent_dim], already truncated.
      labels: Class indices [N], class weights [N, num_classes], or None if unconditional.
      truncation: Scalar or [N] in (0, 1]. If the tables of batch-norm statistics have several rows,
        it selects the statistics, which are interpolated between rows. None counts as 1.
      training: Whether batch statistics are used, and the running statistics and the vectors u of
        the spectral norm are updated.

    Raises:
      ValueError: An argument is out of range, or inputs do not fit the network.
    """

    side = "generator"

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
        super().__init__(locals(), **kwargs)
        self._check_latent_arguments()
        self.factory = self.create_factory(
            bn_epsilon=self.bn_epsilon,
            bn_momentum=self.bn_momentum,
            bn_synchronized=self.bn_synchronized,
            num_statistics=self.num_statistics,
            condition=self._condition_kind(),
            num_classes=self.num_classes,
        )
        self._create_layers()
        self.build()

    def _check_latent_arguments(self):
        checks.require_choice("latent_injection", self.latent_injection, LATENT_INJECTIONS)
        checks.require_integer("embedding_dim", self.embedding_dim, 0)
        checks.require(
            self.embedding_dim > 0 or self.num_classes == 0 or self.latent_injection == "first",
            "`embedding_dim` 0 needs `latent_injection` 'first', because the other values"
            " join z to a class embedding",
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
        # Keras lists the variables in the order in which these attributes are set.
        specs = generator_blocks(
            self.architecture, self.base_channels, self.depth, self.attention_stages
        )
        has_embedding = self.num_classes > 0 and self.embedding_dim > 0
        self.latent_plan = LatentPlan(
            self.latent_injection,
            self.latent_dim,
            self.embedding_dim if has_embedding else 0,
            len(specs),
        )
        # The shared embedding has no spectral norm, because spectral norm on it sometimes cripples
        # the generator (BigGAN-PyTorch, BigGAN.py).
        self.class_embedding = (
            self.factory.plain_embedding(
                self, "class_embedding", self.num_classes, self.embedding_dim
            )
            if has_embedding
            else None
        )
        self.bottom_channels = specs[0].in_channels
        pixels = self.bottom_size[0] * self.bottom_size[1]
        self.first = self.factory.dense(self, "first", pixels * self.bottom_channels)
        self.create_trunk(specs)
        self.output_norm = self.factory.plain_batch_norm(
            self, "output_norm", self.output_bn_epsilon
        )
        self.to_image = self.factory.conv(self, "to_image", self.image_channels, 3)

    def create_block(self, index):
        return BLOCKS[self.architecture.variant](**self.block_settings(index))

    def build(self, z_shape=None, labels_shape=None):
        if self.class_embedding is not None:
            self.class_embedding.build()
        self.first.build((None, self.latent_plan.first_dim))
        shape = (None, *self.bottom_size, self.bottom_channels)
        shape = self.build_trunk(shape, (None, self.latent_plan.condition_dim))
        self.output_norm.build(shape)
        self.to_image.build(shape)

    def __call__(self, z, labels=None, truncation=None, **kwargs):
        # Keras accepts only tensors as positional arguments and does not convert lists.
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
        """Returns the class embeddings [N, embedding_dim] of labels, as input of `synthesize`.

        A generator without a class embedding (`embedding_dim` 0) returns the labels.

        Args:
          labels: Class indices [N] or class weights [N, num_classes].
        """
        labels = ops.convert_to_tensor(from_list("labels", labels))
        check_labels(labels, self.num_classes, None)
        return labels if self.class_embedding is None else self.class_embedding(labels)

    def synthesize(self, z, embeddings=None, truncation=None, training=False):
        """Returns images [N, H, W, C] from latent vectors and class embeddings.

        Args:
          z: Latent vectors [N, latent_dim].
          embeddings: The result of `embed`, or other vectors [N, embedding_dim], such as means of
            embeddings; None for an unconditional generator.
          truncation, training: See the call arguments of `Generator`.
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
        layers = zip(self.blocks_with_attention(), conditions, strict=True)
        for (block, attention), condition in layers:
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
            f"this generator needs `embeddings` [N, {self.embedding_dim}]; `embed` computes"
            " them from labels",
            embeddings=embeddings,
        )
        embeddings = ops.convert_to_tensor(embeddings)
        check_float("embeddings", embeddings, (self.embedding_dim,), batch_size)
        return embeddings

    def _table_position(self, truncation):
        if truncation is None or self.num_statistics == 1:
            return None
        return table_position(truncation, self.num_statistics)
