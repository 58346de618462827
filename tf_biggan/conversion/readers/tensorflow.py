"""Variables and constants of a TF1 SavedModel, such as a TF-Hub module, without TensorFlow 1.

TensorFlow is imported inside the functions: nothing else of the readers needs it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

import numpy as np

from tf_biggan import checks
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.plain_folder import PlainFolder

GRAPH_FILE = "saved_model.pb"
VARIABLES = os.path.join("variables", "variables")
MODULE_PREFIX = "module/"
# What may be computed: pure functions of constants.
PURE = frozenset({"Cast", "ConcatV2", "Const", "ExpandDims", "Identity", "Pack", "Reshape"})
PURE |= {"Squeeze", "StridedSlice", "Transpose"}


def is_module(path: str) -> bool:
    """Whether a folder holds a SavedModel with variables."""
    return os.path.isfile(os.path.join(path, f"{VARIABLES}.index"))


def read_variables(path: str) -> Tensors:
    """The variables of a SavedModel by name, without `module/` before it.

    Raises:
      ValueError: they cannot be read.
    """
    import tensorflow as tf

    # Held by every tensor, since the reader opens its files when they are first needed.
    folder = PlainFolder(path)
    try:
        reader = tf.train.load_checkpoint(os.path.join(folder.path, VARIABLES))
        shapes = reader.get_variable_to_shape_map()
        types = reader.get_variable_to_dtype_map()
    except (IndexError, RuntimeError, ValueError, tf.errors.OpError) as error:
        raise ValueError(
            f"A module's variables must be complete. Received: {path}"
            f" ({str(error).splitlines()[0]})."
        ) from error
    tensor = functools.partial(_variable, reader, folder, path)
    return Tensors(
        {
            name.removeprefix(MODULE_PREFIX): StoredTensor(
                tuple(shape), types[name].name, functools.partial(tensor, name)
            )
            for name, shape in shapes.items()
        }
    )


def _variable(reader, folder, path, name):
    import tensorflow as tf

    try:
        return np.asarray(reader.get_tensor(name))
    # What TensorFlow raises of a file that ends too early depends on where.
    except (IndexError, RuntimeError, tf.errors.OpError) as error:
        raise ValueError(
            f"A module's variables must be complete. Received: {path} ({name}:"
            f" {str(error).splitlines()[0]})."
        ) from error


class Graph:
    """The inference graph of a SavedModel: names of its nodes, and the constants among them.

    Args:
      path: folder of the SavedModel.

    Raises:
      ValueError: its graph cannot be read.
    """

    def __init__(self, path: str):
        from google.protobuf.message import DecodeError
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

        file_path = os.path.join(path, GRAPH_FILE)
        model = SavedModel()
        try:
            with open(file_path, "rb") as file:
                model.ParseFromString(file.read())
        except (OSError, DecodeError) as error:
            raise ValueError(
                f"A module's graph must be complete. Received: {file_path} ({error})."
            ) from error
        graphs = [g for g in model.meta_graphs if "train" not in g.meta_info_def.tags]
        checks.require(bool(graphs), "a module must have a graph for inference", path=file_path)
        self._graph = graphs[0].graph_def
        self.node_names = tuple(node.name for node in self._graph.node)

    def constants(self, names: Sequence[str]) -> list[np.ndarray]:
        """The first output of nodes that depend on constants alone.

        Raises:
          ValueError: one depends on something else; nothing is run then.
        """
        import tensorflow as tf

        part = tf.compat.v1.graph_util.extract_sub_graph(self._graph, list(names))
        others = sorted({f"{node.name} ({node.op})" for node in part.node if node.op not in PURE})
        checks.require(
            not others, "only what constants give is read from a graph", depends_on=others[:3]
        )
        with tf.Graph().as_default():
            tf.import_graph_def(part, name="")
            with tf.compat.v1.Session() as session:
                return session.run([f"{name}:0" for name in names])
