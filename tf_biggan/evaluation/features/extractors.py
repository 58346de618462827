"""The interface of feature extractors, and extractors from the user's own networks."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping

import keras
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.files import file_system, input_bounds, tensorflow_files
from tf_biggan.files.archives import Archive
from tf_biggan.files.json_files import file_sha256, folder_sha256
from tf_biggan.store.opened_model import is_saved_model

FEATURES, LOGITS = "features", "logits"
CLASSIFIER = "classifier"
CONFIG = "config.json"
LONGEST_REASON = 200


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A network that turns images into features, and possibly into class logits.

    Attributes:
      name: name for messages and progress bars.
      prefix: prefix of the names of scores by this extractor, such as "classifier_"; "" only for
        Inception in float32 with the published weights.
      identity: JSON values that identify the network and its preprocessing; part of cache keys.
      build: function that is called in the scope of a strategy. It returns a function from uint8
        images [N, H, W, C] to {"features": float32 [N, D], "logits": float32 [N, K]}. Extractors
        that do not classify leave out the logits.
      num_classes: K; 0 without logits.
      facts: numbers about the extractor that are reported beside the accuracy.
      num_features: D; None if D is known only after the extractor has run.
    """

    name: str
    prefix: str
    identity: Mapping[str, object]
    build: Callable[[], Callable[[tf.Tensor], dict[str, tf.Tensor]]]
    num_classes: int = 0
    facts: Mapping[str, float] = dataclasses.field(default_factory=dict)
    num_features: int | None = None


def open_extractor(path: str, layer: str | None = None) -> Extractor:
    """Opens the user's own network as a feature extractor.

    The network receives pixels from 0 to 255. A .keras file receives them as float32, and a
    SavedModel in the dtype of its input.

    Args:
      path: a .keras file, or the folder of a SavedModel with a signature of one image input.
      layer: for a .keras file, the layer whose output gives the features, or None for the output of
        the model. For a SavedModel, the name of an output, or None for its only output. Features of
        shape [N, H, W, D] are averaged over H and W.

    Raises:
      ValueError: the path is neither a .keras file nor a SavedModel, the layer does not exist, or
        the file contains code.
    """
    if path.endswith(".keras") and file_system.isfile(path):
        model = _load_keras_layer(path, layer)
        sha256 = file_sha256(path)
        build = lambda: _of_keras(_load_keras_layer(path, layer))  # noqa: E731
        description = {"kind": "keras", "input": list(model.input_shape)}
    elif is_saved_model(path):
        sha256 = folder_sha256(path)
        _saved_function(path, layer)
        build = lambda: _saved_function(path, layer)  # noqa: E731
        description = {"kind": "saved_model"}
    else:
        missing = "" if file_system.exists(path) else ", and no file or folder of this name exists"
        raise ValueError(
            f"There is no feature extractor {path!r}{missing}. Give `classifier`,"
            " `inception`, `inception_bfloat16`, a .keras file or the folder of a SavedModel."
        )
    identity = {**description, "sha256": sha256, "layer": layer, "range": "0 to 255, float32"}
    return Extractor(os.path.basename(file_system.normalized(path)), "extractor_", identity, build)


def pixel_extractor() -> Extractor:
    """Returns an extractor whose features are the pixels of an image.

    The features are scaled so that the distance of two images is the root mean square difference of
    their pixels, from 0 to 255.
    """

    def function(images):
        flat = tf.reshape(tf.cast(images, tf.float32), (tf.shape(images)[0], -1))
        return {FEATURES: flat / tf.sqrt(tf.cast(tf.shape(flat)[1], tf.float32))}

    return Extractor("pixels", "pixel_", {"kind": "pixels"}, lambda: function)


def load_keras(path: str) -> keras.Model:
    """Loads a model from a .keras file that contains only Keras's own layers and no code.

    Raises:
      ValueError: the file is damaged, contains code, or describes a model with more weights than it
        holds.
    """
    try:
        with _bounded_variables(_stored_bytes(path)):
            return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        # Keras passes on whatever error its deserialisers meet in a damaged or foreign file.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"Cannot read {path}: {reason[:LONGEST_REASON]}. The .keras file must be complete"
            " and may contain only Keras's own layers and no code."
        ) from error


def _stored_bytes(path: str) -> int:
    """Returns the total size of the entries of a .keras file, without config.json.

    The size of config.json is only checked.
    """
    archive, limit = Archive(path), input_bounds.JSON_BYTES
    sizes = {name: archive.size(name) for name in archive.names}
    configuration = sizes.pop(CONFIG, 0)
    checks.require(
        configuration <= limit, f"its {CONFIG} has more than {limit} bytes", bytes=configuration
    )
    return sum(sizes.values())


@contextlib.contextmanager
def _bounded_variables(stored_bytes: int) -> Iterator[None]:
    """Returns a context that limits how many numbers all variables together may have.

    The limit is the number of stored bytes plus `MISSING_NUMBERS`.
    """
    left = stored_bytes + input_bounds.MISSING_NUMBERS

    def create(next_creator, **settings):
        nonlocal left
        left -= _num_values(settings["initial_value"])
        checks.require(
            left >= 0,
            "it describes a model with more weights than the file holds",
            stored_bytes=stored_bytes,
        )
        return next_creator(**settings)

    with tf.variable_creator_scope(create):
        yield


def _num_values(initial_value) -> int:
    """Returns the number of elements of a variable. Its initialiser is traced, but not run."""
    if not callable(initial_value):
        return math.prod(tf.convert_to_tensor(initial_value).shape)
    with tf.Graph().as_default():
        return math.prod(initial_value().shape)


def _load_keras_layer(path: str, layer: str | None) -> keras.Model:
    model = load_keras(path)
    inputs = getattr(model, "inputs", None) or ()
    checks.require(
        len(inputs) == 1,
        "the .keras file must hold a model with one input, the images",
        path=path,
        inputs=[str(tuple(one.shape)) for one in inputs],
    )
    if layer is None:
        return model
    names = [one.name for one in model.layers]
    checks.require(
        layer in names, f"`layer` must be one of {', '.join(names)}", layer=layer, path=path
    )
    # A loaded Sequential model has `inputs` but no `input`.
    return keras.Model(model.inputs, model.get_layer(layer).output)


def _of_keras(model):
    return lambda images: {FEATURES: _flat(model(tf.cast(images, tf.float32), training=False))}


def _saved_function(path: str, output: str | None):
    module = tensorflow_files.load_saved_model(path)
    signatures = {
        name: function
        for name, function in module.signatures.items()
        if len(function.structured_input_signature[1]) == 1
    }
    checks.require(
        len(signatures) > 0,
        "the SavedModel has no signature with one input, the images",
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
        # Keep a reference: the loaded module must live as long as its function.
        _ = module
        return {FEATURES: _flat(function(**{argument: tf.cast(images, spec.dtype)})[chosen])}

    return features


def _flat(features) -> tf.Tensor:
    """Returns float32 [N, D]; features [N, H, W, D] are averaged over H and W."""
    features = tf.cast(features, tf.float32)
    if features.shape.rank == 4:
        features = tf.reduce_mean(features, axis=(1, 2))
    checks.require(
        features.shape.rank == 2,
        "the extractor must return features [N, D] or [N, H, W, D]; choose another output by"
        " --layer",
        shape=features.shape,
    )
    return features
