"""Images of seeds and classes, with the statistics of batch norms that are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tf_biggan.cli.progress import Progress
from tf_biggan.files.png import to_uint8
from tf_biggan.generation import latents as truncations
from tf_biggan.generation.batch_norms import (
    STANDING_BATCH_SIZE,
    STANDING_BATCHES,
    STANDING_START,
    GeneratorMap,
    check_batch_norms,
)
from tf_biggan.generation.image_maker import latents_of_seeds
from tf_biggan.store.opened_model import OpenedModel

# Of latents that no seed gives, for standing statistics and to fill a batch.
OTHER_SEED = 0


class Sampler:
    """Makes images that depend on their seed, class and truncation alone, unless `bn` is "batch".

    Args:
      opened: the model.
      mode: what a truncation means, see `tf_biggan.generation.latents`.
      bn: "table", "running", "batch" or "standing".
      batch_size: images at a time.

    Attributes:
      rows: images at a time.

    Raises:
      ValueError: the model cannot do what is asked for.
    """

    def __init__(self, opened: OpenedModel, mode: str, bn: str, batch_size: int):
        self._mapped_bn = "running" if bn == "table" else bn
        check_batch_norms(opened.generator, self._mapped_bn, opened.description["path"])
        self._generator, self._mode, self._bn = opened.generator, mode, bn
        self.rows = batch_size
        self._maps: dict[float | None, GeneratorMap] = {}

    def batches(
        self, seeds: np.ndarray, conditions: np.ndarray | None, truncation: float | None
    ) -> Iterator[np.ndarray]:
        """All images in order, float32 [at most `rows`, H, W, C] in [-1, 1].

        Args:
          seeds: [N].
          conditions: labels [N], class weights [N, num_classes], or None if unconditional.
          truncation: of the latents; None for N(0, I).
        """
        draw = self._map(truncation)
        statistics = truncation if self._bn == "table" else None
        for start in range(0, len(seeds), self.rows):
            part = slice(start, start + self.rows)
            z = latents_of_seeds(seeds[part], self._generator.latent_dim, truncation, self._mode)
            given = None if conditions is None else np.asarray(conditions[part])
            count = len(z)
            if self._bn == "batch":
                z, given = self._filled(z, given, truncation)
            yield draw(z, given, statistics)[:count]

    def images(self, seeds, conditions, truncation, title: str = "Sampling") -> np.ndarray:
        """All images together, uint8 [N, H, W, C], with a progress bar."""
        progress, made = Progress(title, len(seeds)), []
        for batch in self.batches(seeds, conditions, truncation):
            made.append(to_uint8(batch))
            progress.add(len(batch))
        progress.close()
        return np.concatenate(made)

    def _map(self, truncation):
        """Only standing statistics differ from truncation to truncation."""
        key = truncation if self._bn == "standing" else None
        if key not in self._maps:
            progress = Progress("Standing statistics", STANDING_BATCHES * STANDING_BATCH_SIZE)

            def inputs(indices):
                progress.add(len(indices))
                return self._others(indices, truncation)

            self._maps[key] = GeneratorMap(
                self._generator, tf.distribute.get_strategy(), self.rows, self._mapped_bn, inputs
            )
            progress.close()
        return self._maps[key]

    def _others(self, indices, truncation):
        """Latents and labels of other images, drawn as in training."""
        z = truncations.latents(
            OTHER_SEED, indices, self._generator.latent_dim, truncation, self._mode
        ).numpy()
        classes = self._generator.num_classes
        if not classes:
            return z, None
        return z, truncations.labels(OTHER_SEED, indices, np.full(classes, 1 / classes)).numpy()

    def _filled(self, z, conditions, truncation):
        """A full batch: repetitions in it would change its statistics."""
        missing = self.rows - len(z)
        if not missing:
            return z, conditions
        more, labels = self._others(STANDING_START + np.arange(missing), truncation)
        z = np.concatenate([z, more])
        if conditions is None:
            return z, None
        if conditions.ndim == 2:
            labels = np.eye(conditions.shape[1], dtype=conditions.dtype)[labels]
        return z, np.concatenate([conditions, labels])
