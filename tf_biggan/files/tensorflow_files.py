"""Reads untrusted protocol buffers, checkpoints and SavedModels after checking their sizes.

A parsed message of two bytes occupies a hundred bytes in memory. The fields of a large file are
therefore counted before the file is parsed.

TensorFlow allocates as much memory as the index of a checkpoint declares. The index is a LevelDB
table in which a key can reuse the beginning of the previous key, so a few bytes can declare a long
list of long keys.
"""

from __future__ import annotations

import itertools
import math
import os
import struct
from collections.abc import Iterator, Sequence
from typing import TypeVar

import tensorflow as tf
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tf_biggan.checks import require
from tf_biggan.files import file_system, input_bounds
from tf_biggan.files.file_paths import PlainFolder

MessageT = TypeVar("MessageT", bound=Message)
# Wire types of fields: numbers of variable length, fields that begin with their length, and fields
# of 8 and of 4 bytes.
VARINT, LENGTH, FIXED = 0, 2, {1: 8, 5: 4}
PACKED = "packed"
ONE_BYTE = 127
# Types of numbers that may occupy one byte in the file and four or eight bytes in memory.
VARINT_TYPES = frozenset(
    getattr(FieldDescriptor, f"CPPTYPE_{name}")
    for name in ("INT32", "INT64", "UINT32", "UINT64", "ENUM")
)
FOOTER_BYTES, INDEX_MAGIC = 48, 0xDB4775248B80FB57
UNCOMPRESSED = 0
# Bytes that a text occupies in memory. TensorFlow tells the size of all other types.
TEXT_BYTES = 24
SAVED_MODEL_FILE = "saved_model.pb"
SERVE_TAG = "serve"
# Entries that TensorFlow stores among the signatures and that cannot be called.
INTERNAL_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")
SAVED_MODEL_VARIABLES = os.path.join("variables", "variables")
LONGEST_REASON = 200


def read_message(message: MessageT, path: str | os.PathLike) -> MessageT:
    """Parses a file into a protocol buffer message and returns the message.

    Raises:
      ValueError: The file does not exist, is damaged or is too large.
    """
    try:
        with file_system.open_file(path) as file:
            content = file.read(input_bounds.GRAPH_BYTES + 1)
    except OSError as error:
        raise _damaged(message, path, error.strerror) from error
    return parse_message(message, content, path)


def parse_message(message: MessageT, content: bytes, path: str | os.PathLike) -> MessageT:
    """Parses bytes into a message and returns it. `path` names the file in errors."""
    if len(content) > input_bounds.GRAPH_BYTES:
        raise _damaged(
            message,
            path,
            f"it has more than {input_bounds.GRAPH_BYTES} bytes, the limit for graphs",
        )
    if len(content) > input_bounds.SMALL_GRAPH_BYTES:
        fields = _count_fields(content, message.DESCRIPTOR, input_bounds.GRAPH_FIELDS)
        if fields > input_bounds.GRAPH_FIELDS:
            raise _damaged(
                message,
                path,
                f"it has more than {input_bounds.GRAPH_FIELDS} fields, the limit for graphs",
            )
    try:
        message.ParseFromString(content)
    # ParseFromString raises a ValueError for a text that is not UTF-8.
    except (DecodeError, ValueError) as error:
        raise _damaged(message, path, error) from error
    return message


def _damaged(message, path, reason) -> ValueError:
    kind = message.DESCRIPTOR.name
    return ValueError(f"Cannot read the {kind} {os.fspath(path)!r}: {reason}.")


def _count_fields(content: bytes, kind: Descriptor, limit: int) -> int:
    """Counts fields and packed numbers in a message and its submessages, up to `limit`.

    In a damaged message, only the fields before the damage are counted.
    """
    count, left, tables = 0, [(0, len(content), kind)], {}
    while left and count <= limit:
        position, end, kind = left.pop()
        lengths = tables.get(kind) or tables.setdefault(kind, _of_lengths(kind))
        while position < end and count <= limit:
            count += 1
            tag = content[position]
            position += 1
            if tag > ONE_BYTE:
                tag, position = varint(content, position - 1, end)
            if tag & 7 == LENGTH:
                length, position = varint(content, position, end)
                inside, inner = min(position + length, end), lengths.get(tag >> 3)
                if inner is PACKED:
                    count += inside - position
                elif inner is not None:
                    left.append((position, inside, inner))
                position = inside
            elif tag & 7 == VARINT:
                position = varint(content, position, end)[1]
            else:
                position += FIXED.get(tag & 7, 0)
    return count


