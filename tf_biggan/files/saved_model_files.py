"""Loads untrusted SavedModels after checking the sizes that they declare."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tf_biggan import checks
from tf_biggan.files import input_bounds
from tf_biggan.files.checkpoint_files import open_checkpoint
from tf_biggan.files.plain_folder import PlainFolder
from tf_biggan.files.protobuf_files import read_message

SAVED_MODEL_FILE = "saved_model.pb"
VARIABLES = os.path.join("variables", "variables")
LONGEST_REASON = 200


def read(path: str) -> saved_model_pb2.SavedModel:
    """Returns the SavedModel message of a folder after checking the sizes of its constants.

    Raises:
      ValueError: The file is damaged, or a constant declares more values than it stores. The
        message names the file.
    """
    file = os.path.join(path, SAVED_MODEL_FILE)
    model = read_message(saved_model_pb2.SavedModel(), file)
    graphs = [meta.graph_def for meta in model.meta_graphs]
    functions = itertools.chain(*(graph.library.function for graph in graphs))
    nodes = itertools.chain(*(g.node for g in graphs), *(f.node_def for f in functions))
    try:
        filled = sum(_filled_bytes(node) for node in nodes if node.op == "Const")
    except TypeError as error:  # TensorFlow has no type with this number.
        raise ValueError(f"Cannot read the SavedModel {file!r}: {error}") from error
    checks.require(
        filled <= input_bounds.FILLED_BYTES,
        "the SavedModel is refused, because its constants declare more than"
        f" {input_bounds.FILLED_BYTES} bytes that are not in the file",
        path=file,
        bytes=filled,
    )
    return model


def _filled_bytes(node) -> int:
    """Returns the bytes of a constant beyond those that are stored."""
    tensor = node.attr["value"].tensor
    count = math.prod(max(0, dim.size) for dim in tensor.tensor_shape.dim)
    if tensor.string_val:
        # The last text stands for all texts that are not stored. Each of them becomes a copy in
        # memory.
        return max(0, count - len(tensor.string_val)) * len(tensor.string_val[-1])
    return max(0, count * tf.dtypes.as_dtype(tensor.dtype or tf.uint8).size - tensor.ByteSize())


def load(path: str, tags: Sequence[str] | None = None):
    """Loads a SavedModel by `tf.saved_model.load` after checking its sizes.

    Raises:
      ValueError: It is damaged or declares more than it stores.
    """
    read(path)
    try:
        with PlainFolder(path) as folder:
            if os.path.isfile(os.path.join(folder, f"{VARIABLES}.index")):
                open_checkpoint(os.path.join(folder, VARIABLES))
            return tf.saved_model.load(folder, tags=tags)
    # For a damaged or foreign file, TensorFlow's loaders may raise any exception.
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"Cannot load the SavedModel {path}: {reason[:LONGEST_REASON]}. Copy or export it"
            " again."
        ) from error
