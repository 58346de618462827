"""The networks that features are taken by, under the names that flags give them."""

from __future__ import annotations

import sys

import tensorflow as tf

from tf_biggan.data.source import Source
from tf_biggan.devices.hardware import slow_bfloat16
from tf_biggan.devices.replica_map import runs_on_cpu
from tf_biggan.evaluation.features.classifier import classifier_of, training_images
from tf_biggan.evaluation.features.extractors import Extractor, open_extractor
from tf_biggan.evaluation.features.image_sets import SourceImages
from tf_biggan.evaluation.inception.extractor import INCEPTION_DTYPES, inception_extractor


def named_network(
    name: str,
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
      name: "classifier" (trained on the reference, or from the cache), one of `INCEPTION_DTYPES`,
        or the path of a network.
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
    if name == "classifier":
        return classifier_of(training_images(source, images), cache).extractor()
    if name in INCEPTION_DTYPES:
        if INCEPTION_DTYPES[name] == "bfloat16" and runs_on_cpu(strategy):
            for warning in slow_bfloat16(f"the extractor {name}"):
                print(warning, file=sys.stderr, flush=True)
        # Made in the scope, so that every replica has the weights.
        with strategy.scope():
            return inception_extractor(inception_weights, bias, INCEPTION_DTYPES[name])
    return open_extractor(name, layer)
