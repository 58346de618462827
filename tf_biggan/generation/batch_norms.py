"""A generator's images with the statistics that its batch norms are asked to use."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.devices.replica_map import ReplicaMap
from tf_biggan.generation.standing_statistics import copy_generator, with_standing_statistics
from tf_biggan.networks.generator import Generator

BATCH_NORMS = ("running", "batch", "standing")
STANDING_BATCHES = 100
STANDING_BATCH_SIZE = 64
# Latents of standing statistics come from indices that no image has.
STANDING_START = 1 << 30


class GeneratorMap:
    """Maps rows of latents and labels to images, in batches of exactly one size.

    Args:
      generator: a `Generator`, or a `SavedModelGenerator` with its running statistics only. Of the
        strategy, where that has several replicas.
      strategy: whose replicas make the images.
      batch_size: images of one replica at a time.
      bn: one of `BATCH_NORMS`: "running" (the model's own, of the truncation where it has a table),
        "batch" (those of every batch of one replica) or "standing" (means over many batches).
      standing_inputs: for "standing": latents and labels, (z [n, latent_dim], labels [n] or None),
        of indices [n].

    Attributes:
      rows: how many images all replicas make at a time.

    Raises:
      ValueError: the model cannot do what is asked for.
    """

    def __init__(
        self,
        generator,
        strategy: tf.distribute.Strategy,
        batch_size: int,
        bn: str = "running",
        standing_inputs: Callable[[np.ndarray], tuple] | None = None,
    ):
        check_batch_norms(generator, bn)
        with strategy.scope():
            self._generator = _prepared(generator, bn, standing_inputs)
        self._training = bn == "batch"
        self._map = ReplicaMap(strategy, self._forward, batch_size)
        self.rows = self._map.rows
        # Of a forward pass with the statistics of the batch, u and the running statistics move.
        moved = self._generator.non_trainable_variables if self._training else ()
        self._stored = [(variable, np.asarray(variable)) for variable in moved]

    def __call__(
        self, z: np.ndarray, labels: np.ndarray | None = None, truncation: float | None = None
    ) -> np.ndarray:
        """Images of up to `rows` latents, float32 [n, H, W, C] in [-1, 1].

        Args:
          z: [n, latent_dim], already truncated.
          labels: [n], or class weights [n, num_classes]; None if unconditional.
          truncation: for the table of statistics; None for 1.
        """
        truncation = np.full(len(z), 1.0 if truncation is None else truncation, np.float32)
        images = self._map(z, truncation, *(() if labels is None else (labels,)))
        for variable, value in self._stored:
            variable.assign(value)
        return images

    def _forward(self, z, truncation, labels=None):
        if self._training:
            return self._generator(z, labels, training=True)
        # One for all: a SavedModel need not take one for every image.
        return self._generator(z, labels, truncation=truncation[0])


def check_batch_norms(generator, bn: str, model: str | None = None) -> None:
    """Raises ValueError unless the generator can use these statistics; `model` is its path."""
    checks.require_choice("bn", bn, BATCH_NORMS)
    checks.require(
        bn == "running" or isinstance(generator, Generator),
        "only a run or a converted model can have its statistics taken anew",
        bn=bn,
        model=model,
    )


def _prepared(generator, bn, standing_inputs):
    if bn == "running":
        return generator
    if bn == "batch":
        # A batch of one replica has its own moments, so that replicas change nothing.
        return copy_generator(generator, bn_synchronized=False, num_statistics=1)
    return with_standing_statistics(generator, _standing_batches(standing_inputs))


def _standing_batches(inputs) -> Iterator[tuple]:
    for number in range(STANDING_BATCHES):
        start = STANDING_START + number * STANDING_BATCH_SIZE
        yield inputs(np.arange(start, start + STANDING_BATCH_SIZE))
