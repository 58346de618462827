"""Reads variables and constants of a TensorFlow 1 SavedModel, such as a TF-Hub module.

TensorFlow is imported inside the functions, because the other readers do not need it.
"""

from __future__ import annotations

import functools
import math
import os
import struct
from collections.abc import Iterable, Sequence

import numpy as np

from tf_biggan import checks
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.files import file_system, input_bounds
from tf_biggan.files.file_paths import PlainFolder
from tf_biggan.files.tensorflow_files import open_checkpoint, read_message

GRAPH_FILE = "saved_model.pb"
VARIABLES = os.path.join("variables", "variables")
MODULE_PREFIX = "module/"
# Errors that reading a damaged checkpoint raises, besides TensorFlow's own.
UNREADABLE = (IndexError, OSError, RuntimeError, ValueError, struct.error)
LONGEST_REASON = 200
# Operations that may be run, because they only compute a result from their inputs.
PURE = frozenset({"Cast", "ConcatV2", "Const", "ExpandDims", "Identity", "Pack", "Reshape"})
PURE |= {"Squeeze", "StridedSlice", "Transpose"}


def is_module(path: str) -> bool:
    """Returns whether a folder holds a SavedModel with variables."""
    return file_system.isfile(os.path.join(path, f"{VARIABLES}.index"))


def read_variables(path: str) -> Tensors:
    """Returns the variables of a SavedModel by name, without the prefix `module/`.

    Raises:
      ValueError: The variables cannot be read.
    """
    import tensorflow as tf

    # Every tensor keeps a reference to the folder, because the reader opens files only when needed.
    folder = PlainFolder(path)
    try:
        reader = open_checkpoint(os.path.join(folder.path, VARIABLES))
        shapes = reader.get_variable_to_shape_map()
        types = reader.get_variable_to_dtype_map()
    except UNREADABLE + (tf.errors.OpError,) as error:
        raise _incomplete(path, "variables", error) from error
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
    # The type of TensorFlow's error for a truncated file depends on where the file ends.
    except UNREADABLE + (tf.errors.OpError,) as error:
        raise _incomplete(path, "variables", error, f"{name}: ") from error


def _incomplete(path, what, error, name=""):
    reason = (str(error) or type(error).__name__).splitlines()[0][:LONGEST_REASON]
    return ValueError(
        f"Cannot read the {what} of the TF-Hub module {path} ({name}{reason}). Download it again."
    )


class Graph:
    """Inference graph of a SavedModel.

    Args:
      path: Folder of the SavedModel.

    Attributes:
      node_names: Names of the graph's nodes.

    Raises:
      ValueError: The graph cannot be read.
    """

    def __init__(self, path: str):
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

        file_path = os.path.join(path, GRAPH_FILE)
        try:
            model = read_message(SavedModel(), file_path)
        except ValueError as error:
            raise _incomplete(file_path, "graph", error) from error
        graphs = [g for g in model.meta_graphs if "train" not in g.meta_info_def.tags]
        checks.require(
            bool(graphs),
            "the TF-Hub module has no graph for inference; download it again",
            path=file_path,
        )
        self._path, self._graph = file_path, graphs[0].graph_def
        self.node_names = tuple(node.name for node in self._graph.node)

    def constants(self, names: Sequence[str]) -> list[np.ndarray]:
        """Returns the first output of each requested node. The nodes must depend on constants only.

        Args:
          names: Names of the nodes.

        Raises:
          ValueError: A node depends on something other than constants. In this case, nothing is
            run.
        """
        import tensorflow as tf

        try:
            part = tf.compat.v1.graph_util.extract_sub_graph(self._graph, list(names))
        except (AssertionError, KeyError) as error:  # An input of a node does not exist.
            raise _incomplete(self._path, "graph", error) from error
        others = sorted({f"{node.name} ({node.op})" for node in part.node if node.op not in PURE})
        checks.require(
            not others,
            "cannot read the statistics of the TF-Hub module: its graph computes them from"
            " other values than constants",
            depends_on=others[:3],
        )
        try:
            _check_sizes(map(_constant_bytes, part.node))
            with tf.Graph().as_default() as graph:
                tf.import_graph_def(part, name="")
                _check_sizes(
                    _result_bytes(one) for op in graph.get_operations() for one in op.outputs
                )
                with tf.compat.v1.Session() as session:
                    return session.run([f"{name}:0" for name in names])
        except (KeyError, TypeError, tf.errors.OpError) as error:
            raise _incomplete(self._path, "graph", error) from error


def _check_sizes(sizes: Iterable[int]) -> None:
    """Raises ValueError if arrays together exceed the limit on computed bytes.

    Without this limit, a small file could fill the memory: a graph can store a constant of any size
    as one number, and many results can be computed from one constant.
    """
    limit = input_bounds.COMPUTED_BYTES
    total = sum(sizes)
    checks.require(
        total <= limit,
        "the TF-Hub module is refused, because the constants of its graph need more than"
        f" {limit} bytes; download the module again",
        bytes=total,
    )


def _constant_bytes(node) -> int:
    tensor = node.attr["value"].tensor
    return _num_bytes([dim.size for dim in tensor.tensor_shape.dim], tensor.dtype)


def _result_bytes(tensor) -> int:
    known = tensor.shape.is_fully_defined()
    checks.require(
        known,
        "cannot read the statistics of the TF-Hub module: a result of its graph has no known shape",
        tensor=tensor.name,
    )
    return _num_bytes(tensor.shape.as_list(), tensor.dtype.as_datatype_enum)


def _num_bytes(shape: Sequence[int], dtype: int) -> int:
    import tensorflow as tf

    # The dtype is 0 for a node without a value.
    if not dtype:
        return 0
    kind = tf.dtypes.as_dtype(dtype)
    # Constants of texts are refused: one stored text can be copied to any number of elements.
    number = kind.is_floating or kind.is_integer or kind.is_bool
    plain = number and min(shape, default=0) >= 0
    checks.require(
        plain,
        "cannot read the statistics of the TF-Hub module: a constant of its graph is not an"
        " array of numbers",
        dtype=kind.name,
        shape=shape,
    )
    return math.prod(shape) * kind.size
