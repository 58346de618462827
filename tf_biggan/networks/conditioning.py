"""How latents and class embeddings reach a generator's first layer and blocks."""

from __future__ import annotations

import dataclasses

from keras import ops

from tf_biggan import checks


@dataclasses.dataclass(frozen=True)
class LatentPlan:
    """Sizes of the conditioning of one generator.

    Attributes:
      injection: "first", "split" or "all"; see `architectures.Architecture`.
      latent_dim: size of z.
      embedding_dim: size of the class embedding that is joined to z; 0 for none.
      num_blocks: residual blocks.
    """

    injection: str
    latent_dim: int
    embedding_dim: int
    num_blocks: int

    def __post_init__(self):
        checks.require_integer("latent_dim", self.latent_dim, 1)
        checks.require(
            self.injection != "split" or self.latent_dim % self.num_chunks == 0,
            f"`latent_dim` must divide into {self.num_chunks} equal chunks, one for the first layer"
            f" and one for each of {self.num_blocks} blocks; {self._nearest()} would",
            latent_dim=self.latent_dim,
        )

    @property
    def num_chunks(self) -> int:
        """Chunks of z when it is split."""
        return self.num_blocks + 1

    @property
    def first_dim(self) -> int:
        """Input size of the first dense layer."""
        return {
            "first": self.latent_dim,
            "split": self.latent_dim // self.num_chunks,
            "all": self.latent_dim + self.embedding_dim,
        }[self.injection]

    @property
    def condition_dim(self) -> int:
        """Size of the vector that conditions a block's batch norms."""
        return {
            "first": self.embedding_dim,
            "split": self.latent_dim // self.num_chunks + self.embedding_dim,
            "all": self.latent_dim + self.embedding_dim,
        }[self.injection]

    def distribute(self, z, embeddings):
        """Inputs of the first layer and of every block.

        Args:
          z: latents [N, latent_dim].
          embeddings: class embeddings [N, embedding_dim]; or labels, for blocks that keep a table
            of classes; or None.

        Returns:
          (first [N, first_dim], conditions, one for each block), z before the embedding.
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
