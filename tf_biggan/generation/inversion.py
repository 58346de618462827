"""Inversion: finds the latents and class of a given image by gradient descent.

The generator does not change. `write_inverted` stores the result as an .npz file, which
interpolations accept as an end point.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.terminal import Progress
from tf_biggan.files.array_files import read_npz
from tf_biggan.files.atomic import replaced
from tf_biggan.files.json_files import parse_json
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.generation.latents import SCALED_LIMIT, latents_of_seeds

ENDING = ".npz"
FORMAT = "tf_biggan inverted image"
CLASS_ARRAYS = ("class_weights", "embedding")
# The pixel loss compares full images and images averaged over squares with these sides.
POOLED_SIDES = (2, 4, 8)
# One value of N(0, 1) in sixteen thousand has a larger absolute value.
UNTRUNCATED_LIMIT = 4.0
# Weight of the mean square of z in the loss. For comparison: at 40 dB, the mean square error of
# pixels in [-1, 1] is 4e-4.
PRIOR_WEIGHT = 1e-5
# Random candidates per start; the candidates closest to the image become the starts.
CANDIDATES = 16
# Initial weight of a start's class if the class is unknown.
FIRST_CLASS_WEIGHT = 0.9
DECIBELS_EVERY = 10


@dataclasses.dataclass(frozen=True)
class InvertedImage:
    """Content of the file that describes an inverted image.

    Attributes:
      z: Latents, float32 [latent_dim].
      class_weights: Weights of the mixture of classes, float32 [num_classes]; None if the model has
        no classes.
      embedding: Embedding of the mixture, see `ImageMaker.embeddings`, float32; None if the model
        has no classes.
      truncation: Truncation at which the generator's table of statistics is read.
      psnr: Peak signal-to-noise ratio of the reconstruction in dB.
      description: JSON values by name: model, hash of its weights, image and settings.
    """

    z: np.ndarray
    class_weights: np.ndarray | None
    embedding: np.ndarray | None
    truncation: float
    psnr: float
    description: Mapping[str, object]


def write_inverted(path: str, found: InvertedImage) -> None:
    """Writes an inverted image as .npz. An interrupted write leaves no incomplete file."""
    arrays = {
        "z": found.z,
        "psnr": np.float64(found.psnr),
        "truncation": np.float64(found.truncation),
        "description": np.array(json.dumps({"format": FORMAT, **found.description})),
    }
    class_arrays = {name: getattr(found, name) for name in CLASS_ARRAYS}
    arrays |= {name: array for name, array in class_arrays.items() if array is not None}
    with replaced(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_inverted(path: str) -> InvertedImage:
    """Reads a file of `write_inverted` without executing anything in it.

    Raises:
      ValueError: The file does not exist, is damaged or was not written by `invert`.
    """
    arrays = read_npz(path)
    description = _description(arrays, path)
    checks.require(
        description.pop("format", None) == FORMAT and _has_values(arrays),
        f"an end point that ends in {ENDING} must be a file that `invert` wrote",
        endpoints=path,
    )
    return InvertedImage(
        np.asarray(arrays["z"], np.float32),
        *(arrays.get(name) for name in CLASS_ARRAYS),
        float(arrays["truncation"]),
        float(arrays["psnr"]),
        description,
    )


def _has_values(arrays) -> bool:
    """Returns whether z, psnr and truncation exist as floats with the right numbers of axes."""
    axes = {name: array.ndim for name, array in arrays.items() if array.dtype.kind == "f"}
    return (axes.get("z"), axes.get("psnr"), axes.get("truncation")) == (1, 0, 0)


def _description(arrays, path) -> dict[str, object]:
    try:
        return parse_json(str(arrays.get("description")), path)
    except ValueError:
        return {}


# Maps images [N, H, W, C] in [0, 255] to features [N, D].
FeatureFunction = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Descent:
    """Settings of the gradient descent.

    Attributes:
      num_starts: Number of starts (initial latents and classes) that are optimised in parallel.
      num_steps: Number of Adam steps.
      seed: Seed of the random candidates. The best candidates become the starts.
      learning_rate: Learning rate of the first step; it decays to 0 along a cosine.
      feature_weight: Weight of the squared feature distance in the loss; the distance is relative
        to the squared length of the target's features.
      truncation: Truncation of the initial latents; None for N(0, I). The optimisation clips the
        latents to the range of the truncation or, without a truncation, to [-4, 4].
      mode: Meaning of the truncation, see `tf_biggan.generation.latents`.
      statistics: Truncation at which the generator's table of statistics is read.
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
        """Largest absolute value of a component of z."""
        if self.truncation is None:
            return UNTRUNCATED_LIMIT
        return self.truncation * (SCALED_LIMIT if self.mode == "scale" else 1.0)


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """Best result over all starts and steps, by pixel error.

    Attributes:
      z: Latents, float32 [latent_dim].
      embedding: Class embedding, float32 [E]; None if the model has no classes.
      class_weights: Class weights of the embedding, float32 [num_classes]; None if the model has no
        classes.
      image: Generated image, float32 [H, W, C] in [-1, 1].
      psnr: Peak signal-to-noise ratio of the generated image in dB.
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
) -> Reconstruction:
    """Finds latents and a class whose generated image is most similar to `target`.

    The loss is the sum of the mean square error of pixels at several scales, the weighted feature
    distance and a small penalty on z. Each start has a fixed class from `labels`. If `labels` is
    None, the class is optimised as well, as a softmax over all classes that mixes their embeddings.
    At first, the softmax gives most weight to the class with which the start was chosen.

    Args:
      maker: `ImageMaker` of the generator.
      target: Image to find, float32 [H, W, C] in [-1, 1].
      descent: Settings of the gradient descent.
      labels: Possible classes of the image; None if the class is unknown.
      features: Feature extractor of the loss; None for pixels only.

    Raises:
      ValueError: Gradients do not reach z, the class or the images, for example because a
        SavedModel was saved without them.
    """
    search = _Search(maker, target, descent, labels, features)
    progress = Progress("Inverting", descent.num_steps, unit="steps", rate_unit="steps")
    for step in range(descent.num_steps):
        search.update()
        note = "" if step % DECIBELS_EVERY else f"PSNR {search.best_psnr():.1f} dB"
        progress.add(1, note)
    progress.close()
    return search.best()


def psnr(images: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns the peak signal-to-noise ratio of each image in dB, float64 [...].

    Args:
      images: Images [..., H, W, C] in [-1, 1].
      target: Image [H, W, C] in [-1, 1] with which the images are compared.
    """
    square = np.mean((np.float64(images) - target) ** 2, axis=(-3, -2, -1))
    return 10.0 * np.log10(4.0 / np.maximum(square, 1e-12))


