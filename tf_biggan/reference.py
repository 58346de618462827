"""The real images that a model is compared with, and the networks that compare them."""

from __future__ import annotations

import dataclasses
import os

import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data.source import Source
from tf_biggan.data.sources import open_source
from tf_biggan.evaluation.cache import cache_folder
from tf_biggan.evaluation.classifier import classifier_of, training_images
from tf_biggan.evaluation.extractors import Extractor, open_extractor
from tf_biggan.evaluation.image_sets import SourceImages
from tf_biggan.evaluation.inception_extractor import inception_extractor
from tf_biggan.training.run_directory import is_run, read_config


@dataclasses.dataclass(frozen=True)
class ReferenceChoice:
    """Which real images.

    Attributes:
      name: a source of data, or a folder; None for the data of the run `model`.
      split: of tfds data, or a sub-folder; None for `tfds_split` or the run's.
      data_dir: where prepared tfds data lie.
      download: whether tfds data may be downloaded.
      model: path of the model that is compared.
      tfds_split: split of tfds data where `split` is None.
    """

    name: str | None
    split: str | None = None
    data_dir: str | None = None
    download: bool = False
    model: str | None = None
    tfds_split: str | None = None

    def open(self) -> Source:
        """The source of the images.

        Raises:
          ValueError: nothing is named and the model is no run, or what is named is not there.
        """
        if self.name is not None:
            name = f"folder:{self.name}" if os.path.isdir(self.name) else self.name
            split, data_dir = self.split or self._tfds_split(name), self.data_dir
        else:
            checks.require(
                self.model is not None and is_run(self.model),
                "--reference must say what to compare with; only a run knows its data",
                model=self.model,
            )
            own = read_config(self.model).data
            name, data_dir = own.dataset, self.data_dir or own.data_dir
            split = self.split or self._tfds_split(name) or own.split
        return open_source(name, split=split, data_dir=data_dir, download=self.download)

    def _tfds_split(self, name):
        return self.tfds_split if name.startswith("tfds:") else None


def network(
    kind: str,
    source: Source | None,
    images: SourceImages | None,
    strategy: tf.distribute.Strategy,
    *,
    cache: str | None = None,
    layer: str | None = None,
    inception_weights: str | None = None,
    bias: bool = False,
) -> Extractor:
    """What features are taken by.

    Args:
      kind: "classifier" (trained on the reference, or from the cache), "inception" or the path of
        a network.
      source: of the reference, for the classifier.
      images: those of the reference, of the size that is compared, for the classifier.
      strategy: whose replicas run it.
      cache: folder of classifiers; None to keep none.
      layer: of a network of the user's.
      inception_weights: path; None for those that the cache holds.
      bias: whether Inception's logits keep their bias.

    Raises:
      ValueError: it is not there, or cannot be trained on the reference.
    """
    if kind == "classifier":
        return classifier_of(training_images(source, images), cache).extractor()
    if kind == "inception":
        # Made in the scope, so that every replica has the weights.
        with strategy.scope():
            return inception_extractor(inception_weights, bias)
    return open_extractor(kind, layer)


def cache_of(setting: str) -> str | None:
    """The folder that a flag names: `default`, `none` for no folder, or a path."""
    if setting == "none":
        return None
    return str(cache_folder()) if setting == "default" else setting
