"""Opens untrusted TensorFlow checkpoints after checking the sizes that they declare.

TensorFlow allocates what the index declares. The index is a LevelDB table whose keys can refer to
characters of the previous key, so that a few bytes can declare a long list of long keys.
"""

from __future__ import annotations

import glob
import math
import os
import struct
from collections.abc import Iterator

from tf_biggan.checks import require
from tf_biggan.files import input_bounds
from tf_biggan.files.protobuf_files import varint

FOOTER_BYTES, MAGIC = 48, 0xDB4775248B80FB57
PLAIN = 0
# Bytes that a text occupies in memory. TensorFlow tells the size of all other types.
TEXT_BYTES = 24


def open_checkpoint(prefix: str):
    """Returns TensorFlow's reader of a checkpoint after checking its sizes.

    Raises:
      ValueError: The checkpoint declares more than its files hold, or its index is incomplete.
      tensorflow.errors.OpError: TensorFlow cannot read it.
      OSError: It does not exist.
    """
    import tensorflow as tf

    _check_keys(f"{prefix}.index")
    reader = tf.train.load_checkpoint(prefix)
    types = reader.get_variable_to_dtype_map()
    declared = sum(
        math.prod(shape) * (TEXT_BYTES if types[name] == tf.string else types[name].size)
        for name, shape in reader.get_variable_to_shape_map().items()
    )
    stored = sum(map(os.path.getsize, glob.glob(f"{glob.escape(prefix)}.data-*")))
    require(
        declared <= stored + input_bounds.FILLED_BYTES,
        "the checkpoint's index declares larger tensors than its files hold",
        declared_bytes=declared,
        stored_bytes=stored,
    )
    return reader


def num_stored(prefix: str) -> int:
    """Returns the total number of values in the tensors of a checkpoint."""
    return sum(map(math.prod, open_checkpoint(prefix).get_variable_to_shape_map().values()))


def _check_keys(path: str) -> None:
    with open(path, "rb") as file:
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
    """Yields the length of every key in a table."""
    footer = content[-FOOTER_BYTES:]
    whole = len(content) <= input_bounds.CHECKPOINT_INDEX_BYTES and len(footer) == FOOTER_BYTES
    whole = whole and int.from_bytes(footer[-8:], "little") == MAGIC
    require(whole, "the checkpoint's index is incomplete", bytes=len(content))
    position = 0
    # The footer begins with two places of two numbers each. The first is that of the meta-index,
    # which is not needed.
    for _ in range(2):
        position = varint(footer, position, FOOTER_BYTES)[1]
    for _, place in _entries(content, footer[position:]):
        for length, _ in _entries(content, place):
            yield length


def _entries(content: bytes, place: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (length of the key, value) for every entry of the block at an encoded place."""
    start, read = varint(place, 0, len(place))
    size, _ = varint(place, read, len(place))
    require(
        4 <= size < len(content) - start and content[start + size] == PLAIN,
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
