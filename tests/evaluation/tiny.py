"""A small network with random weights as a feature extractor, and images for it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_biggan.evaluation.features.extractors import FEATURES, LOGITS, Extractor
from tf_biggan.evaluation.features.image_sets import ArrayImages

FEATURE_DIM, NUM_CLASSES = 6, 3


def extractor(
    image_shape, prefix="extractor_", kind="test", classes=NUM_CLASSES, seed=0, calls=None
):
    """Returns an extractor with features tanh(pixels @ A) [N, 6]; `calls` counts its traces."""
    random = np.random.RandomState(seed)
    size = int(np.prod(image_shape))
    first = random.standard_normal((size, FEATURE_DIM)).astype(np.float32) / np.sqrt(size)
    second = random.standard_normal((FEATURE_DIM, classes)).astype(np.float32)

    def build():
        if calls is not None:
            calls.append(1)

        def function(images):
            flat = tf.reshape(tf.cast(images, tf.float32) / 64.0 - 2.0, (-1, size))
            features = tf.tanh(flat @ first)
            return {FEATURES: features, LOGITS: features @ second}

        return function

    return Extractor("tiny", prefix, {"kind": kind, "seed": seed}, build, classes)


def images(count, image_shape=(8, 8, 3), seed=0, classes=NUM_CLASSES):
    """Returns labelled images of noise, each around a level of its own."""
    random = np.random.RandomState(seed)
    level = random.randint(0, 200, (count, 1, 1, 1))
    pixels = level + random.randint(0, 56, (count, *image_shape))
    return ArrayImages("noise", pixels.astype(np.uint8), np.arange(count) % classes)