def _of_lengths(kind: Descriptor) -> dict[int, Descriptor | str]:
    """Maps field numbers to message types, or to `PACKED` for numbers that may be packed."""
    found = {number: field.message_type for number, field in kind.fields_by_number.items()}
    packed = {n: PACKED for n, f in kind.fields_by_number.items() if f.cpp_type in VARINT_TYPES}
    return {number: inner for number, inner in (found | packed).items() if inner is not None}


def varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """Returns a variable-length number and the position after it."""
    value = shift = 0
    while position < end:
        byte = content[position]
        position += 1
        value |= (byte & ONE_BYTE) << shift
        shift += 7
        if byte <= ONE_BYTE or shift > 63:
            break
    return value, position


def open_checkpoint(prefix: str):
    """Returns TensorFlow's reader of a checkpoint after checking the checkpoint's sizes.

    Raises:
      ValueError: The checkpoint declares larger tensors than its files hold, or its index is
        incomplete or too large.
      tensorflow.errors.OpError: TensorFlow cannot read the checkpoint.
      OSError: The checkpoint does not exist.
    """
    import tensorflow as tf

    _check_keys(f"{prefix}.index")
    # tf.train.load_checkpoint would first ask whether the prefix is a folder, and some file systems
    # answer that it is.
    reader = tf.compat.v1.train.NewCheckpointReader(prefix)
    types = reader.get_variable_to_dtype_map()
    declared = sum(
        math.prod(shape) * (TEXT_BYTES if types[name] == tf.string else types[name].size)
        for name, shape in reader.get_variable_to_shape_map().items()
    )
    stored = sum(map(file_system.getsize, data_files(prefix)))
    require(
        declared <= stored + input_bounds.FILLED_BYTES,
        "the checkpoint's index declares larger tensors than its files hold",
        declared_bytes=declared,
        stored_bytes=stored,
    )
    return reader


def data_files(prefix: str) -> list[str]:
    """Returns the paths of the files that hold the tensors of a checkpoint, in order."""
    folder, name = os.path.split(prefix)
    names = file_system.listdir(folder or os.curdir)
    return sorted(os.path.join(folder, n) for n in names if n.startswith(f"{name}.data-"))


def num_stored(prefix: str) -> int:
    """Returns the total number of values in the tensors of a checkpoint."""
    return sum(map(math.prod, open_checkpoint(prefix).get_variable_to_shape_map().values()))


def _check_keys(path: str) -> None:
    with file_system.open_file(path) as file:
        content = file.read(input_bounds.CHECKPOINT_INDEX_BYTES + 1)
    count = characters = 0
    for length in _key_lengths(content):
        count, characters = count + 1, characters + length
        require(
            count <= input_bounds.TENSORS and characters <= input_bounds.CHECKPOINT_INDEX_BYTES,
            f"the checkpoint's index has more than {input_bounds.TENSORS} keys or"
            f" {input_bounds.CHECKPOINT_INDEX_BYTES} characters",
            keys=count,
            characters=characters,
        )


def _key_lengths(content: bytes) -> Iterator[int]:
    """Yields the length of every key in the index of a checkpoint."""
    footer = content[-FOOTER_BYTES:]
    whole = len(content) <= input_bounds.CHECKPOINT_INDEX_BYTES and len(footer) == FOOTER_BYTES
    whole = whole and int.from_bytes(footer[-8:], "little") == INDEX_MAGIC
    require(whole, "the checkpoint's index is incomplete", bytes=len(content))
    position = 0
    # The footer begins with the places of two blocks, each given by two numbers. The first block is
    # the meta-index, which is not needed.
    for _ in range(2):
        position = varint(footer, position, FOOTER_BYTES)[1]
    for _, place in _entries(content, footer[position:]):
        for length, _ in _entries(content, place):
            yield length


