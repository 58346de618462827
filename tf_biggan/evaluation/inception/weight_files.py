"""Reads files with weights of Inception, without running any code in them.

There are three kinds: the frozen graph of 2015 (alone or in its .tgz), the state_dict that PyTorch
ports share (pytorch-fid, torch-fidelity), and the folder of TF-GAN's TF-Hub module. pytorch-fid and
torch-fidelity list the names of the graph's constants. TF-GAN's module is assumed to have the same
names behind a common prefix (a scope).
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import os
import tarfile
import typing
import zlib
from collections.abc import Callable

import numpy as np

from tf_biggan.checks import require
from tf_biggan.conversion.readers.files import read_tensors
from tf_biggan.conversion.readers.tensorflow import read_variables
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.evaluation.inception.inception_network import (
    BATCH_NORM_EPSILON,
    CLASSIFIER,
    NUM_CLASSES,
    NUM_FEATURES,
    convolutions,
)
from tf_biggan.files import file_system, input_bounds
from tf_biggan.files.json_files import file_sha256
from tf_biggan.files.tensorflow_files import SAVED_MODEL_FILE, parse_message

GRAPH_FILE = "classify_image_graph_def.pb"
GZIP_START = b"\x1f\x8b"
PYTORCH_STARTS = (b"PK", b"\x80")
LARGEST_GRAPH = input_bounds.GRAPH_BYTES


class Names(typing.NamedTuple):
    """Name patterns for the tensors of convolutions and classifier, and the order of their axes."""

    kernel: str
    beta: str
    gamma: str
    mean: str
    variance: str
    classifier: tuple[str, str]
    kernel_axes: tuple[int, ...]
    classifier_axes: tuple[int, ...]


TENSORFLOW = Names(
    "{scope}/conv2d_params",
    "{scope}/batchnorm/beta",
    "{scope}/batchnorm/gamma",
    "{scope}/batchnorm/moving_mean",
    "{scope}/batchnorm/moving_variance",
    classifier=("softmax/weights", "softmax/biases"),
    kernel_axes=(0, 1, 2, 3),
    classifier_axes=(0, 1),
)
PYTORCH = Names(
    "{name}.conv.weight",
    "{name}.bn.bias",
    "{name}.bn.weight",
    "{name}.bn.running_mean",
    "{name}.bn.running_var",
    classifier=(f"{CLASSIFIER}.weight", f"{CLASSIFIER}.bias"),
    kernel_axes=(2, 3, 1, 0),
    classifier_axes=(1, 0),
)


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """A file or folder with weights of Inception.

    Attributes:
      path: path of the file or folder.
      sha256: SHA-256 of the file; for a .tgz, of the graph in it; for a module, of the hashes of
        its files.
      names: patterns for the names of the tensors.
      tensors: function that reads the tensors. It raises ValueError if they cannot be read.
    """

    path: str
    sha256: str
    names: Names
    tensors: Callable[[], Tensors]

    def folded(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns the weights with batch norm folded into the convolutions.

        Returns:
          Pairs (kernel, bias) in float32 by the layer's name: [H, W, in, out] and [out] for a
          convolution, [2048, 1008] and [1008] for the classifier.

        Raises:
          ValueError: the tensors cannot be read, or are not those of the Inception
            network of 2015-12-05.
        """
        read = functools.partial(_tensor, self.tensors(), self.path)
        names = self.names
        folded = {}
        for conv, channels in convolutions():
            shape = (*conv.kernel, channels, conv.filters)
            kernel = read(names.kernel.format(**conv._asdict()), names.kernel_axes, shape)
            beta, gamma, mean, variance = (
                read(name.format(**conv._asdict()), (0,), (conv.filters,)) for name in names[1:5]
            )
            scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
            folded[conv.name] = _float32(kernel * scale), _float32(beta - mean * scale)
        weights, biases = names.classifier
        folded[CLASSIFIER] = (
            _float32(read(weights, names.classifier_axes, (NUM_FEATURES, NUM_CLASSES))),
            _float32(read(biases, (0,), (NUM_CLASSES,))),
        )
        return folded


def open_weight_file(path: str) -> WeightFile:
    """Opens a file or folder with weights of Inception; its content decides which kind it is.

    Raises:
      ValueError: the path does not exist or cannot be read, a folder is not a TF-Hub module, or an
        archive does not hold the graph.
    """
    accepted = f"a {GRAPH_FILE}, its archive, a PyTorch state_dict or the folder of a TF-Hub module"
    file_system.require_existing("path of Inception weights", path, accepted)
    if file_system.isdir(path):
        return _module(path)
    # Pipes and devices are refused, because reading them may never end.
    require(file_system.isfile(path), f"--inception_weights must be {accepted}", path=path)
    try:
        with file_system.open_file(path, "rb") as file:
            start = file.read(2)
            if start.startswith(PYTORCH_STARTS):
                return WeightFile(path, file_sha256(path), PYTORCH, lambda: read_tensors(path))
            graph = start + (b"" if start == GZIP_START else file.read(LARGEST_GRAPH))
    except OSError as error:
        raise ValueError(
            f"Cannot read the Inception weights {path}: {error.strerror}. Check the path and"
            " its permissions."
        ) from error
    if start == GZIP_START:
        graph = _graph_in_archive(path)
    sha256 = hashlib.sha256(graph).hexdigest()
    return WeightFile(path, sha256, TENSORFLOW, lambda: _graph_constants(graph, path))


