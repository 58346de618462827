"""Writes TensorFlow Serving's warm-up file, which holds one example request for each signature.

A record of the file is a PredictionLog message. Only its fields that hold bytes are needed, so the
message is encoded here by hand. This avoids a dependency on tensorflow-serving-api.
Source: tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tf_biggan.store.saved_models import EXTRA_FOLDER

WARMUP_FILE = "tf_serving_warmup_requests"
# Wire type of protocol-buffer fields that hold bytes, strings or messages.
BYTES_TYPE = 2
# Field numbers in PredictionLog, PredictLog, PredictRequest, ModelSpec and map entries.
LOG_PREDICT, PREDICT_REQUEST = 6, 1
REQUEST_MODEL, REQUEST_INPUTS = 1, 2
MODEL_NAME, MODEL_SIGNATURE = 1, 3
MAP_KEY, MAP_VALUE = 1, 2
# Input values of the example requests.
SEED, TRUNCATION, STEPS = 0, 0.5, 2


def write_warmup(
    folder: str, model_name: str, signatures: Mapping[str, Callable], class_names: tuple[str, ...]
) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests` of a SavedModel.

    Args:
      folder: Folder of the SavedModel.
      model_name: Name under which the model will be served.
      signatures: Concrete functions by the names of their signatures.
      class_names: Class names of the model. Requests by name ask for the first one.
    """
    path = os.path.join(folder, EXTRA_FOLDER, WARMUP_FILE)
    with tf.io.TFRecordWriter(path) as writer:
        for name, function in signatures.items():
            found = tf.nest.flatten(function.structured_input_signature)
            specs = [spec for spec in found if isinstance(spec, tf.TensorSpec)]
            inputs = {spec.name: _example(spec.name, spec, class_names) for spec in specs}
            writer.write(prediction_log(model_name, name, inputs))


def prediction_log(model_name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """Returns a serialised PredictionLog message for one request.

    Args:
      model_name: Name of the model.
      signature: Name of the signature.
      inputs: Arrays by name.
    """
    model = _field(MODEL_NAME, model_name.encode()) + _field(MODEL_SIGNATURE, signature.encode())
    request = _field(REQUEST_MODEL, model)
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        entry = _field(MAP_KEY, name.encode()) + _field(MAP_VALUE, tensor)
        request += _field(REQUEST_INPUTS, entry)
    return _field(LOG_PREDICT, _field(PREDICT_REQUEST, request))


def _example(name, spec, class_names) -> np.ndarray:
    """Returns an example array with one row for an input."""
    if name == "class_name":
        return np.array([class_names[0].encode()])
    known = {"truncation": TRUNCATION, "steps": STEPS}
    shape = (1, *(spec.shape[1:] if spec.shape.rank else ()))
    value = np.full(shape, known.get(name, SEED), spec.dtype.as_numpy_dtype)
    if name == "y":
        value[0, 0] = 1.0
    return value


def _field(number: int, content: bytes) -> bytes:
    """Encodes a protocol-buffer field that holds bytes."""
    return _varint(number << 3 | BYTES_TYPE) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encodes an integer as a protocol-buffer varint."""
    made = b""
    while value > 0x7F:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])
