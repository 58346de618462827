"""Products of float32 numbers at their full precision, on every processor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from tf_biggan.evaluation.features.extractors import FEATURES, LOGITS, Extractor
from tf_biggan.evaluation.inception.architecture import NUM_CLASSES, NUM_FEATURES
from tf_biggan.evaluation.inception.weights import load_inception


@contextlib.contextmanager
def full_float32_products() -> Iterator[None]:
    """A context without TensorFloat-32 and, on a TPU, without its products in bfloat16.

    TensorFlow rounds factors to 10 bits on newer GPUs and to 7 bits on a TPU unless it is told not
    to. A network trains as well with it, but features change in their third digit.
    """
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled)


FEATURE_TAP = "2048"
LOGITS_TAPS = {True: "logits", False: "logits_unbiased"}
OTHER_PREFIX = "other_inception_"
FLOAT32 = "float32"
# What convolutions are computed in, by the extractor's name.
INCEPTION_DTYPES = {"inception": FLOAT32, "inception_bfloat16": "bfloat16"}


def inception_extractor(path: str | None, bias: bool = False, dtype: str = FLOAT32) -> Extractor:
    """The last pool's features and the logits, of grey or RGB images.

    Args:
      path: of the weights; None for those that the cache holds.
      bias: whether the logits keep their bias.
      dtype: of the convolutions (see `Inception`).

    Raises:
      ValueError: there are no weights, with the ways to get them; or they cannot be read.
    """
    tap = LOGITS_TAPS[bias]
    inception = load_inception(path, (FEATURE_TAP, tap), dtype)
    identity = {
        "kind": "inception",
        "sha256": inception.sha256,
        "is_reference": inception.is_reference,
        "features": FEATURE_TAP,
        "logits": tap,
        "resize": "bilinear of TensorFlow 1, to 299",
    }

    def function(images):
        if images.shape[-1] == 1:
            images = tf.repeat(images, 3, axis=-1)
        found = inception.outputs(images)
        return {FEATURES: found[FEATURE_TAP], LOGITS: found[tap]}

    name, prefix = "Inception", ""
    if dtype != FLOAT32:
        identity["precision"] = dtype
        name, prefix = f"Inception in {dtype}", f"{dtype}_"
    prefix += "" if inception.is_reference else OTHER_PREFIX
    return Extractor(
        name, prefix, identity, lambda: function, NUM_CLASSES, num_features=NUM_FEATURES
    )