def _graph_in_archive(path: str) -> bytes:
    try:
        with (
            file_system.open_file(path) as file,
            _Unpacked(path, file) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|") as archive,
        ):
            for member in archive:
                if os.path.basename(member.name) == GRAPH_FILE and member.isreg():
                    require(
                        member.size <= LARGEST_GRAPH and not member.issparse(),
                        f"the {GRAPH_FILE} in the archive is refused, because it has more"
                        f" than {LARGEST_GRAPH} bytes; download the archive again",
                        path=path,
                        size=member.size,
                    )
                    unpacked.left += member.size
                    return archive.extractfile(member).read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise ValueError(
            f"The archive {path} is damaged or incomplete ({error}). Download it again."
        ) from error
    raise ValueError(
        f"The archive {path} does not hold {GRAPH_FILE}. Download inception-2015-12-05.tgz again."
    )


class _Unpacked(gzip.GzipFile):
    """Decompresses a .tgz file. Raises ValueError once more than `left` further bytes are read."""

    def __init__(self, path: str, file: typing.IO[bytes]):
        super().__init__(path, "rb", fileobj=file)
        self.left = input_bounds.TAR_BYTES_BEFORE

    def read(self, size=-1):
        most = self.left + 1
        content = super().read(most if size < 0 else min(size, most))
        self.left -= len(content)
        require(
            self.left >= 0,
            f"the archive does not hold {GRAPH_FILE} within its first"
            f" {input_bounds.TAR_BYTES_BEFORE} bytes; download inception-2015-12-05.tgz again",
            path=self.name,
        )
        return content


def _graph_constants(graph: bytes, path: str) -> Tensors:
    from tensorflow.core.framework.graph_pb2 import GraphDef

    return Tensors(_constants(_parsed(GraphDef(), graph, path).node, path))


def _parsed(message, content: bytes, path: str):
    try:
        return parse_message(message, content, path)
    except ValueError as error:
        raise ValueError(
            f"Inception weights must be a complete {GRAPH_FILE} (or inception-2015-12-05.tgz), a"
            f" PyTorch state_dict, or the folder of a TF-Hub module. {error}"
        ) from error


def _constants(nodes, path: str) -> dict[str, StoredTensor]:
    """Returns the float32 constants of a graph by name, without running the graph."""
    import tensorflow as tf

    found = {}
    for node in nodes:
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
            stored = node.attr["value"].tensor
            # A file can declare a constant of any size with one number, so constants are read only
            # after their shapes are checked.
            shape = tuple(dim.size for dim in stored.tensor_shape.dim)
            read = functools.partial(_constant, stored, path, node.name)
            found[node.name] = StoredTensor(shape, "float32", read)
    return found


def _constant(stored, path, name):
    import tensorflow as tf

    try:
        return tf.make_ndarray(stored)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The graph {path} is damaged ({name}: {error}). Download it again."
        ) from error


def _module(path: str) -> WeightFile:
    graph_file = os.path.join(path, SAVED_MODEL_FILE)
    require(
        file_system.isfile(graph_file),
        f"a folder with Inception weights must be a TF-Hub module, which has a {SAVED_MODEL_FILE}",
        path=path,
    )
    parts = (
        [
            os.path.join(path, "variables", name)
            for name in sorted(file_system.listdir(os.path.join(path, "variables")))
            if name.startswith("variables.")
        ]
        if file_system.isdir(os.path.join(path, "variables"))
        else []
    )
    digest = hashlib.sha256()
    for part in [graph_file, *parts]:
        digest.update(bytes.fromhex(file_sha256(part)))
    read = functools.partial(_module_tensors, path, has_variables=bool(parts))
    return WeightFile(path, digest.hexdigest(), TENSORFLOW, read)


def _module_tensors(path: str, has_variables: bool) -> Tensors:
    """Returns the constants and variables of a module, with the common scope removed."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graph_file = os.path.join(path, SAVED_MODEL_FILE)
    with file_system.open_file(graph_file, "rb") as file:
        model = _parsed(SavedModel(), file.read(LARGEST_GRAPH), graph_file)
    found = {}
    for graph in (meta.graph_def for meta in model.meta_graphs):
        found.update(_constants(graph.node, path))
        for function in graph.library.function:
            found.update(_constants(function.node_def, path))
    if has_variables:
        found.update(read_variables(path).entries)
    return Tensors(_below_scope(found, path))


def _below_scope(tensors: dict[str, StoredTensor], path: str) -> dict[str, StoredTensor]:
    """Returns the tensors that share the classifier's prefix (scope), without this prefix."""
    weights = TENSORFLOW.classifier[0]
    scopes = [name.removesuffix(weights) for name in tensors if name.endswith(weights)]
    require(
        len(scopes) == 1,
        "the TF-Hub module does not hold this Inception network: it must have exactly one tensor"
        f" whose name ends in {weights!r}",
        path=path,
        found=[scope + weights for scope in scopes[:3]],
    )
    return {
        name.removeprefix(scopes[0]): value
        for name, value in tensors.items()
        if name.startswith(scopes[0])
    }


def _tensor(tensors: Tensors, path: str, name: str, axes, shape) -> np.ndarray:
    """Reads one tensor as float64 and transposes it to the given axes."""
    require(
        name in tensors,
        "the weights are not those of the Inception network of 2015-12-05: the tensor"
        f" {name!r} is missing",
        path=path,
        num_tensors=len(tensors),
    )
    entry = tensors.entries[name]
    expected = tuple(shape[axes.index(i)] for i in range(len(axes)))
    require(
        entry.shape == expected and "float" in entry.dtype,
        f"the weights are not those of the Inception network of 2015-12-05: {name!r} must"
        f" have the shape {expected} and a floating-point type",
        path=path,
        shape=entry.shape,
        dtype=entry.dtype,
    )
    stored = entry.read()
    require(
        bool(np.isfinite(stored).all()),
        f"the Inception weights are damaged: {name!r} holds numbers that are not finite;"
        " download the file again",
        path=path,
        finite=False,
    )
    return stored.transpose(axes).astype(np.float64)


def _float32(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)