def _entries(content: bytes, place: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (length of key, value) for each entry of the block whose start and size `place` holds.

    `place` holds two numbers of variable length; see `varint`.
    """
    start, read = varint(place, 0, len(place))
    size, _ = varint(place, read, len(place))
    require(
        4 <= size < len(content) - start and content[start + size] == UNCOMPRESSED,
        "a block of the checkpoint's index is compressed or lies outside of the file",
        start=start,
        bytes=size,
    )
    block = content[start : start + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    position, end = 0, size - 4 * (restarts + 1)
    while position < end:
        shared, position = varint(block, position, end)
        own, position = varint(block, position, end)
        length, position = varint(block, position, end)
        position += own
        yield shared + own, block[position : position + length]
        position += length


def read_saved_model(path: str) -> saved_model_pb2.SavedModel:
    """Returns the SavedModel message of a folder after checking the sizes of its constants.

    Raises:
      ValueError: The file is damaged, or its constants declare far more values than they store.
        The error names the file.
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
    require(
        filled <= input_bounds.FILLED_BYTES,
        "the SavedModel is refused, because its constants declare more than"
        f" {input_bounds.FILLED_BYTES} bytes that are not in the file; copy or download it again",
        path=file,
        bytes=filled,
    )
    return model


def serving_signatures(path: str) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Returns the callable signatures of the SavedModel in a folder, sorted by name.

    Raises:
      ValueError: The SavedModel cannot be read, is incomplete, or has no graph for serving.
    """
    message = read_saved_model(path)
    require(
        bool(message.meta_graphs),
        "the SavedModel is incomplete; copy or export it again",
        path=path,
    )
    graphs = [graph for graph in message.meta_graphs if SERVE_TAG in graph.meta_info_def.tags]
    require(
        bool(graphs),
        f"the SavedModel has no graph with the tag {SERVE_TAG!r}, which serving needs; export it"
        " again",
        path=path,
    )
    definitions = sorted(graphs[0].signature_def.items())
    return {name: value for name, value in definitions if name not in INTERNAL_SIGNATURES}


def _filled_bytes(node) -> int:
    """Returns how many bytes a constant occupies beyond those that the file stores."""
    tensor = node.attr["value"].tensor
    count = math.prod(max(0, dim.size) for dim in tensor.tensor_shape.dim)
    if tensor.string_val:
        # The last text stands for all texts that are not stored. Each of them becomes a copy in
        # memory.
        return max(0, count - len(tensor.string_val)) * len(tensor.string_val[-1])
    return max(0, count * tf.dtypes.as_dtype(tensor.dtype or tf.uint8).size - tensor.ByteSize())


def load_saved_model(path: str, tags: Sequence[str] | None = None):
    """Loads a SavedModel by `tf.saved_model.load` after checking its sizes.

    Raises:
      ValueError: The SavedModel is damaged, declares more values than it stores, or holds several
        graphs although `tags` is None.
    """
    graphs = read_saved_model(path).meta_graphs
    require(
        tags is not None or len(graphs) == 1,
        "the SavedModel has several graphs, as modules of TensorFlow 1 have. If it is a BigGAN of"
        " DeepMind, run `python -m tf_biggan.convert` with it as --input, and use the output",
        path=path,
        graphs=len(graphs),
    )
    try:
        with PlainFolder(path) as folder:
            if file_system.isfile(os.path.join(folder, f"{SAVED_MODEL_VARIABLES}.index")):
                open_checkpoint(os.path.join(folder, SAVED_MODEL_VARIABLES))
            return tf.saved_model.load(folder, tags=tags)
    # For a damaged or foreign file, TensorFlow's loaders may raise any exception.
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"Cannot load the SavedModel {path}: {reason[:LONGEST_REASON]}. Copy or export it"
            " again."
        ) from error
