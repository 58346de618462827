"""Generated images as an image set. The random numbers of image i depend on the seed and i only."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.seeds_and_truncations import MAX_SEED
from tf_biggan.data.label_distribution import LabelDistribution
from tf_biggan.evaluation.features.image_sets import ImageSet
from tf_biggan.files.json_files import folder_sha256, key_of
from tf_biggan.files.png import to_uint8
from tf_biggan.generation.image_maker import BATCH_NORMS, ImageMaker
from tf_biggan.generation.latents import check_truncation
from tf_biggan.generation.latents import labels as sampled_labels
from tf_biggan.generation.standing_statistics import (
    STANDING_BATCH_SIZE,
    STANDING_BATCHES,
    STANDING_SEED,
    STANDING_START,
)
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path

LABEL_SAMPLINGS = ("uniform", "balanced", "data")
OF_SOFT_LABELS = "Labels of generated images are sampled from the reference's soft labels."
# Arguments of a generator that do not change its images once its weights are set.
UNSEEN_ARGUMENTS = ("name", "seed", "initializer", "bn_momentum", "bn_synchronized", "trainable")


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How images are sampled from a generator.

    Attributes:
      num_images: Number of images.
      seed: Seed of latents and labels.
      truncation: Truncation of the latents; None for N(0, I).
      truncation_mode: Meaning of the truncation, see `tf_biggan.generation.latents`.
      bn: Batch-norm statistics, see `tf_biggan.generation.image_maker.ImageMaker`.
      label_sampling: "uniform", "balanced" (image i has class i modulo the number of classes) or
        "data" (class frequencies of the reference). If the reference has soft labels, "uniform" and
        "data" sample from these labels, see `LabelDistribution`.
    """

    num_images: int
    seed: int = 0
    truncation: float | None = None
    truncation_mode: str = "scale"
    bn: str = "table"
    label_sampling: str = "uniform"

    def __post_init__(self):
        checks.require_integer("num_images", self.num_images, 1, STANDING_START)
        checks.require_integer("seed", self.seed, 0, MAX_SEED)
        check_truncation(self.truncation, self.truncation_mode)
        checks.require_choice("bn", self.bn, BATCH_NORMS)
        checks.require_choice("label_sampling", self.label_sampling, LABEL_SAMPLINGS)


