"""Images of latents and classes, each the same whatever else is made with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tf_biggan.devices.replica_map import ReplicaMap
from tf_biggan.generation import latents as truncations

# Seeds alone tell images apart: every image is the first of its seed.
INDEX = 0
BATCH_SIZE = 16


def latents_of_seeds(seeds, latent_dim: int, truncation: float | None, mode: str) -> np.ndarray:
    """z [N, latent_dim] of seeds [N]: those that an exported SavedModel draws for them.

    Raises:
      ValueError: see `tf_biggan.generation.latents.latents`.
    """
    seeds = np.asarray(seeds, np.int32)
    indices = np.full(seeds.shape, INDEX, np.int32)
    return truncations.latents(seeds, indices, latent_dim, truncation, mode).numpy()


class ImageMaker:
    """Runs a generator in inference mode, in batches of one size.

    Args:
      generator: a `Generator` or a `SavedModelGenerator`.
      batch_size: images at a time; changes no image.
    """

    def __init__(self, generator, batch_size: int = BATCH_SIZE):
        self.generator = generator
        self._map = ReplicaMap(tf.distribute.get_strategy(), self._forward, batch_size)

    def embeddings(self, labels) -> np.ndarray | None:
        """Points that may be mixed, for labels [N] or class weights [N, num_classes]: float32.

        They are class embeddings [N, embedding_dim]; of a generator with a table of gains for
        every class, the class weights; None for None.
        """
        if labels is None:
            return None
        points = np.asarray(self.generator.embed(np.asarray(labels)))
        if np.issubdtype(points.dtype, np.integer):
            points = np.eye(self.generator.num_classes)[points]
        return points.astype(np.float32)

    def batches(self, z, embeddings=None, truncation=None) -> Iterator[np.ndarray]:
        """Images of all rows in order, some at a time: float32 [n, H, W, C] in [-1, 1].

        Args:
          z: latents [N, latent_dim], already truncated.
          embeddings: what `embeddings` returns, or mixtures; None if unconditional.
          truncation: scalar or [N], for the table of statistics; None for 1.
        """
        truncation = np.broadcast_to(1.0 if truncation is None else truncation, len(z))
        rows = (np.asarray(z, np.float32), truncation.astype(np.float32))
        rows += () if embeddings is None else (np.asarray(embeddings),)
        for start in range(0, len(z), self._map.rows):
            yield self._map(*(array[start : start + self._map.rows] for array in rows))

    def images(self, z, embeddings=None, truncation=None) -> np.ndarray:
        """All images of `batches` together."""
        return np.concatenate(list(self.batches(z, embeddings, truncation)))

    def _forward(self, z, truncation, embeddings=None):
        return self.generator.synthesize(z, embeddings, truncation=truncation)
