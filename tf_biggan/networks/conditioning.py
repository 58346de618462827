"""Distributes the latent vector and the class embedding to a generator's layers."""

from __future__ import annotations

import dataclasses

from keras import ops

from tf_biggan import checks


@dataclasses.dataclass(frozen=True)
class LatentPlan:
    """Which part of the latent vector and class embedding each layer of a generator receives.

    Attributes:
      injection: "first", "split" or "all"; see `architectures.Architecture`.
      latent_dim: Size of the latent vector z.
      embedding_dim: Size of the class embedding that is joined to z; 0 for none.
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
          embeddings: Class embeddings [N, embedding_dim]; labels, for blocks with a table of
            classes; or None.

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