class GeneratedImages(ImageSet):
    """The images that a generator makes for a `Sampling`.

    Args:
      generator: A `Generator` or a `SavedModelGenerator`. If the strategy has several replicas,
        the generator must have been created in its scope.
      sampling: The number of images and the way in which they are sampled.
      strategy: Distribution strategy whose replicas make the images.
      batch_size: Number of images that one replica makes at a time.
      model: JSON values that describe the model, such as its path.
      class_names: One name for each class, or empty.
      label_counts: Number of reference images of each class, [num_classes]; needed if
        `sampling.label_sampling` is "data" and there are no soft labels.
      soft_labels: Soft labels of the reference images, [n, num_classes], or None.
      trains: Whether the generator is being trained. If so, its weights are not hashed, and the
        features of its images are not cached.

    Attributes:
      labels: Class of every image, int32 [N], or None for a generator without classes. For a soft
        label, the class of the greatest weight.

    Raises:
      ValueError: The model does not support `sampling.bn`, or `label_counts` is needed and does not
        have one number for each class.
    """

    def __init__(
        self,
        generator,
        sampling: Sampling,
        strategy: tf.distribute.Strategy,
        batch_size: int,
        model: Mapping[str, object],
        class_names: tuple[str, ...] = (),
        label_counts: np.ndarray | None = None,
        soft_labels: np.ndarray | None = None,
        trains: bool = False,
    ):
        self._sampling = sampling
        self._distribution = _distribution(
            generator.num_classes, sampling, label_counts, soft_labels
        )
        self._maker = ImageMaker(
            generator,
            bn=sampling.bn,
            truncation_mode=sampling.truncation_mode,
            batch_size=batch_size,
            strategy=strategy,
            path=model.get("path"),
        )
        self.name = "generated images"
        self.count = sampling.num_images
        self.image_shape = (*generator.image_size, generator.image_channels)
        self.labels, self._network_labels = self._sampled_labels()
        self.class_names = class_names
        if self._distribution is not None and self._distribution.weights is not None:
            self.notes = (OF_SOFT_LABELS,)
        self.cached = not trains
        self.by_index = True
        self.description = {
            "images": "generated",
            "count": self.count,
            "resolution": list(self.image_shape),
            "model": dict(model),
            **_description(sampling, batch_size),
        }
        if not trains:
            sha256 = weights_sha256(generator)
            self.recipe = key_of(self.description | {"model": sha256}, *_values(self._distribution))
            self.description["model"]["sha256"] = sha256

    def batches(self, size):
        pending = np.zeros((0, *self.image_shape), np.uint8)
        for images in self._maker.sampled_batches(
            self._sampling.seed,
            np.arange(self.count),
            self._network_labels,
            self._sampling.truncation,
        ):
            pending = np.concatenate([pending, to_uint8(images)])
            while len(pending) >= size:
                yield pending[:size]
                pending = pending[size:]
        if len(pending):
            yield pending

    def take(self, numbers: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Returns images of given latent vectors and classes, uint8 [N, H, W, C].

        Args:
          numbers: Numbers of the images whose latent vectors are taken, integers [N].
          labels: Classes [N], or None if the generator is unconditional.
        """
        sampling = self._sampling
        batches = self._maker.sampled_batches(sampling.seed, numbers, labels, sampling.truncation)
        return np.concatenate([to_uint8(batch) for batch in batches])

    def _sampled_labels(self):
        """Returns the class of every image, and the label that the generator receives for it.

        Both are None if the generator is unconditional.
        """
        if self._distribution is None:
            return None, None
        indices, probabilities = np.arange(self.count), self._distribution.probabilities
        if self._sampling.label_sampling == "balanced":
            numbers = indices % len(probabilities)
        else:
            numbers = sampled_labels(self._sampling.seed, indices, probabilities).numpy()
        return self._distribution.classes(numbers), self._distribution.labels(numbers)


def weights_sha256(generator) -> str:
    """Returns the SHA-256 of a generator's configuration and weights, or of a SavedModel's files.

    Args:
      generator: A `Generator` or a `SavedModelGenerator`.
    """
    if not isinstance(generator, Generator):
        return folder_sha256(generator.path)
    config = {k: v for k, v in generator.get_config().items() if k not in UNSEEN_ARGUMENTS}
    digest = hashlib.sha256(key_of(config).encode())
    for name, variable in sorted(variables_by_path(generator).items()):
        array = np.ascontiguousarray(np.asarray(variable))
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _distribution(
    num_classes, sampling: Sampling, label_counts, soft_labels
) -> LabelDistribution | None:
    """Returns the distribution of the labels; None for an unconditional generator."""
    if num_classes == 0:
        return None
    if soft_labels is not None and sampling.label_sampling != "balanced":
        return LabelDistribution.of_soft_labels(soft_labels, sampling.label_sampling)
    if sampling.label_sampling != "data":
        return LabelDistribution.of_counts(np.ones(num_classes), "uniform")
    checks.require(
        label_counts is not None and len(label_counts) == num_classes,
        "--label_sampling=data needs a reference with the classes of the model; use another"
        " --label_sampling or --reference",
        classes=num_classes,
        reference_classes=None if label_counts is None else len(label_counts),
    )
    return LabelDistribution.of_counts(label_counts, "data")


def _values(distribution: LabelDistribution | None) -> tuple:
    """Returns JSON values that identify a distribution."""
    if distribution is None:
        return (None,)
    probabilities = distribution.probabilities.tolist()
    if distribution.weights is None:
        return (probabilities,)
    return probabilities, hashlib.sha256(distribution.weights.tobytes()).hexdigest()


def _description(sampling: Sampling, batch_size: int) -> dict:
    described = {
        "seed": sampling.seed,
        "truncation": sampling.truncation,
        "truncation_mode": None if sampling.truncation is None else sampling.truncation_mode,
        "bn": sampling.bn,
        "label_sampling": sampling.label_sampling,
        "quantisation": "floor(127.5 (x + 1) + 0.5)",
    }
    if sampling.bn == "batch":
        described["bn_batch_size"] = batch_size
    if sampling.bn in ("batch", "standing"):
        # Seed and first index of the images from which standing statistics are computed, or that
        # fill the last batch if the statistics are those of each batch.
        described["standing_start"] = [STANDING_SEED, STANDING_START]
    if sampling.bn == "standing":
        described["standing_batches"] = [STANDING_BATCHES, STANDING_BATCH_SIZE]
    return described
