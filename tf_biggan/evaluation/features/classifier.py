"""A small classifier that is trained on the real images, for scores without a downloaded network.

It is trained once for each combination of images, labels and settings. Afterwards it is read from
the cache.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from safetensors import SafetensorError
from safetensors.numpy import load_file

from tf_biggan import checks
from tf_biggan.cli.terminal import Progress
from tf_biggan.data.source import Source
from tf_biggan.evaluation.features.extraction import content_sha256
from tf_biggan.evaluation.features.extractors import FEATURES, LOGITS, Extractor
from tf_biggan.evaluation.features.image_sets import KEPT_BYTES, ImageSet, SourceImages
from tf_biggan.files import file_system
from tf_biggan.files.array_files import write_safetensors
from tf_biggan.files.atomic import replaced
from tf_biggan.files.json_files import field, key_of, read_json

FOLDER = "classifiers"
PREFIX = "classifier_"
VERSION = 1
LARGEST_SIDE = 64
EVALUATED_AT_ONCE = 256
# Types of the facts that are stored beside the weights.
FACTS = {"held_out_accuracy": "float", "held_out_count": "int"}


@dataclasses.dataclass(frozen=True)
class ClassifierSettings:
    """Settings of a classifier's architecture and training, which are part of its key in the cache.

    Attributes:
      channels: channels of each convolution; all but the first have stride 2.
      feature_dim: size of the penultimate layer, whose outputs are the features.
      batch_size: images per training step.
      epochs: number of passes over the images, unless `updates` requires more or fewer steps.
      updates: smallest and largest number of training steps.
      learning_rate: initial learning rate of Adam, which falls to 0 along a cosine.
      held_out: share of the images that are held out from training.
      most_held_out: largest number of images that are held out.
      shift: largest random shift of images in pixels, in each direction.
      seed: seed of weights, order, shifts and the choice of held-out images.
    """

    channels: tuple[int, ...] = (24, 48, 96)
    feature_dim: int = 64
    batch_size: int = 64
    epochs: int = 8
    updates: tuple[int, int] = (200, 4000)
    learning_rate: float = 3e-3
    held_out: float = 0.1
    most_held_out: int = 10_000
    shift: int = 2
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
      weights: arrays by variable name.
      image_shape: (height, width, channels) of the training images.
      class_names: class names in the order of the logits.
      held_out_accuracy: share of held-out real images that are classified correctly, for
        comparison with the accuracy of generated images.
      held_out_count: number of held-out images.
      key: SHA-256 of the training images, labels and settings.
      settings: architecture and training.
    """

    weights: Mapping[str, np.ndarray]
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    held_out_accuracy: float
    held_out_count: int
    key: str
    settings: ClassifierSettings

    def extractor(self) -> Extractor:
        """Returns the classifier as a feature extractor with penultimate features and logits."""
        identity = {"kind": "classifier", "version": VERSION, "sha256": self.key}

        def build():
            model = _network(self.image_shape, self.num_classes, self.settings)
            for variable in model.variables:
                variable.assign(self.weights[variable.path])
            return lambda images: dict(
                zip((FEATURES, LOGITS), model(_pixels(images), training=False), strict=True)
            )

        facts = {"held_out_accuracy": self.held_out_accuracy}
        num_features = self.weights["logits/kernel"].shape[0]
        return Extractor(
            "classifier", PREFIX, identity, build, self.num_classes, facts, num_features
        )

    @property
    def num_classes(self) -> int:
        """Number of logits."""
        return self.weights["logits/bias"].shape[0]


def classifier_of(
    images: ImageSet,
    cache: str | os.PathLike | None,
) -> Classifier:
    """Returns the classifier of labelled images, read from the cache or trained now.

    Args:
      images: images of the reference, with labels of at least two classes.
      cache: folder of the cache; None to keep nothing.

    Raises:
      ValueError: the images have no labels, or only one class.
    """
    settings = ClassifierSettings()
    checks.require(
        images.labels is not None and len(np.unique(images.labels)) > 1,
        "the classifier needs a reference with labels of at least two classes; without such"
        " labels, give --inception_weights=PATH or --extractor=PATH",
        reference=images.name,
    )
    labels = images.labels.tolist()
    key = key_of(
        VERSION,
        content_sha256(images),
        labels,
        list(images.class_names),
        dataclasses.asdict(settings),
    )
    folder = None if cache is None else os.path.join(cache, FOLDER, key)
    stored = None if folder is None else _read(folder)
    if stored is None:
        stored = _train(images, settings)
        if folder is not None:
            _store(folder, *stored)
    weights, facts = stored
    return Classifier(
        weights, tuple(images.image_shape), images.class_names, key=key, settings=settings, **facts
    )


