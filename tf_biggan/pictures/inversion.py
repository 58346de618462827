"""z and class of an image, found by gradient descent through a generator that stays as it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.progress import Progress
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.generation.latents import SCALED_LIMIT, latents_of_seeds

# Pixels are compared at full size and averaged over squares of these sides.
POOLED_SIDES = (2, 4, 8)
# N(0, 1) leaves one in sixteen thousand outside.
UNTRUNCATED_LIMIT = 4.0
# Weight of the mean square of z, against the mean square of pixels in [-1, 1]. At 40 dB the latter
# is 4e-4.
PRIOR_WEIGHT = 1e-5
# Candidates for every start: the nearest ones are taken.
CANDIDATES = 16
# Of a class that a start begins with, where the class is not known.
FIRST_CLASS_WEIGHT = 0.9
DECIBELS_EVERY = 10
# How features of [N, H, W, C] in 0..255 are given to the loss: [N, D].
FeatureFunction = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Descent:
    """How an image is looked for.

    Attributes:
      num_starts: latents that descend side by side.
      num_steps: of Adam.
      seed: of the latents that are tried first.
      learning_rate: at the first step; it falls to 0 along a cosine.
      feature_weight: of the distance of features in the loss, relative to the target's features.
      truncation, mode: of the latents, which stay within what it allows; None for N(0, I).
      statistics: truncation whose row of a table of statistics is used, at most 1.
    """

    num_starts: int = 16
    num_steps: int = 500
    seed: int = 0
    learning_rate: float = 0.1
    feature_weight: float = 0.1
    truncation: float | None = None
    mode: str = "scale"
    statistics: float = 1.0

    @property
    def limit(self) -> float:
        """The largest absolute value of a component of z."""
        if self.truncation is None:
            return UNTRUNCATED_LIMIT
        return self.truncation * (SCALED_LIMIT if self.mode == "scale" else 1.0)


@dataclasses.dataclass(frozen=True)
class Found:
    """The nearest by pixels of all places that all starts have been at.

    Attributes:
      z: float32 [latent_dim].
      embedding: float32 [E], as `ImageMaker.embeddings` gives it; None without classes.
      class_weights: float32 [num_classes] that the embedding is the mean by; None without classes.
      image: float32 [H, W, C] in [-1, 1], what the generator makes of them.
      psnr: of that image, in dB.
    """

    z: np.ndarray
    embedding: np.ndarray | None
    class_weights: np.ndarray | None
    image: np.ndarray
    psnr: float


def invert(
    maker: ImageMaker,
    target: np.ndarray,
    descent: Descent,
    labels: Sequence[int] | None = None,
    features: FeatureFunction | None = None,
) -> Found:
    """The latents and the class of the image most like `target` that the descent finds.

    The loss is the mean square of pixels at several scales, that of features, and a little of z.
    Every start has a class of `labels`, and keeps it. Where none are given, starts begin with the
    classes of the nearest candidates, and class weights descend too: their softmax mixes the
    embeddings of all classes.

    Args:
      maker: of the generator.
      target: float32 [H, W, C] in [-1, 1].
      labels: classes that it can be of; None for any.

    Raises:
      ValueError: no gradient reaches z, class or images, as with files saved without.
    """
    search = _Search(maker, target, descent, labels, features)
    progress = Progress("Inverting", descent.num_steps, unit="steps", rate_unit="steps")
    for step in range(descent.num_steps):
        search.update()
        note = "" if step % DECIBELS_EVERY else f"PSNR {search.best_psnr():.1f} dB"
        progress.add(1, note)
    progress.close()
    return search.found()


def psnr(images: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of images [..., H, W, C] in [-1, 1]."""
    square = np.mean((np.float64(images) - target) ** 2, axis=(-3, -2, -1))
    return 10.0 * np.log10(4.0 / np.maximum(square, 1e-12))


