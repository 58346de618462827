"""TensorFlow Serving's warm-up file: one recorded request for every signature.

A record is a PredictionLog of tensorflow/serving, of which only fields that hold bytes are needed;
they are written as protocol buffers are on the wire, so that tensorflow-serving-api is not.
Source: tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tf_biggan.store.saved_models import EXTRA_FOLDER

WARMUP_FILE = "tf_serving_warmup_requests"
BYTES_TYPE = 2
# Numbers of the fields.
LOG_PREDICT, PREDICT_REQUEST = 6, 1
REQUEST_MODEL, REQUEST_INPUTS = 1, 2
MODEL_NAME, MODEL_SIGNATURE = 1, 3
MAP_KEY, MAP_VALUE = 1, 2
SEED, TRUNCATION, STEPS = 0, 0.5, 2


def write_warmup(
    folder: str, model_name: str, signatures: Mapping[str, Callable], class_names: tuple[str, ...]
) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests` of a SavedModel.

    Args:
      folder: of the SavedModel.
      model_name: under which it is going to be served.
      signatures: concrete functions by name.
      class_names: of the model; the first one is asked for.
    """
    path = os.path.join(folder, EXTRA_FOLDER, WARMUP_FILE)
    with tf.io.TFRecordWriter(path) as writer:
        for name, function in signatures.items():
            found = tf.nest.flatten(function.structured_input_signature)
            specs = [spec for spec in found if isinstance(spec, tf.TensorSpec)]
            inputs = {spec.name: _example(spec.name, spec, class_names) for spec in specs}
            writer.write(prediction_log(model_name, name, inputs))


def prediction_log(model_name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """A serialised PredictionLog of a request."""
    model = _field(MODEL_NAME, model_name.encode()) + _field(MODEL_SIGNATURE, signature.encode())
    request = _field(REQUEST_MODEL, model)
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        entry = _field(MAP_KEY, name.encode()) + _field(MAP_VALUE, tensor)
        request += _field(REQUEST_INPUTS, entry)
    return _field(LOG_PREDICT, _field(PREDICT_REQUEST, request))


def _example(name, spec, class_names) -> np.ndarray:
    """One row of an input."""
    if name == "class_name":
        return np.array([class_names[0].encode()])
    known = {"truncation": TRUNCATION, "steps": STEPS}
    shape = (1, *(spec.shape[1:] if spec.shape.rank else ()))
    value = np.full(shape, known.get(name, SEED), spec.dtype.as_numpy_dtype)
    if name == "y":
        value[0, 0] = 1.0
    return value


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | BYTES_TYPE) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    made = b""
    while value > 0x7F:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])
