"""Writes folders like DeepMind's TF-Hub modules: a TF1 SavedModel with variables and a graph."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

# The stack operations with the numbers 10 j + n, for these n, hold the statistics of batch norms.
STATISTICS_AMONG_TEN = (1, 3, 6, 8)


def write_module(folder: pathlib.Path, variables: dict, graph=None, scope="") -> pathlib.Path:
    """Writes a TF-Hub module and returns its folder.

    Args:
      folder: Folder to write.
      variables: Arrays by name.
      graph: Graph of the module; None for a module without statistics.
      scope: Prefix of every variable's name.
    """
    (folder / "variables").mkdir(parents=True)
    names = sorted(variables)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "variables" / "variables"),
        tensor_names=[scope + name for name in names],
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(variables[name]) for name in names],
    )
    model = SavedModel()
    training = model.meta_graphs.add()
    training.meta_info_def.tags.append("train")
    inference = model.meta_graphs.add()
    inference.graph_def.CopyFrom(statistics_graph([]) if graph is None else graph)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


def statistics_graph(tables, rows_of=tf.constant):
    """Returns a graph with tables [truncations, C], which are stacks of rows as in the modules.

    Args:
      tables: Tables in the order of the layers.
      rows_of: Function that makes the tensor of one row of a table.
    """
    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(tf.float32, [], name="truncation")
        remaining, number = list(tables), 0
        while remaining:
            if number % 10 in STATISTICS_AMONG_TEN:
                rows = [rows_of(row) for row in remaining.pop(0)]
                tf.stack(rows, name=f"stack_{number}")
            else:
                tf.stack([tf.constant(float(number))], name=f"stack_{number}")
            number += 1
    return graph.as_graph_def()


def hub_sigma(kernel: np.ndarray, u0: np.ndarray) -> float:
    """Returns the sigma of a kernel [..., outputs] as the modules compute it, in float64."""

    def scaled(x):
        return x / np.sqrt((x * x).sum() + 1e-4)

    matrix = kernel.reshape(-1, kernel.shape[-1]).astype("float64")
    v = scaled(u0.reshape(1, -1).astype("float64") @ matrix.T)
    u = scaled(v @ matrix)
    return float(np.squeeze((v @ matrix) @ u.T))
