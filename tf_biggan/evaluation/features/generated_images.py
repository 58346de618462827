"""Images of a generator as a set: image i is a function of the seed and of i alone."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.evaluation.features.image_sets import ImageSet
from tf_biggan.files.hashes import folder_sha256, key_of
from tf_biggan.files.png import to_uint8
from tf_biggan.generation import latents as truncation
from tf_biggan.generation.batch_norms import (
    BATCH_NORMS,
    STANDING_BATCH_SIZE,
    STANDING_BATCHES,
    STANDING_START,
    GeneratorMap,
    check_batch_norms,
)
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path

LABEL_SAMPLINGS = ("uniform", "balanced", "data")
# Arguments of a generator that do not show in its images once it has its weights.
UNSEEN_ARGUMENTS = ("name", "seed", "initializer", "bn_momentum", "bn_synchronized", "trainable")


@dataclasses.dataclass(frozen=True)
class Drawing:
    """How images are drawn from a generator.

    Attributes:
      count: how many.
      seed: of latents and labels.
      truncation: None for N(0, I).
      mode: what the truncation means, see `tf_biggan.generation.latents`.
      bn: "running" (the model's own statistics, of the truncation where it has a table), "batch"
        (those of every batch of images) or "standing" (means over 100 batches of 64).
      label_sampling: "uniform", "balanced" (class i for every image i modulo the classes) or
        "data" (as often as in the reference).
    """

    count: int
    seed: int = 0
    truncation: float | None = None
    mode: str = "scale"
    bn: str = "running"
    label_sampling: str = "uniform"

    def __post_init__(self):
        checks.require_integer("num_images", self.count, 1, STANDING_START)
        checks.require_integer("seed", self.seed, 0, truncation.MAX_SEED)
        truncation.check_truncation(self.truncation, self.mode)
        checks.require_choice("bn", self.bn, BATCH_NORMS)
        checks.require_choice("label_sampling", self.label_sampling, LABEL_SAMPLINGS)


class GeneratedImages(ImageSet):
    """What a generator makes of a `Drawing`.

    Args:
      generator: a `Generator`, or a `SavedModelGenerator` with its running statistics only. Of the
        strategy, where that has several replicas.
      drawing: how.
      strategy: whose replicas make them.
      batch_size: images of one replica at a time.
      model: JSON values that describe it.
      class_names: of the model.
      label_counts: images per class of the reference [classes], for "data".
      trains: whether the generator goes on training: then nothing about its weights is told, its
        features are not kept, and every pass over the images draws anew.

    Raises:
      ValueError: the model cannot do what is asked for.
    """

    def __init__(
        self,
        generator,
        drawing: Drawing,
        strategy: tf.distribute.Strategy,
        batch_size: int,
        model: Mapping[str, object],
        class_names: tuple[str, ...] = (),
        label_counts: np.ndarray | None = None,
        trains: bool = False,
    ):
        check_batch_norms(generator, drawing.bn, model.get("path"))
        self._generator, self._drawing, self._strategy = generator, drawing, strategy
        self._batch_size = batch_size
        self._probabilities = _probabilities(generator.num_classes, drawing, label_counts)
        self.name = "generated images"
        self.count = drawing.count
        self.image_shape = (*generator.image_size, generator.image_channels)
        self.labels = self._labels(np.arange(drawing.count))
        self.class_names = class_names
        self.cached = not trains
        self.by_index = True
        self._map = None
        self.description = {
            "images": "generated",
            "count": drawing.count,
            "resolution": list(self.image_shape),
            "model": dict(model),
            **_drawing_description(drawing, batch_size),
        }
        if not trains:
            probabilities = None if self._probabilities is None else self._probabilities.tolist()
            sha256 = weights_sha256(generator, model.get("path"))
            self.recipe = key_of(self.description | {"model": sha256}, probabilities)
            self.description["model"]["sha256"] = sha256

    def batches(self, size):
        if self._map is None:
            self._map = GeneratorMap(
                self._generator, self._strategy, self._batch_size, self._drawing.bn, self._inputs
            )
        draw = self._map
        pending = np.zeros((0, *self.image_shape), np.uint8)
        for start in range(0, self.count, draw.rows):
            inputs = self._inputs(np.arange(start, start + draw.rows))
            made = to_uint8(draw(*inputs, self._drawing.truncation))
            pending = np.concatenate([pending, made[: self.count - start]])
            while len(pending) >= size:
                yield pending[:size]
                pending = pending[size:]
        if len(pending):
            yield pending

    def _labels(self, indices):
        if self._probabilities is None:
            return None
        if self._drawing.label_sampling == "balanced":
            return (indices % len(self._probabilities)).astype(np.int32)
        return truncation.labels(self._drawing.seed, indices, self._probabilities).numpy()

    def _inputs(self, indices):
        drawing = self._drawing
        z = truncation.latents(
            drawing.seed, indices, self._generator.latent_dim, drawing.truncation, drawing.mode
        ).numpy()
        return z, self._labels(indices)


def weights_sha256(generator, path: str | None = None) -> str:
    """SHA-256 of a generator's configuration and variables, or of the files of a SavedModel."""
    if not isinstance(generator, Generator):
        return folder_sha256(path)
    config = {k: v for k, v in generator.get_config().items() if k not in UNSEEN_ARGUMENTS}
    digest = hashlib.sha256(key_of(config).encode())
    for name, variable in sorted(variables_by_path(generator).items()):
        array = np.ascontiguousarray(np.asarray(variable))
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _probabilities(num_classes, drawing, label_counts):
    if num_classes == 0:
        return None
    if drawing.label_sampling != "data":
        return np.full(num_classes, 1.0 / num_classes)
    checks.require(
        label_counts is not None and len(label_counts) == num_classes,
        "labels drawn as in the data need a reference of the model's classes",
        classes=num_classes,
        reference_classes=None if label_counts is None else len(label_counts),
    )
    return label_counts / label_counts.sum()


def _drawing_description(drawing: Drawing, batch_size: int) -> dict:
    described = {
        "seed": drawing.seed,
        "truncation": drawing.truncation,
        "truncation_mode": None if drawing.truncation is None else drawing.mode,
        "bn": drawing.bn,
        "label_sampling": drawing.label_sampling,
        "quantisation": "floor(127.5 (x + 1) + 0.5)",
    }
    if drawing.bn == "batch":
        described["bn_batch_size"] = batch_size
    if drawing.bn == "standing":
        described["standing_batches"] = [STANDING_BATCHES, STANDING_BATCH_SIZE]
        described["standing_start"] = STANDING_START
    return described