def training_images(source: Source, reference: SourceImages) -> SourceImages:
    """Returns the images that the classifier of a reference is trained on.

    These are all images of the data source, or as many of them as fit into `KEPT_BYTES` of memory.

    Args:
      source: data source of the reference.
      reference: images of the reference, which may be a part of the source.
    """
    shape = reference.image_shape
    count = min(source.num_images, max(1, KEPT_BYTES // int(np.prod(shape))))
    if reference.count == count:
        return reference
    return SourceImages(source, shape[:2], shape[2], count)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, dict[int, float]]:
    """Returns the share of correctly classified images, over all images and by class."""
    right = logits.argmax(axis=1) == labels
    return float(right.mean()), {
        int(c): float(right[labels == c].mean()) for c in np.unique(labels)
    }


def _pixels(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def _network(image_shape, num_classes, settings) -> keras.Model:
    """Builds the model from float32 [N, H, W, C] in [-1, 1] to (features, logits)."""
    layers, seed = keras.layers, settings.seed
    height, width, _ = image_shape
    x = inputs = keras.Input(image_shape)
    shrink = max(height, width) // LARGEST_SIDE
    if shrink > 1:
        x = layers.AveragePooling2D(shrink, padding="same")(x)
    for number, channels in enumerate(settings.channels):
        x = layers.Conv2D(
            channels,
            3,
            strides=1 if number == 0 else 2,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed=seed + number),
            name=f"conv_{number}",
        )(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x))
        if number == 0:
            x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Flatten()(layers.AveragePooling2D(2, padding="same")(x))
    made = keras.initializers.GlorotUniform
    x = layers.Dense(settings.feature_dim, kernel_initializer=made(seed=seed), name="features")(x)
    x = layers.ReLU()(x)
    logits = layers.Dense(num_classes, kernel_initializer=made(seed=seed + 1), name="logits")(x)
    return keras.Model(inputs, [x, logits], name="classifier")


def _train(images: ImageSet, settings: ClassifierSettings) -> tuple[dict, dict]:
    """Trains a classifier; returns its weights by name and the facts in `FACTS`."""
    pixels = np.concatenate(list(images.batches(EVALUATED_AT_ONCE)))
    random = np.random.RandomState(settings.seed)
    order = random.permutation(images.count)
    held = max(1, min(settings.most_held_out, round(settings.held_out * images.count)))
    held_out, trained = order[:held], order[held:]
    model = _network(images.image_shape, _num_classes(images), settings)
    updates = settings.epochs * len(trained) // settings.batch_size
    updates = int(np.clip(updates, *settings.updates))
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, updates)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)
    update = _update(model, optimizer)
    progress = Progress("Training the classifier", updates * settings.batch_size)
    for rows in _batches(trained, updates, settings.batch_size, random):
        batch = _shifted(pixels[rows], settings.shift, random)
        update(tf.constant(batch), tf.constant(images.labels[rows]))
        progress.add(len(rows))
    progress.close()
    right = [
        np.asarray(model(_pixels(pixels[rows]), training=False)[1]).argmax(1) == images.labels[rows]
        for rows in np.array_split(held_out, -(-held // EVALUATED_AT_ONCE))
    ]
    facts = {"held_out_accuracy": float(np.concatenate(right).mean()), "held_out_count": held}
    return {v.path: np.asarray(v) for v in model.variables}, facts


def _num_classes(images: ImageSet) -> int:
    return max(len(images.class_names), int(images.labels.max()) + 1)


def _update(model, optimizer):
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def update(batch, labels):
        with tf.GradientTape() as tape:
            _, logits = model(_pixels(batch), training=True)
            loss = loss_of(labels, logits)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    return update


def _batches(rows: np.ndarray, updates: int, size: int, random: np.random.RandomState):
    """Yields the indices of the images of every training step, in a new random order each epoch."""
    pending = np.zeros(0, rows.dtype)
    for _ in range(updates):
        while len(pending) < size:
            pending = np.concatenate([pending, random.permutation(rows)])
        yield pending[:size]
        pending = pending[size:]


def _shifted(batch: np.ndarray, shift: int, random: np.random.RandomState) -> np.ndarray:
    """Shifts a batch by one random offset and repeats the pixels of the border."""
    height, width = batch.shape[1:3]
    padded = np.pad(batch, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    top, left = random.randint(0, 2 * shift + 1, size=2)
    return padded[:, top : top + height, left : left + width]


def _read(folder: str) -> tuple[dict, dict] | None:
    try:
        facts = read_json(os.path.join(folder, "facts.json"))
        known = {name: field(facts, name, kind, folder) for name, kind in FACTS.items()}
        with file_system.local_copy(os.path.join(folder, "weights.safetensors")) as local:
            return load_file(local), known
    except (OSError, ValueError, SafetensorError):
        return None


def _store(folder: str, weights: dict, facts: dict) -> None:
    """Writes the weights and then facts.json, because `_read` opens facts.json first."""
    # A full disk must not make the evaluation fail. For a full disk, safetensors raises an error of
    # its own.
    with contextlib.suppress(OSError, SafetensorError):
        file_system.makedirs(folder)
        for name, write in (
            ("weights.safetensors", lambda path: write_safetensors(path, weights)),
            ("facts.json", lambda path: _write_json(path, facts)),
        ):
            with replaced(os.path.join(folder, name)) as temporary:
                write(temporary)


def _write_json(path: str, content: dict) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(content))
