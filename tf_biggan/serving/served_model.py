"""Finds and loads the versions of a SavedModel, and runs their signatures on arrays."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2

from tf_biggan import checks
from tf_biggan.files import file_system, tensorflow_files
from tf_biggan.serving.request_errors import RequestError
from tf_biggan.store.opened_model import is_saved_model, read_metadata, require_no_other_export

# Version number of a SavedModel whose folder name is not a number.
ONLY_VERSION = 1
MAX_VERSION = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """Dtype and shape of an input or output of a signature.

    Attributes:
      dtype: Dtype of the elements.
      shape: Size of each dimension, None for a dimension of any size. The whole shape is None if
        the rank is unknown.
    """

    dtype: tf.DType
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Signature:
    """A signature of a SavedModel: a named function with named inputs and outputs.

    Attributes:
      name: Name of the signature.
      inputs, outputs: Dtypes and shapes by name.
      function: Function that takes tensors as keyword arguments and returns tensors by name.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    function: object

    @property
    def is_mergeable(self) -> bool:
        """Whether the rows of several requests can be run as one batch with the same results.

        This is not possible if an output has unknown sizes besides its number of rows, because the
        rows of that output may be padded to the longest row of the batch.
        """
        shapes = [spec.shape for spec in self.outputs.values()]
        return all(shape and shape[0] is None and None not in shape[1:] for shape in shapes)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the signature and returns its outputs by name.

        Args:
          inputs: Arrays by name, with the dtypes and shapes of `self.inputs`.

        Raises:
          tf.errors.OpError: The graph refuses the inputs.
        """
        tensors = {
            name: tf.constant(array, self.inputs[name].dtype) for name, array in inputs.items()
        }
        outputs = self.function(**tensors)
        # Without dtype=object, NumPy would drop zero bytes at the end of a scalar string.
        return {
            name: np.asarray(outputs[name], dtype=object if spec.dtype == tf.string else None)
            for name, spec in self.outputs.items()
        }


@dataclasses.dataclass(frozen=True, eq=False)
class SavedModel:
    """A SavedModel that was loaded into memory.

    Attributes:
      signatures: Signatures by name.
      signature_defs: The same signatures as JSON values, in the form of TensorFlow Serving's
        metadata.
      metadata: Content of assets.extra/tf_biggan.json, or {} if the file does not exist.
      loaded: The loaded object. It must be kept, because the signatures read its variables.
    """

    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, dict]
    metadata: Mapping[str, object]
    loaded: object


def load_saved_model(path: str) -> SavedModel:
    """Loads the SavedModel in a folder.

    Raises:
      ValueError: The SavedModel cannot be read, or has no signatures for serving.
    """
    stored = tensorflow_files.serving_signatures(path)
    checks.require(
        bool(stored),
        "the SavedModel has no signatures to serve; export it with `python -m tf_biggan.export`",
        path=path,
    )
    loaded = tensorflow_files.load_saved_model(path, tags=[tensorflow_files.SERVE_TAG])
    signatures = {
        name: Signature(
            name, _specs(definition.inputs), _specs(definition.outputs), loaded.signatures[name]
        )
        for name, definition in stored.items()
    }
    definitions = {name: _as_json(definition) for name, definition in stored.items()}
    return SavedModel(signatures, definitions, read_metadata(path), loaded)


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


@dataclasses.dataclass(frozen=True)
class ModelVersions:
    """Name of a model and the folders of its versions.

    Attributes:
      name: Name of the model in the addresses of the API.
      folders: Folder of the SavedModel of each version, by version number.
    """

    name: str
    folders: Mapping[int, str]

    @property
    def newest(self) -> int:
        """Largest version number. This version answers requests that name no version."""
        return max(self.folders)


def find_versions(path: str) -> ModelVersions:
    """Finds the versions of a model.

    Args:
      path: Folder of a SavedModel, or folder that holds SavedModels in folders named by numbers.

    Returns:
      The versions. The model is named after its folder. If `path` is a SavedModel whose folder name
      is a number, the model is named after the parent folder.

    Raises:
      ValueError: There is no SavedModel at `path`.
    """
    path = file_system.absolute(path)
    file_system.require_existing(
        "folder to serve", path, "a SavedModel, or a folder of its versions"
    )
    if is_saved_model(path):
        number = version_number(os.path.basename(path))
        return ModelVersions(model_name(path), {ONLY_VERSION if number is None else number: path})
    entries = file_system.listdir(path) if file_system.isdir(path) else []
    found = {os.path.join(path, entry): version_number(entry) for entry in entries}
    folders = {
        number: folder
        for folder, number in found.items()
        if number is not None and is_saved_model(folder)
    }
    if not folders:
        require_no_other_export(path, "--format=saved_model")
    checks.require(
        bool(folders),
        f"the folder holds neither a {tensorflow_files.SAVED_MODEL_FILE} nor versions of a"
        f" SavedModel, such as {path}/1; give the folder that `export` wrote",
        path=path,
    )
    return ModelVersions(_folder_name(path), dict(sorted(folders.items())))


def version_number(name: str) -> int | None:
    """Returns the version number that a folder's name stands for, or None if it is not a number.

    TensorFlow Serving reads names in the same way.
    """
    is_version = name.isascii() and name.isdecimal() and int(name) <= MAX_VERSION
    return int(name) if is_version else None


def model_name(path: str) -> str:
    """Returns the name under which a SavedModel is served.

    This is the name of its folder. If the folder is named by a version number, the model has the
    name of the parent folder.
    """
    parent, last = os.path.split(file_system.absolute(path))
    return _folder_name(path if version_number(last) is None else parent)


def _folder_name(path: str) -> str:
    # A colon ends the name in the addresses of the API.
    return os.path.basename(file_system.absolute(path)).replace(":", "_") or "model"


class ServedModel:
    """Holds all versions of a model. Loads the newest at once, and others at their first request.

    Args:
      versions: Name of the model and folders of its versions.
      thread: Executor in which versions are loaded on request.

    Raises:
      ValueError: The newest version cannot be loaded.
    """

    def __init__(self, versions: ModelVersions, thread: ThreadPoolExecutor):
        self.versions, self._thread = versions, thread
        self._loaded = {versions.newest: load_saved_model(versions.folders[versions.newest])}
        self._broken: dict[int, str] = {}
        self._loading = asyncio.Lock()

    @property
    def name(self) -> str:
        """Name of the model in the addresses of the API."""
        return self.versions.name

    async def get(self, name: str, version: int | None) -> SavedModel:
        """Returns a version of the model, loading it first if necessary.

        Args:
          name: Name of the model in the request.
          version: Number of the version, or None for the newest.

        Raises:
          RequestError: The model has another name, or the version does not exist or cannot be
            loaded.
        """
        number = self.number(name, version)
        async with self._loading:
            if number not in self._loaded and number not in self._broken:
                await self._load(number)
        if number in self._broken:
            raise RequestError(404, self._broken[number])
        return self._loaded[number]

    def number(self, name: str, version: int | None) -> int:
        """Returns the number of the version that a request asks for; arguments as for `get`.

        Raises:
          RequestError: The model has another name, or the version does not exist.
        """
        if name != self.name:
            raise RequestError(404, f"This server has no model {name!r}; it serves {self.name!r}.")
        if version is None:
            return self.versions.newest
        if version not in self.versions.folders:
            there = ", ".join(map(str, self.versions.folders))
            raise RequestError(
                404, f"This server has no version {version} of {name!r}; it has {there}."
            )
        return version

    def error(self, number: int) -> str | None:
        """Returns why a version could not be loaded, or None if no attempt has failed."""
        return self._broken.get(number)

    async def _load(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        folder = self.versions.folders[number]
        try:
            loaded = await loop.run_in_executor(self._thread, load_saved_model, folder)
        except ValueError as error:
            self._broken[number] = str(error)
        else:
            self._loaded[number] = loaded