class _Search:
    """Variables of all starts, and the optimisation step that updates them."""

    def __init__(self, maker, target, descent, labels, features):
        self._maker, self._descent, self._features = maker, descent, features
        self._target = tf.constant(target[None], tf.float32)
        self._statistics = np.float32(descent.statistics)
        generator = maker.generator
        self._free = generator.num_classes > 0 and labels is None
        # Embeddings of all classes. Each start uses a weighted mean of them.
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
        # The best values of each start, by mean square pixel error, are kept, because a step that
        # is too long can make the result worse.
        self._least = tf.Variable(tf.fill([descent.num_starts], np.float32(np.inf)))
        self._kept = [tf.Variable(variable, trainable=False) for variable in self._values()]

    def update(self) -> None:
        self._step()

    def best_psnr(self) -> float:
        """Returns the PSNR of the best start, measured before its last step."""
        return 10.0 * math.log10(4.0 / np.clip(float(tf.reduce_min(self._least)), 1e-12, 1e12))

    def best(self) -> Reconstruction:
        candidates = [self._reconstructed(*values) for values in (self._kept, self._values())]
        return max(candidates, key=lambda candidate: candidate.psnr)

    def _values(self):
        """Returns z of all starts and, if the model has classes, their class logits."""
        return [self._z] if self._classes is None else [self._z, self._classes]

    def _reconstructed(self, z, classes=None) -> Reconstruction:
        weights = None if classes is None else self._class_weights(classes).numpy()
        embeddings = None if weights is None else weights @ self._table
        images = self._maker.images(z.numpy(), truncation=self._statistics, embeddings=embeddings)
        values = np.nan_to_num(psnr(images, self._target[0].numpy()), nan=-np.inf)
        best = int(np.argmax(values))
        return Reconstruction(
            z.numpy()[best],
            None if embeddings is None else embeddings[best],
            None if weights is None else weights[best],
            images[best],
            float(values[best]),
        )

    def _first(self, labels):
        """Returns (z, labels) of the random candidates whose images are closest to the target."""
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
        progress = Progress("Choosing starts", count)
        losses = []
        for images in self._maker.batches(z, truncation=self._statistics, embeddings=embeddings):
            losses.append(_pixel_loss(images, self._target).numpy())
            progress.add(len(images))
        progress.close()
        nearest = np.argsort(np.concatenate(losses), kind="stable")[: descent.num_starts]
        return z[nearest], None if of_candidates is None else of_candidates[nearest]

    def _checked_features(self):
        """Returns the features of the target, [1, D].

        Raises:
          ValueError: Gradients do not reach the images.
        """
        images = self._bytes(self._target)
        with tf.GradientTape() as tape:
            tape.watch(images)
            found = self._features(images)
        checks.require(
            tape.gradient(found, images) is not None,
            "gradients cannot pass through this feature extractor; use another one or"
            " --extractor=none",
            features=found.shape.as_list(),
        )
        return found

    def _class_scores(self, labels) -> np.ndarray:
        """Returns initial class logits [starts, num_classes]; known classes are one-hot."""
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
            "gradients cannot pass through this model; use a run, a converted model or an export of"
            " this package",
            model=type(self._maker.generator).__name__,
        )
        self._keep(tf.reduce_mean((images - self._target) ** 2, axis=(1, 2, 3)))
        gradients[0] += 2.0 * PRIOR_WEIGHT / self._z.shape[1] * self._z
        self._optimizer.apply(gradients, self._variables)
        limit = self._descent.limit
        self._z.assign(tf.clip_by_value(self._z, -limit, limit))

    def _keep(self, squares):
        """Keeps the values of each start whose pixel error is smaller than ever before."""
        better = squares < self._least
        self._least.assign(tf.where(better, squares, self._least))
        for kept, value in zip(self._kept, self._values(), strict=True):
            kept.assign(tf.where(better[:, None], value, kept))

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
        """Returns images in [0, 255], the range that feature extractors expect."""
        return 127.5 * (images + 1.0)


def _pixel_loss(images, target) -> tf.Tensor:
    """Returns the mean square error [N] of images [N, H, W, C], averaged over several scales."""
    difference = tf.cast(images, tf.float32) - target
    height, width = target.shape[1:3]
    parts = [tf.reduce_mean(difference**2, axis=(1, 2, 3))]
    for side in POOLED_SIDES:
        if min(height, width) >= 2 * side:
            pooled = tf.nn.avg_pool2d(difference, side, side, "SAME")
            parts.append(tf.reduce_mean(pooled**2, axis=(1, 2, 3)))
    return tf.add_n(parts) / len(parts)
