"""Writes the files with which TensorFlow Serving serves an export: configurations and warm-up.

The folder of each version gets `batching_params.pbtxt`, which TensorFlow Serving reads with
--enable_per_model_batching_parameters. The folder of the model, which holds the versions, gets
`models.config` and `batching_parameters.txt`, whose limits fit every version in the folder.

The warm-up file holds one example request for each signature, as a PredictionLog message. This
module encodes the messages itself, which avoids a dependency on tensorflow-serving-api. That is
simple, because the messages need only fields that hold bytes.
Source: tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from tf_biggan.files import file_system
from tf_biggan.files.atomic import write_text
from tf_biggan.serving.served_model import find_versions, version_number
from tf_biggan.store.opened_model import EXTRA_FOLDER, read_metadata

VERSION_BATCHING_FILE = "batching_params.pbtxt"
BATCHING_FILE, MODELS_FILE = "batching_parameters.txt", "models.config"
_MAX_BATCH_SIZE = re.compile(r"^\s*max_batch_size\s*\{\s*value:\s*(\d{1,9})\s*\}", re.MULTILINE)
_BATCHING = """\
# How TensorFlow Serving merges requests. Written by tf_biggan.export.
# With batching, the first dimension of every input must be the batch: send `truncation` of
# `default` and `synthesize` as one value per row, not as a scalar.

# The most rows of a merged batch, and of a single request. The model refuses more than {limit}.
# A smaller limit needs less memory: export with a smaller --max_batch.
max_batch_size {{ value: {limit} }}

# The longest time that a request waits for others. Generating an image takes longer than this.
# With 0, a request that arrives alone runs at once.
batch_timeout_micros {{ value: 5000 }}

# The number of batches that run at the same time. TensorFlow already spreads a batch over all
# cores, so a larger number mostly needs more memory. This also holds on a GPU.
num_batch_threads {{ value: 2 }}

# The number of batches that may wait. If the queue is full, clients get status 503 (in gRPC:
# UNAVAILABLE) at once and can retry, instead of waiting past their deadline.
max_enqueued_batches {{ value: 16 }}

# Batches are padded to one of these sizes, so that few shapes are compiled and tuned. The last
# size must be max_batch_size.
{sizes}
"""
_MODELS = """\
# The models that TensorFlow Serving serves (--model_config_file). Written by tf_biggan.export.
# base_path is the model's folder as the server sees it; export/ mounts the models at /models.
#
# The newest version is served, and a new one as soon as it is written. To try a new version with
# some clients first, add this to `config` before you export it, and change the numbers later:
#   model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
#   version_labels {{ key: "stable" value: 1 }}
#   version_labels {{ key: "canary" value: 2 }}
# Clients then ask /v1/models/NAME/labels/canary:predict. The server reads this file again every
# --model_config_file_poll_wait_seconds. To serve several models, list their `config` blocks in one
# file and start the server with --enable_per_model_batching_parameters.
model_config_list {{
  config {{
    name: {name}
    base_path: {base_path}
    model_platform: "tensorflow"
  }}
}}
"""
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


def batching_parameters(max_batch: int) -> str:
    """Returns TensorFlow Serving's BatchingParameters for at most `max_batch` rows, as text."""
    sizes = [2**power for power in range(max_batch.bit_length()) if 2**power < max_batch]
    lines = [f"allowed_batch_sizes: {size}" for size in (*sizes, max_batch)]
    return _BATCHING.format(limit=max_batch, sizes="\n".join(lines))


def models_config(name: str, folder: str) -> str:
    """Returns TensorFlow Serving's ModelServerConfig for one model, as text.

    Args:
      name: The name of the model in requests.
      folder: The name of the folder that holds the versions.
    """
    # JSON escapes a string as protocol buffers' text format does.
    values = {"name": name, "base_path": f"/models/{folder}"}
    quoted = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    return _MODELS.format(**quoted)


def write_version_file(folder: str, max_batch: int) -> None:
    """Writes the batching parameters of one version into its folder."""
    with open(os.path.join(folder, VERSION_BATCHING_FILE), "w", encoding="utf-8") as file:
        file.write(batching_parameters(max_batch))


def version_note(path: str) -> str | None:
    """Returns a note if TensorFlow Serving cannot find an export at `path`, otherwise None."""
    if version_number(os.path.basename(file_system.absolute(path))) is not None:
        return None
    return (
        f"Note: TensorFlow Serving will not find {path}, because it looks for folders named by"
        " whole numbers; hub.load will open it. For TensorFlow Serving, use"
        f" --output={os.path.join(path, '1')}."
    )


def write_model_files(path: str, name: str, max_batch: int) -> list[str]:
    """Writes `models.config` and `batching_parameters.txt` beside the folder of a version.

    Files that the user edited are not changed. If the last part of `path` is not a version number,
    no files are written.

    Args:
      path: The folder of the version that is being exported; it need not exist yet.
      name: The name of the model.
      max_batch: Maximum number of rows of a request to this version.

    Returns:
      Lines for the user: the files that were written or left unchanged.
    """
    base, last = os.path.split(file_system.absolute(path))
    if version_number(last) is None:
        return []
    limit = min([max_batch, *_limits_of_versions(base)])
    texts = {
        MODELS_FILE: models_config(name, os.path.basename(base)),
        BATCHING_FILE: batching_parameters(limit),
    }
    return [_write_unless_edited(os.path.join(base, file), text) for file, text in texts.items()]


def _limits_of_versions(base: str) -> Iterator[int]:
    """Yields the maximum batch size of each version in a model's folder."""
    try:
        folders = find_versions(base).folders.values()
    except ValueError:
        return
    for folder in folders:
        try:
            limit = read_metadata(folder).get("max_batch")
        except ValueError:
            # A damaged version does not prevent the export of another one.
            continue
        if isinstance(limit, int) and limit > 0:
            yield limit


def _write_unless_edited(path: str, text: str) -> str:
    """Writes a file unless the user edited it, and returns a line that says what was done."""
    found = _read(path)
    if found is None or _is_generated(found, text):
        write_text(path, text)
        return f"written: {path}"
    line = f"Note: {path} was edited and stays unchanged."
    allowed, limit = _MAX_BATCH_SIZE.search(found), _MAX_BATCH_SIZE.search(text)
    if allowed and limit and int(allowed[1]) > int(limit[1]):
        line += (
            f" It merges requests to {allowed[1]} rows, but the model refuses more than {limit[1]}."
            f" Set max_batch_size and the last of allowed_batch_sizes to {limit[1]}."
        )
    return line


def _read(path: str) -> str | None:
    """Returns the text of a file, or None if there is no file. Invalid UTF-8 is replaced."""
    try:
        with file_system.open_file(path, "r", encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _is_generated(found: str, text: str) -> bool:
    """Returns whether a file's text was written by an export, possibly with another limit."""
    limit = _MAX_BATCH_SIZE.search(found)
    return found in (text, batching_parameters(int(limit[1])) if limit else text)


def write_warmup(
    folder: str, model_name: str, signatures: Mapping[str, Callable], class_names: tuple[str, ...]
) -> None:
    """Writes the warm-up file of a SavedModel, `assets.extra/tf_serving_warmup_requests`.

    Args:
      folder: Folder of the SavedModel.
      model_name: Name under which the model will be served.
      signatures: Concrete functions by the names of their signatures.
      class_names: Class names of the model. Example requests by name ask for the first class.
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
