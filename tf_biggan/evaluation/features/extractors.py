"""What features are taken by, behind one interface; and Keras models and SavedModels as such."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.evaluation.features.cache import file_sha256, folder_sha256
from tf_biggan.evaluation.features.keras_files import load_keras
from tf_biggan.files import saved_model_files
from tf_biggan.store.saved_models import is_saved_model

FEATURES, LOGITS = "features", "logits"
OUTPUTS = "outputs"


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A network that features are taken by.

    Attributes:
      name: for messages.
      prefix: what the names of its scores begin with; "" for the reference Inception alone.
      identity: JSON values that say which network it is, and how images enter it.
      build: called in the scope of a strategy; gives the function from uint8 [N, H, W, C] to
        {"features": [N, D], "logits": [N, K]}, the latter where there are any.
      num_classes: K; 0 without logits.
      facts: numbers about it that are reported beside the accuracy.
      num_features: D; None where only an image can tell it.
    """

    name: str
    prefix: str
    identity: Mapping[str, object]
    build: Callable[[], Callable[[tf.Tensor], dict[str, tf.Tensor]]]
    num_classes: int = 0
    facts: Mapping[str, float] = dataclasses.field(default_factory=dict)
    num_features: int | None = None


def open_extractor(path: str, layer: str | None = None) -> Extractor:
    """A network of the user's as extractor; it sees pixels as floats from 0 to 255.

    Args:
      path: a .keras file, or the folder of a SavedModel with a signature of one image input.
      layer: of a .keras file, the layer whose output are the features (without it the model's
        output); of a SavedModel, the output's name. Positions are averaged.

    Raises:
      ValueError: nothing of the kind, or no such layer. Files that hold code are refused.
    """
    if path.endswith(".keras") and os.path.isfile(path):
        model = _load_keras(path, layer)
        sha256 = file_sha256(path)
        build = lambda: _of_keras(_load_keras(path, layer))  # noqa: E731
        description = {"kind": "keras", "input": list(model.input_shape)}
    elif is_saved_model(path):
        sha256 = folder_sha256(path)
        _saved_function(path, layer)
        build = lambda: _saved_function(path, layer)  # noqa: E731
        description = {"kind": "saved_model"}
    else:
        missing = "" if os.path.exists(path) else "; a path of that name does not exist"
        raise ValueError(
            "An extractor must be `classifier`, `inception`, `inception_bfloat16`, a .keras file or"
            f" the folder of a SavedModel{missing}. Received: {path}."
        )
    identity = {**description, "sha256": sha256, "layer": layer, "range": "0 to 255, float32"}
    return Extractor(os.path.basename(os.path.normpath(path)), "extractor_", identity, build)


def pixel_extractor() -> Extractor:
    """Pixels themselves: distances are root mean squares of differences, in levels of 255."""

    def function(images):
        flat = tf.reshape(tf.cast(images, tf.float32), (tf.shape(images)[0], -1))
        return {FEATURES: flat / tf.sqrt(tf.cast(tf.shape(flat)[1], tf.float32))}

    return Extractor("pixels", "pixel_", {"kind": "pixels"}, lambda: function)


def _load_keras(path: str, layer: str | None) -> keras.Model:
    model = load_keras(path)
    inputs = getattr(model, "inputs", None) or ()
    checks.require(
        len(inputs) == 1,
        "a .keras file must hold a model with one input, the images",
        path=path,
        inputs=[str(tuple(one.shape)) for one in inputs],
    )
    if layer is None:
        return model
    names = [one.name for one in model.layers]
    checks.require(
        layer in names, f"`layer` must be one of {', '.join(names)}", layer=layer, path=path
    )
    # A loaded Sequential has `inputs`, and no `input`.
    return keras.Model(model.inputs, model.get_layer(layer).output)


def _of_keras(model):
    return lambda images: {FEATURES: _flat(model(tf.cast(images, tf.float32), training=False))}


def _saved_function(path: str, output: str | None):
    module = saved_model_files.load(path)
    signatures = {
        name: function
        for name, function in module.signatures.items()
        if len(function.structured_input_signature[1]) == 1
    }
    checks.require(
        len(signatures) > 0,
        "a SavedModel must have a signature of one input, the images",
        path=path,
        signatures=sorted(module.signatures),
    )
    name = "serving_default" if "serving_default" in signatures else sorted(signatures)[0]
    function = signatures[name]
    ((argument, spec),) = function.structured_input_signature[1].items()
    outputs = sorted(function.structured_outputs)
    checks.require(
        output in outputs if output else len(outputs) == 1,
        f"`layer` must be one of the outputs {', '.join(outputs)}",
        layer=output,
        path=path,
    )
    chosen = output or outputs[0]

    def features(images):
        # The loaded module must live as long as its function.
        _ = module
        return {FEATURES: _flat(function(**{argument: tf.cast(images, spec.dtype)})[chosen])}

    return features


def _flat(features) -> tf.Tensor:
    """[N, D] of [N, D], or of [N, H, W, D] by its mean over positions."""
    features = tf.cast(features, tf.float32)
    if features.shape.rank == 4:
        features = tf.reduce_mean(features, axis=(1, 2))
    checks.require(
        features.shape.rank == 2, "features must be [N, D] or [N, H, W, D]", shape=features.shape
    )
    return features
