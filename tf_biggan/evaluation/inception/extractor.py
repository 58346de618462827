"""The Inception of 2015-12-05 as a feature extractor, with weights from a file.

Weights are converted once and kept in the cache. The content of a file decides whether it holds the
weights of 2015. Its name and structure do not decide, because weights from another training and
random weights have the same structure.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError

from tf_biggan.evaluation.features.extraction import cache_folder
from tf_biggan.evaluation.features.extractors import FEATURES, LOGITS, Extractor
from tf_biggan.evaluation.inception.inception_network import (
    NUM_CLASSES,
    NUM_FEATURES,
    FoldedWeights,
    Inception,
)
from tf_biggan.evaluation.inception.weight_files import open_weight_file
from tf_biggan.files import file_system
from tf_biggan.files.array_files import open_safetensors, write_safetensors
from tf_biggan.files.atomic import replaced

FEATURE_TAP = "2048"
LOGITS_TAPS = {True: "logits", False: "logits_unbiased"}
OTHER_PREFIX = "other_inception_"
FLOAT32 = "float32"
# Data type of the convolutions for each name of the extractor.
INCEPTION_DTYPES = {"inception": FLOAT32, "inception_bfloat16": "bfloat16"}
# SHA-256 of the published files. The name of the first file contains the first eight digits of its
# hash. Several public repositories pin both hashes, the second one together with the size of the
# file in the original archive (95,673,916 bytes).
REFERENCE_FILES = {
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2": (
        "pt_inception-2015-12-05-6726825d.pth"
    ),
    "009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6": (
        "classify_image_graph_def.pb"
    ),
}
MISSING = (
    "The weights of the Inception of 2015-12-05 must be given once by --inception_weights=PATH:"
    " inception-2015-12-05.tgz of download.tensorflow.org/models/image/imagenet (or the"
    " classify_image_graph_def.pb in it), or pt_inception-2015-12-05-6726825d.pth of the releases"
    " of mseitzer/pytorch-fid, or the downloaded folder of TF-GAN's TF-Hub module"
    " tensorflow/tfgan/eval/inception/1. Without a download, --extractor=classifier (in train:"
    " --eval_extractor=classifier) scores with a classifier that is trained on the data. Received:"
    " no path, and no weights in {folder}."
)
FORMAT = "inception-2015-12-05-folded-1"
SOURCE, CONTENT = "source_sha256", "weights_sha256"


class NoWeightsError(ValueError):
    """Raised if no path of Inception weights is given and the cache has no weights."""


def inception_extractor(path: str | None, bias: bool = False, dtype: str = FLOAT32) -> Extractor:
    """Returns an extractor of Inception's features (of the last pooling layer) and logits.

    The extractor accepts grey and RGB images.

    Args:
      path: path of the weights; None for weights in the cache.
      bias: whether the logits include the bias of the last layer.
      dtype: precision of the convolutions (see `Inception`).

    Raises:
      ValueError: there are no weights (the message says where to get them), or they cannot be
        read.
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


def load_inception(
    path: str | None, taps: Sequence[str] = ("2048",), dtype: str = "float32"
) -> Inception:
    """Loads Inception with the weights of a file or folder, or with published weights in the cache.

    `is_reference` of the result is true for a file with a published SHA-256. It is also true for
    weights that equal those of a published file bit by bit, if the cache holds the published file's
    weights. TF-GAN's module has no published hash. The names of scores with its weights therefore
    have a prefix until the cache holds the weights of a published file.

    Args:
      path: a path that `open_weight_file` accepts; None for published weights in the cache.
      taps: names of the requested outputs (see `Inception`).
      dtype: precision of the convolutions (see `Inception`).

    Raises:
      NoWeightsError: no path is given, and the cache has no weights.
      ValueError: the weights cannot be read, or a tap is unknown.
    """
    if path is None:
        weights, metadata = _cached_reference()
    else:
        source = open_weight_file(path)
        weights, metadata = _read(source.sha256) or _convert(source)
    known = metadata[SOURCE] in REFERENCE_FILES
    is_reference = known or metadata[CONTENT] in set(_reference_contents())
    return Inception(weights, taps, dtype=dtype, sha256=metadata[SOURCE], is_reference=is_reference)


def _cached_reference():
    for sha256 in REFERENCE_FILES:
        found = _read(sha256)
        if found:
            return found
    raise NoWeightsError(MISSING.format(folder=cache_folder()))


def _convert(source):
    weights = source.folded()
    metadata = {"format": FORMAT, SOURCE: source.sha256, CONTENT: content_sha256(weights)}
    # A full disk must not make the evaluation fail.
    with contextlib.suppress(OSError, SafetensorError):
        _store(_cached_file(source.sha256), weights, metadata)
    return weights, metadata


def content_sha256(weights: FoldedWeights) -> str:
    """Returns the SHA-256 of the weights themselves, which does not depend on their file."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        for part in weights[name]:
            digest.update(np.ascontiguousarray(part, np.float32).tobytes())
    return digest.hexdigest()


def _store(path: str, weights: FoldedWeights, metadata: dict[str, str]) -> None:
    file_system.makedirs(os.path.dirname(path))
    tensors = {}
    for name, (kernel, bias) in weights.items():
        tensors |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
    with replaced(path) as temporary:
        write_safetensors(temporary, tensors, metadata)


def _read(source_sha256: str) -> tuple[FoldedWeights, dict[str, str]] | None:
    """Returns weights and metadata from the cache, by the SHA-256 of the file that they come from.

    The result is None if the cache has no such weights, or if the cached file is damaged.
    """
    try:
        with open_safetensors(_cached_file(source_sha256)) as file:
            metadata = file.metadata() or {}
            if (metadata.get("format"), metadata.get(SOURCE)) != (FORMAT, source_sha256):
                return None
            names = [key.removesuffix("/kernel") for key in file.keys() if key.endswith("/kernel")]
            weights = {
                name: (file.get_tensor(f"{name}/kernel"), file.get_tensor(f"{name}/bias"))
                for name in names
            }
    except ValueError:
        return None
    return (weights, metadata) if content_sha256(weights) == metadata.get(CONTENT) else None


def _reference_contents() -> Iterator[str]:
    """Yields the SHA-256 of the weights of every published file that the cache holds."""
    for sha256 in REFERENCE_FILES:
        with contextlib.suppress(ValueError):
            with open_safetensors(_cached_file(sha256)) as file:
                metadata = file.metadata() or {}
                if metadata.get(SOURCE) == sha256:
                    yield metadata.get(CONTENT)


def _cached_file(sha256: str) -> str:
    return os.path.join(cache_folder(), f"inception-{sha256}.safetensors")
