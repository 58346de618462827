"""Opens the parts of a comparison with real images: the images, extractors and cached features.

Every command that compares images with real images opens these parts here, so that the same flags
find the same images, extractors and cached features everywhere. The real images are called the
reference. Their classes and the classes of generated images are matched by name.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data.classes import match_classes, name_differences
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import Source
from tf_biggan.devices.hardware import slow_bfloat16
from tf_biggan.devices.strategy import of_writer, runs_on_cpu
from tf_biggan.evaluation.features.classifier import classifier_of, training_images
from tf_biggan.evaluation.features.extraction import ArrayCache, FeatureExtraction, cache_folder
from tf_biggan.evaluation.features.extractors import CLASSIFIER, Extractor, open_extractor
from tf_biggan.evaluation.features.image_sets import SourceImages
from tf_biggan.evaluation.inception.extractor import INCEPTION_DTYPES, inception_extractor
from tf_biggan.files import file_system
from tf_biggan.store.run_directory import is_run, read_config

# Folder of cached features, below the folder of the whole cache.
FEATURES_FOLDER = "features"
DEFAULT_CACHE, NO_CACHE = "default", "none"
BY_INDEX = (
    "The images or the reference have no class names. The same label is assumed to mean the same"
    " class in both."
)
BY_NAME = (
    "The images and the reference have different numbers or orders of classes. Classes are matched"
    " by name."
)


def open_real_images(
    name: str | None,
    split: str | None = None,
    data_dir: str | None = None,
    download: bool = False,
    model: str | None = None,
    tfds_split: str | None = None,
) -> Source:
    """Opens the data source of the real images that a model is compared with.

    Args:
      name: a data source such as "digits" or "tfds:cifar10", or a folder; None for the data of the
        run `model`.
      split: a split of a TensorFlow Datasets source, or a sub-folder. None means `tfds_split` for a
        TensorFlow Datasets source. If there is none either, the data of a run are read with the
        run's own split.
      data_dir: folder of prepared TensorFlow Datasets. If it is None, the data of a run are read
        from the run's folder of data sets, and other sources from the default folder.
      download: whether a missing data set of TensorFlow Datasets may be downloaded.
      model: path of the model that is compared.
      tfds_split: split of a TensorFlow Datasets source if `split` is None.

    Raises:
      ValueError: no name is given and the model is not a run, or the data do not exist.
    """

    def split_of(dataset):
        return split or (tfds_split if dataset.startswith("tfds:") else None)

    if name is not None:
        if name.endswith(".npz"):
            file_system.require_existing("reference", name, "a file of statistics")
        dataset = f"folder:{name}" if file_system.isdir(name) else name
        return open_source(dataset, split=split_of(dataset), data_dir=data_dir, download=download)
    checks.require(
        model is not None and is_run(model),
        "give the real images to compare with by --reference, because only a run records its data",
        model=model,
    )
    own = read_config(model).data
    return open_source(
        own.dataset,
        split=split_of(own.dataset) or own.split,
        data_dir=data_dir or own.data_dir,
        download=download,
    )


def cache_of(setting: str) -> str | None:
    """Returns the folder of the cache for a value of --feature_cache; None for "none"."""
    if setting == NO_CACHE:
        return None
    return cache_folder() if setting == DEFAULT_CACHE else setting


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Real images for a comparison, and settings to open and run its feature extractors.

    Attributes:
      strategy: distribution strategy; every replica runs the extractor.
      source: data source of the real images; None if only their statistics are known.
      real_images: images of the source, at the size of the images to compare; None if only
        statistics of the real images are known.
      cache: folder of cached features and classifiers; None to keep nothing.
      batch_size: images per replica in one step of an extractor.
      layer: layer or output of the user's own extractor that gives the features.
      inception_weights: path of Inception's weights; None for converted weights in the cache.
      bias: whether Inception's logits include the bias of its last layer.
    """

    strategy: tf.distribute.Strategy
    source: Source | None = None
    real_images: SourceImages | None = None
    cache: str | None = None
    batch_size: int = 64
    layer: str | None = None
    inception_weights: str | None = None
    bias: bool = False

    def classifier_images(self) -> SourceImages | None:
        """Returns the images to train the classifier on; None if there are no real images."""
        if self.source is None or self.real_images is None:
            return None
        return training_images(self.source, self.real_images)

    def extractor(self, name: str) -> Extractor:
        """Opens a feature extractor.

        Args:
          name: "classifier" (trained on the real images, or read from the cache), a name in
            `INCEPTION_DTYPES`, or the path of the user's own network.

        Raises:
          ValueError: the extractor does not exist, or the classifier cannot be trained on the real
            images.
        """
        if name == CLASSIFIER:
            classifier = classifier_of(self.classifier_images(), self.cache)
            # If several machines trained the classifier, their weights differ by rounding, so all
            # machines use the weights of one.
            weights = {
                k: of_writer(self.strategy, v) for k, v in sorted(classifier.weights.items())
            }
            return dataclasses.replace(classifier, weights=weights).extractor()
        if name not in INCEPTION_DTYPES:
            return open_extractor(name, self.layer)
        dtype = INCEPTION_DTYPES[name]
        if dtype == "bfloat16" and runs_on_cpu(self.strategy):
            for warning in slow_bfloat16(f"the extractor {name}"):
                print(warning, file=sys.stderr, flush=True)
        # The network is created in the scope, so that every replica has its weights.
        with self.strategy.scope():
            return inception_extractor(self.inception_weights, self.bias, dtype)

    def extraction(self, name: str) -> FeatureExtraction:
        """Opens a feature extractor to run on all replicas, with the cache of features.

        Raises:
          ValueError: see `extractor`.
        """
        folder = None if self.cache is None else os.path.join(self.cache, FEATURES_FOLDER)
        extractor, cache = self.extractor(name), ArrayCache(folder)
        return FeatureExtraction(extractor, self.strategy, self.batch_size, cache)


