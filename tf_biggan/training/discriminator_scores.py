"""Scores of the discriminator for training, held-out and generated images.

A discriminator that has learned what real images look like gives held-out images the same scores as
training images. If it has memorised the training images, it gives held-out images lower scores.

Source: paper, section 4.2, which compares the accuracy for training and validation images of
ImageNet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from tf_biggan.data.decoding import to_model_range
from tf_biggan.data.label_distribution import LabelDistribution
from tf_biggan.data.source import Source
from tf_biggan.devices.strategy import ReplicaMap
from tf_biggan.evaluation.features.image_sets import SourceImages
from tf_biggan.generation.latents import labels as sampled_labels
from tf_biggan.generation.latents import latents
from tf_biggan.training.state import TrainState

KINDS = ("train", "held_out", "generated")
SCORES = tuple(f"d_score_{kind}" for kind in KINDS)
ACCURACIES = tuple(f"d_accuracy_{kind}" for kind in KINDS)
# Number of images of each kind. If there are fewer, all of them are used.
NUM_IMAGES = 1000
BATCH_SIZE = 64
# A larger difference between the accuracies of training and held-out images counts as a sign of
# memorisation. In the paper, the accuracies differ by more than 0.4.
LARGE_GAP = 0.2


class DiscriminatorScores:
    """Computes the discriminator's mean logit and accuracy for three kinds of images.

    The kinds are training images, held-out images and generated images. Every evaluation uses the
    same real images, spread evenly over the data, and the same latent vectors: up to `NUM_IMAGES`
    of each kind. Images are neither mirrored nor augmented. Generated images come from the
    generator itself, not from its moving average, because the discriminator is trained against the
    generator itself. Both networks run in inference mode, so that no variable changes.

    Args:
      state: The state of the run.
      training, held_out: The training images and the held-out images.
      strategy: The strategy whose replicas run the networks.
      seed: Seed of the latent vectors.
      labels: Distribution of the labels of generated images; None if unconditional.
    """

    def __init__(
        self,
        state: TrainState,
        training: Source,
        held_out: Source,
        strategy: tf.distribute.Strategy,
        seed: int,
        labels: LabelDistribution | None,
    ):
        generator, discriminator = state.generator, state.discriminator
        shape = generator.image_size, generator.image_channels
        sources = {"train": training, "held_out": held_out}
        self._images = {
            kind: SourceImages(source, *shape, NUM_IMAGES) for kind, source in sources.items()
        }
        self._labels = {
            kind: sources[kind].training_labels[images.indices]
            for kind, images in self._images.items()
        }
        self._conditional = labels is not None
        numbers = np.arange(NUM_IMAGES)
        self._latents = latents(seed, numbers, generator.latent_dim).numpy()
        if self._conditional:
            numbers = sampled_labels(seed, numbers, labels.probabilities).numpy()
            self._labels["generated"] = labels.labels(numbers)

        def of_images(images, *labels):
            return discriminator(to_model_range(images), *labels, training=False)

        def of_latents(z, *labels):
            images = generator(z, *labels, training=False)
            return discriminator(images, *labels, training=False)

        self._of_images = ReplicaMap(strategy, of_images, BATCH_SIZE)
        self._of_latents = ReplicaMap(strategy, of_latents, BATCH_SIZE)

    def scores(self) -> dict[str, float]:
        """Returns the mean logits and the accuracies by name; see `SCORES` and `ACCURACIES`.

        For real images, the accuracy is the share of images with a logit above 0; for generated
        images, it is the share with a logit below 0. The accuracy has no meaning for losses that
        do not separate real and generated images at the logit 0, such as wasserstein.
        """
        rows = self._of_images.rows
        logits = {
            kind: self._logits(kind, self._of_images, images.batches(rows))
            for kind, images in self._images.items()
        }
        z = (self._latents[start : start + rows] for start in range(0, NUM_IMAGES, rows))
        logits["generated"] = self._logits("generated", self._of_latents, z)
        right = {kind: values > 0 for kind, values in logits.items()}
        right["generated"] = logits["generated"] < 0
        means = {f"d_score_{kind}": float(values.mean()) for kind, values in logits.items()}
        return means | {f"d_accuracy_{kind}": float(hits.mean()) for kind, hits in right.items()}

    def _logits(self, kind, function, batches) -> np.ndarray:
        """Returns the logits, float64 [N], of batches of images or latents."""
        found, start = [], 0
        for batch in batches:
            end = start + len(batch)
            labels = [self._labels[kind][start:end]] if self._conditional else []
            found.append(function(batch, *labels))
            start = end
        return np.concatenate(found).astype(np.float64)


def describe_scores(values: Mapping[str, float]) -> Iterator[str]:
    """Yields a line with the scores, and a second line if they are a sign of memorisation.

    Args:
      values: The result of `DiscriminatorScores.scores`.
    """
    scores = ", ".join(f"{values[name]:.3g}" for name in SCORES)
    accuracies = ", ".join(f"{values[name]:.1%}" for name in ACCURACIES)
    yield (
        "Discriminator on training, held-out and generated images: mean logit"
        f" {scores}; accuracy {accuracies}"
    )
    training, held_out = (values[name] for name in ACCURACIES[:2])
    if training - held_out > LARGE_GAP:
        yield (
            f"The discriminator takes {training:.1%} of the training images for real, but only"
            f" {held_out:.1%} of the held-out images: it memorises the training images (in section"
            " 4.2 of the paper: above 98% and 50 to 55%)."
        )
