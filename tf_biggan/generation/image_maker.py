"""Makes images from latents or seeds, classes, a truncation and a choice of batch-norm statistics.

Every command makes its images with `ImageMaker`, so that the same settings give the same images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.shared_settings import BATCH_NORM_STATISTICS
from tf_biggan.cli.terminal import Progress
from tf_biggan.devices.strategy import ReplicaMap, require_tensorflow
from tf_biggan.files.png import to_uint8
from tf_biggan.generation.latents import latents
from tf_biggan.generation.standing_statistics import (
    STANDING_BATCH_SIZE,
    STANDING_BATCHES,
    copy_generator,
    standing_batches,
    standing_inputs,
    with_standing_statistics,
)
from tf_biggan.networks.generator import Generator

BATCH_NORMS = tuple(BATCH_NORM_STATISTICS)
BATCH_SIZE = 16


class ImageMaker:
    """Makes images with a generator, in batches of one size.

    An image depends on its latent vector, its class, the truncation and `bn` alone, not on the
    other images of its batch. The exception is `bn="batch"`, where each batch has its own
    statistics. In this mode, an incomplete last batch is filled up with images of
    `standing_inputs`.

    Args:
      generator: A `Generator` or a `SavedModelGenerator`. If the strategy has several replicas,
        the generator must have been created in its scope.
      bn: Which statistics the batch norms use. "table": the statistics for the truncation,
        interpolated between the rows of the generator's table. "running": the row of truncation 1.
        If the table has a single row, both use this row. "batch": the statistics of each replica's
        batch. "standing": means over 100 batches of 64 images at the truncation.
      truncation_mode: Meaning of a truncation, see `tf_biggan.generation.latents`.
      batch_size: Number of images that one replica makes at a time.
      strategy: Distribution strategy whose replicas make the images. None: the current strategy.
      path: Folder of the model, for error messages.

    Attributes:
      generator: The generator.
      global_batch_size: Number of images that all replicas make at a time.

    Raises:
      ValueError: The generator does not support `bn`.
    """

    def __init__(
        self,
        generator,
        *,
        bn: str = "table",
        truncation_mode: str = "scale",
        batch_size: int = BATCH_SIZE,
        strategy: tf.distribute.Strategy | None = None,
        path: str | None = None,
    ):
        require_tensorflow("making images with a command")
        _check_batch_norms(generator, bn, path)
        self.generator, self._bn, self._mode = generator, bn, truncation_mode
        self._strategy = strategy or tf.distribute.get_strategy()
        self._batch_size = batch_size
        self.global_batch_size = batch_size * self._strategy.num_replicas_in_sync
        self._generators: dict[float | None, Generator] = {}
        self._functions: dict[tuple, ReplicaMap] = {}

    def embeddings(self, labels) -> np.ndarray | None:
        """Returns class embeddings for `batches`, which also accepts linear mixtures of them.

        Args:
          labels: Classes [N] or class weights [N, num_classes]; None returns None.

        Returns:
          Class embeddings, float32 [N, embedding_dim]. For a `SavedModelGenerator`, and for a
          generator that has tables of gains and offsets in place of embeddings, the result is class
          weights [N, num_classes].
        """
        if labels is None:
            return None
        vectors = np.asarray(self.generator.embed(np.asarray(labels)))
        if np.issubdtype(vectors.dtype, np.integer):
            vectors = np.eye(self.generator.num_classes)[vectors]
        return vectors.astype(np.float32)

    def batches(
        self, z, labels=None, truncation=None, *, embeddings: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """Yields the images of latent vectors in order, float32 [n, H, W, C] in [-1, 1].

        Args:
          z: Latents [N, latent_dim], already truncated.
          labels: Classes [N], class weights [N, num_classes], or None if unconditional.
          truncation: Truncation that `z` was sampled with, which selects the statistics: a scalar,
            or [N] if `bn` is "table" or "running"; None for no truncation.
          embeddings: Result of `embeddings`, or mixtures of its rows, in place of `labels`.
        """
        is_embedded = embeddings is not None
        conditions = embeddings if is_embedded else labels
        arrays = [np.asarray(z, np.float32)]
        if conditions is not None:
            arrays.append(np.asarray(conditions))
        statistics = np.ones(np.shape(truncation), np.float32)
        if self._bn == "table" and truncation is not None:
            statistics = np.asarray(truncation, np.float32)
        for start in range(0, len(arrays[0]), self.global_batch_size):
            part = slice(start, start + self.global_batch_size)
            batch = [array[part] for array in arrays]
            count = len(batch[0])
            if self._bn == "batch":
                batch = self._filled(batch, truncation, is_embedded)
            rows = statistics[part] if statistics.ndim else np.full(len(batch[0]), statistics)
            function = self._function(truncation, is_embedded, statistics.ndim > 0)
            yield function(batch[0], rows, *batch[1:])[:count]

    def images(self, z, labels=None, truncation=None, *, embeddings=None) -> np.ndarray:
        """Returns all images of `batches` in one array, float32 [N, H, W, C] in [-1, 1]."""
        return np.concatenate(list(self.batches(z, labels, truncation, embeddings=embeddings)))

    def sampled_batches(
        self, seeds, indices, labels=None, truncation: float | None = None
    ) -> Iterator[np.ndarray]:
        """Yields images whose latents are sampled from (seed, index), float32 [n, H, W, C].

        Args:
          seeds, indices: Integers of shape [N], or a scalar for all images. At least one of the two
            has shape [N].
          labels: Classes [N], class weights [N, num_classes], or None if unconditional.
          truncation: Truncation of the latents; None for N(0, I).
        """
        seeds, indices = np.broadcast_arrays(seeds, indices)
        for start in range(0, len(seeds), self.global_batch_size):
            part = slice(start, start + self.global_batch_size)
            z = latents(
                seeds[part], indices[part], self.generator.latent_dim, truncation, self._mode
            )
            labels_of_part = None if labels is None else labels[part]
            yield from self.batches(z.numpy(), labels_of_part, truncation)

    def _filled(self, batch, truncation, is_embedded):
        """Fills up a batch with inputs of other images, as copies would distort its statistics."""
        missing = self.global_batch_size - len(batch[0])
        if not missing:
            return batch
        more = list(standing_inputs(self.generator, np.arange(missing), truncation, self._mode))
        if len(batch) > 1 and is_embedded:
            more[1] = self.embeddings(more[1])
        elif len(batch) > 1 and batch[1].ndim == 2:
            more[1] = np.eye(batch[1].shape[1], dtype=batch[1].dtype)[more[1]]
        return [np.concatenate(pair) for pair in zip(batch, more, strict=False)]

    def _function(self, truncation, is_embedded: bool, per_image: bool) -> Callable:
        """Returns the function that maps z, truncations and any conditions of a batch to images."""
        # Only standing statistics need a network of their own for each truncation.
        which = truncation if self._bn == "standing" else None
        key = (which, is_embedded, per_image)
        if key not in self._functions:
            if which not in self._generators:
                with self._strategy.scope():
                    self._generators[which] = self._prepared(truncation)
            generator = self._generators[which]
            call = generator.synthesize if is_embedded else generator
            forward = functools.partial(_forward, call, self._bn == "batch", per_image)
            self._functions[key] = ReplicaMap(self._strategy, forward, self._batch_size)
            if self._bn == "batch":
                self._functions[key] = _restoring(self._functions[key], generator)
        return self._functions[key]

    def _prepared(self, truncation) -> Generator:
        """Returns the generator with the statistics of `bn`."""
        if self._bn == "batch":
            # Statistics of one replica, so that images do not depend on the number of replicas.
            return copy_generator(self.generator, bn_synchronized=False, num_statistics=1)
        if self._bn == "standing":
            progress = Progress("Standing statistics", STANDING_BATCHES * STANDING_BATCH_SIZE)
            sizes = {"batches": STANDING_BATCHES, "batch_size": STANDING_BATCH_SIZE}
            batches = standing_batches(self.generator, truncation, self._mode, progress, **sizes)
            generator = with_standing_statistics(self.generator, batches)
            progress.close()
            return generator
        return self.generator


def pixels_with_progress(batches: Iterable[np.ndarray], count: int, title: str) -> np.ndarray:
    """Returns images of `ImageMaker` as uint8 [count, H, W, C] and shows a progress bar."""
    progress, made = Progress(title, count), []
    for batch in batches:
        made.append(to_uint8(batch))
        progress.add(len(batch))
    progress.close()
    return np.concatenate(made)


def _check_batch_norms(generator, bn: str, path: str | None) -> None:
    checks.require_choice("bn", bn, BATCH_NORMS)
    checks.require(
        bn in ("table", "running") or isinstance(generator, Generator),
        "the batch-norm statistics of an exported SavedModel cannot be recomputed; use --bn=table"
        " or --bn=running, or give a run or a converted model",
        bn=bn,
        model=path,
    )


def _forward(call, training: bool, per_image: bool, z, truncation, conditions=None):
    if training:
        return call(z, conditions, training=True)
    # SavedModels of other authors accept a single truncation for the whole batch.
    return call(z, conditions, truncation=truncation if per_image else truncation[0])


def _restoring(function: Callable, generator: Generator) -> Callable:
    """Returns a function that calls `function` and then restores the generator's state.

    A forward pass in training mode changes the vectors u of spectral norm and the running
    statistics.
    """
    stored = [(variable, np.asarray(variable)) for variable in generator.non_trainable_variables]

    def restoring(*arrays):
        images = function(*arrays)
        for variable, value in stored:
            variable.assign(value)
        return images

    return restoring