def matched_labels(
    labels: np.ndarray, class_names: Sequence[str], reference_names: Sequence[str]
) -> np.ndarray | None:
    """Returns the labels of images as indices of the reference's classes.

    If the images or the reference have no class names, the same label is assumed to mean the same
    class in both.

    Args:
      labels: integers [N], labels of the images.
      class_names: class names of the images; empty if they are unknown.
      reference_names: class names of the reference; empty if they are unknown.

    Returns:
      Integers [N]; None if the reference does not have the class of every image.
    """
    if class_names and reference_names:
        matched = np.array(match_classes(class_names, reference_names), np.int32)
        inside = labels.min() >= 0 and labels.max() < len(class_names)
        labels = matched[labels] if inside else np.full_like(labels, -1)
    limit = len(reference_names) or np.iinfo(np.int32).max
    return labels if labels.min() >= 0 and labels.max() < limit else None


def how_classes_were_matched(
    class_names: Sequence[str], reference_names: Sequence[str]
) -> tuple[str, ...]:
    """Returns a note on how classes were matched; () if the classes are the same."""
    ours, theirs = tuple(class_names), tuple(reference_names)
    if not (ours and theirs):
        return (BY_INDEX,)
    if ours != theirs and match_classes(ours, theirs) != tuple(range(len(theirs))):
        return (BY_NAME,)
    return ()


def why_classes_differ(class_names: Sequence[str], reference_names: Sequence[str]) -> str:
    """Returns why a metric that needs classes has no result, as the end of a sentence."""
    sentence = "needs a reference that has the classes of the images"
    if not (class_names and reference_names):
        return sentence
    difference = name_differences(class_names, reference_names, "these images", "the reference")
    return f"{sentence} ({difference})" if difference else sentence


def label_counts_for_model(source: Source | None, class_names: Sequence[str]) -> np.ndarray | None:
    """Counts how many images the reference has of each class of the model.

    Args:
      source: data source of the reference, or None.
      class_names: class names of the model; empty if they are unknown.

    Returns:
      Integers [num_classes]; None if the classes of the reference are unknown.

    Raises:
      ValueError: the reference has images of a class that the model does not have.
    """
    if source is None or not source.num_classes:
        return None
    if not class_names:
        return source.label_counts()
    matched = match_classes(source.class_names, class_names)
    checks.require(
        min(matched) >= 0,
        "--label_sampling=data needs a model that has all classes of the reference;"
        f" {name_differences(class_names, source.class_names, 'the model', 'the reference')}."
        " Use another --label_sampling",
        reference=source.name,
    )
    return source.with_classes(class_names, matched).label_counts()


def soft_labels_for_model(
    source: Source | None, class_names: Sequence[str], num_classes: int
) -> np.ndarray | None:
    """Returns the soft labels of the reference in the order of the model's classes.

    Args:
      source: data source of the reference, or None.
      class_names: class names of the model; empty if they are unknown.
      num_classes: number of classes of the model.

    Returns:
      Class weights, float32 [N, num_classes]; None if the reference has no soft labels, or if it
      has classes that the model does not have.
    """
    if source is None or source.soft_labels is None:
        return None
    if not class_names:
        return source.soft_labels if source.num_classes == num_classes else None
    matched = match_classes(source.class_names, class_names)
    if min(matched) < 0:
        return None
    return source.with_classes(class_names, matched).soft_labels


def notes_on_classes(
    source: Source | None, class_names: Sequence[str], num_classes: int, label_sampling: str
) -> list[str]:
    """Returns notes for readers of a score if the model and the reference differ in their classes.

    Args:
      source: data source of the reference, or None.
      class_names: class names of the model; empty if they are unknown.
      num_classes: number of classes of the model.
      label_sampling: how labels of the generated images were sampled.
    """
    if source is None or not source.num_classes or not num_classes:
        return []
    if not class_names:
        return [BY_INDEX] if label_sampling == "data" else []
    difference = name_differences(class_names, source.class_names, "the model", "the reference")
    return [f"The model and the reference have different classes: {difference}."] * bool(difference)
