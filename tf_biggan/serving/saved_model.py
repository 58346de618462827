"""A SavedModel: its signatures as they are stored, and running them on arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2

from tf_biggan import checks, saved_model_files
from tf_biggan.model_store.export_metadata import read_metadata

SERVE_TAG = "serve"
# What SavedModels store beside the signatures that can be asked for.
INTERNAL_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    Attributes:
      dtype: of its elements.
      shape: None for a dimension of any size; None as a whole where the rank is not fixed.
    """

    dtype: tf.DType
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Signature:
    """A function of the model.

    Attributes:
      name: of the signature.
      inputs, outputs: by name.
      function: takes and gives tensors by these names.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    function: object

    @property
    def is_mergeable(self) -> bool:
        """Whether rows of an output never depend on which other rows are in the batch.

        An output with a further dimension of unknown size may be padded to the longest row.
        """
        shapes = [spec.shape for spec in self.outputs.values()]
        return all(shape and shape[0] is None and None not in shape[1:] for shape in shapes)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every output, by name.

        Args:
          inputs: arrays of the dtypes and shapes of `self.inputs`.

        Raises:
          tf.errors.OpError: the graph refuses them.
        """
        tensors = {
            name: tf.constant(array, self.inputs[name].dtype) for name, array in inputs.items()
        }
        outputs = self.function(**tensors)
        # A string that is no array would lose its zero bytes at the end.
        return {
            name: np.asarray(outputs[name], dtype=object if spec.dtype == tf.string else None)
            for name, spec in self.outputs.items()
        }


@dataclasses.dataclass(frozen=True, eq=False)
class SavedModel:
    """A SavedModel in memory.

    Attributes:
      signatures: by name.
      signature_defs: the same as JSON values, in the form of TensorFlow Serving's metadata.
      metadata: of assets.extra/tf_biggan.json; empty where there is none.
      loaded: keeps the variables alive that the signatures' functions read.
    """

    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, dict]
    metadata: Mapping[str, object]
    loaded: object


def load_saved_model(path: str) -> SavedModel:
    """Loads the SavedModel of a folder.

    Raises:
      ValueError: it cannot be read, or has no signatures for serving.
    """
    stored = _stored_signatures(path)
    checks.require(bool(stored), "the SavedModel must have signatures for serving", path=path)
    loaded = saved_model_files.load(path, tags=[SERVE_TAG])
    signatures = {
        name: Signature(
            name, _specs(definition.inputs), _specs(definition.outputs), loaded.signatures[name]
        )
        for name, definition in stored.items()
    }
    definitions = {name: _as_json(definition) for name, definition in stored.items()}
    return SavedModel(signatures, definitions, read_metadata(path), loaded)


def _stored_signatures(path: str) -> dict[str, meta_graph_pb2.SignatureDef]:
    message = saved_model_files.read(path)
    graphs = [graph for graph in message.meta_graphs if SERVE_TAG in graph.meta_info_def.tags]
    checks.require(bool(graphs), f"the SavedModel must have the tag {SERVE_TAG!r}", path=path)
    definitions = sorted(graphs[0].signature_def.items())
    return {name: value for name, value in definitions if name not in INTERNAL_SIGNATURES}


def _specs(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(tf.as_dtype(tensor.dtype), _shape(tensor.tensor_shape))
        for name, tensor in sorted(tensors.items())
    }


def _shape(shape) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if dimension.size < 0 else dimension.size for dimension in shape.dim)


def _as_json(definition: meta_graph_pb2.SignatureDef) -> dict:
    return json_format.MessageToDict(
        definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