class _Search:
    """Variables of all starts, and the step that moves them."""

    def __init__(self, maker, target, descent, labels, features):
        self._maker, self._descent, self._features = maker, descent, features
        self._target = tf.constant(target[None], tf.float32)
        self._statistics = np.float32(descent.statistics)
        generator = maker.generator
        self._free = generator.num_classes > 0 and labels is None
        # All classes' embeddings: a start's is a mean of them.
        self._table = maker.embeddings(
            np.arange(generator.num_classes) if generator.num_classes else None
        )
        z, of_starts = self._first(labels)
        self._z = tf.Variable(z)
        self._classes = None
        if of_starts is not None:
            self._classes = tf.Variable(self._class_scores(of_starts), trainable=self._free)
        self._variables = [self._z] + ([self._classes] if self._free else [])
        rate = keras.optimizers.schedules.CosineDecay(descent.learning_rate, descent.num_steps)
        self._optimizer = keras.optimizers.Adam(rate)
        self._optimizer.build(self._variables)
        self._target_features = None if features is None else self._checked_features()
        self._step = tf.function(self._update, autograph=False)
        # The nearest that every start has been, by the mean square of pixels: a step that is too
        # long loses nothing.
        self._least = tf.Variable(tf.fill([descent.num_starts], np.float32(np.inf)))
        self._kept = [tf.Variable(variable, trainable=False) for variable in self._places()]

    def update(self) -> None:
        self._step()

    def best_psnr(self) -> float:
        """Of the start that has been nearest by pixels, before its last step."""
        return 10.0 * math.log10(4.0 / np.clip(float(tf.reduce_min(self._least)), 1e-12, 1e12))

    def found(self) -> Found:
        candidates = [self._found(*places) for places in (self._kept, self._places())]
        return max(candidates, key=lambda found: found.psnr)

    def _places(self):
        """Where all starts are: z and, of a model with classes, class scores."""
        return [self._z] if self._classes is None else [self._z, self._classes]

    def _found(self, z, classes=None) -> Found:
        weights = None if classes is None else self._class_weights(classes).numpy()
        embeddings = None if weights is None else weights @ self._table
        images = self._maker.images(z.numpy(), truncation=self._statistics, embeddings=embeddings)
        values = np.nan_to_num(psnr(images, self._target[0].numpy()), nan=-np.inf)
        best = int(np.argmax(values))
        return Found(
            z.numpy()[best],
            None if embeddings is None else embeddings[best],
            None if weights is None else weights[best],
            images[best],
            float(values[best]),
        )

    def _first(self, labels):
        """(z, labels) of the candidates that are nearest to the target."""
        descent, generator = self._descent, self._maker.generator
        count = descent.num_starts * CANDIDATES
        random = np.random.RandomState(descent.seed)
        seeds = random.randint(0, 1 << 30, count)
        z = latents_of_seeds(seeds, generator.latent_dim, descent.truncation, descent.mode)
        of_candidates = embeddings = None
        if generator.num_classes:
            known = np.arange(generator.num_classes) if labels is None else np.asarray(labels)
            of_candidates = np.resize(random.permutation(known), count)
            embeddings = self._table[of_candidates]
        progress = Progress("Looking for starts", count)
        losses = []
        for images in self._maker.batches(z, truncation=self._statistics, embeddings=embeddings):
            losses.append(_pixel_loss(images, self._target).numpy())
            progress.add(len(images))
        progress.close()
        nearest = np.argsort(np.concatenate(losses), kind="stable")[: descent.num_starts]
        return z[nearest], None if of_candidates is None else of_candidates[nearest]

    def _checked_features(self):
        """Features of the target, [1, D]."""
        images = self._bytes(self._target)
        with tf.GradientTape() as tape:
            tape.watch(images)
            found = self._features(images)
        checks.require(
            tape.gradient(found, images) is not None,
            "gradients must reach images through the extractor; --extractor=none does without",
            features=found.shape.as_list(),
        )
        return found

    def _class_scores(self, labels) -> np.ndarray:
        """Logits whose softmax is almost the class of every start."""
        count = self._maker.generator.num_classes
        if not self._free:
            return np.eye(count, dtype=np.float32)[labels]
        odds = FIRST_CLASS_WEIGHT / (1.0 - FIRST_CLASS_WEIGHT) * max(1, count - 1)
        return np.eye(count, dtype=np.float32)[labels] * np.float32(math.log(odds))

    def _class_weights(self, classes):
        return tf.nn.softmax(classes) if self._free else classes

    def _update(self):
        with tf.GradientTape() as tape:
            embeddings = None
            if self._classes is not None:
                embeddings = self._class_weights(self._classes) @ self._table
            images = self._maker.generator.synthesize(
                self._z, embeddings, truncation=self._statistics
            )
            loss = _pixel_loss(images, self._target) + self._feature_loss(images)
        gradients = tape.gradient(loss, self._variables)
        checks.require(
            all(gradient is not None for gradient in gradients),
            "gradients must reach z and class through the model, as they do in runs, converted"
            " models and exports of this package",
            model=type(self._maker.generator).__name__,
        )
        self._keep(tf.reduce_mean((images - self._target) ** 2, axis=(1, 2, 3)))
        gradients[0] += 2.0 * PRIOR_WEIGHT / self._z.shape[1] * self._z
        self._optimizer.apply(gradients, self._variables)
        limit = self._descent.limit
        self._z.assign(tf.clip_by_value(self._z, -limit, limit))

    def _keep(self, squares):
        """Remembers every start that is nearer than it has been."""
        nearer = squares < self._least
        self._least.assign(tf.where(nearer, squares, self._least))
        for kept, place in zip(self._kept, self._places(), strict=True):
            kept.assign(tf.where(nearer[:, None], place, kept))

    def _feature_loss(self, images):
        if self._features is None:
            return 0.0
        square = tf.reduce_sum(
            (self._features(self._bytes(images)) - self._target_features) ** 2, 1
        )
        scale = tf.reduce_sum(self._target_features**2, 1)
        return self._descent.feature_weight * square / (scale + 1e-12)

    @staticmethod
    def _bytes(images):
        """Extractors see pixels from 0 to 255."""
        return 127.5 * (images + 1.0)


def _pixel_loss(images, target) -> tf.Tensor:
    """[N]: mean square of the difference [N, H, W, C], averaged over scales."""
    difference = tf.cast(images, tf.float32) - target
    height, width = target.shape[1:3]
    parts = [tf.reduce_mean(difference**2, axis=(1, 2, 3))]
    for side in POOLED_SIDES:
        if min(height, width) >= 2 * side:
            pooled = tf.nn.avg_pool2d(difference, side, side, "SAME")
            parts.append(tf.reduce_mean(pooled**2, axis=(1, 2, 3)))
    return tf.add_n(parts) / len(parts)
