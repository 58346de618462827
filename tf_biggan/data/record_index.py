"""Random access to images in TFRecord files, by an index of where every record starts."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.progress import Progress
from tf_biggan.data import decoding
from tf_biggan.data.source import Source

# Length (8 bytes) and its checksum (4) precede a record, the checksum of its bytes (4) follows.
FRAMING_BYTES = 16
READ_BUFFER_BYTES = 1 << 20
SCANNED_AT_ONCE = 8


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """Positions and labels of N records.

    Attributes:
      files: Paths of the TFRecord files.
      file_of: Index in `files` of the file that holds the record, int32 [N].
      offsets: Byte at which the record's frame begins, int64 [N].
      labels: Class of every image, int32 [N].
    """

    files: tuple[str, ...]
    file_of: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray

    def select(self, kept: np.ndarray) -> RecordIndex:
        """Returns the index of some records; kept: booleans [N] or an array of record numbers."""
        return dataclasses.replace(
            self,
            file_of=self.file_of[kept],
            offsets=self.offsets[kept],
            labels=self.labels[kept],
        )


class RecordSource(Source):
    """Images in TFRecord files. Record i is read by seeking to its position.

    `contents_of` maps a record (string scalar) to the encoded image (string scalar).
    """

    def __init__(
        self,
        name: str,
        class_names: tuple[str, ...],
        index: RecordIndex,
        contents_of: Callable[[tf.Tensor], tf.Tensor],
    ):
        super().__init__(name, class_names, index.labels)
        self._index = index
        self._contents_of = contents_of
        with tf.device("CPU:0"):
            self._files = tf.constant(index.files)
            self._file_of = tf.constant(index.file_of)
            self._offsets = tf.constant(index.offsets)

    def load(self, index, channels):
        file, offset = self._files[self._file_of[index]], self._offsets[index]
        name = tf.strings.join([file, " at byte ", tf.strings.as_string(offset)])
        encoded = _record_at(file, offset).map(self._contents_of)
        return decoding.decode_named(encoded, name, channels)

    def locate(self, index):
        file = self._index.files[self._index.file_of[index]]
        return f"{file} at byte {self._index.offsets[index]}"

    def index_parts(self):
        for file in self._index.files:
            yield os.path.basename(file).encode() + b"\0"
        yield np.asarray(self._index.file_of, "<i4").tobytes()
        yield np.asarray(self._index.offsets, "<i8").tobytes()


def scan(
    files: tuple[str, ...], label_of: Callable[[tf.Tensor], tf.Tensor], title: str
) -> RecordIndex:
    """Reads every record once, several files in parallel, and returns positions and labels.

    Args:
      label_of: Function from a record (string scalar) to its class (integer scalar).
      title: Title of the progress bar.

    Raises:
      ValueError: A file is missing, truncated or damaged. The message names the file.
    """

    def blocks_of(file_number):
        records = tf.data.TFRecordDataset(tf.constant(files)[file_number], None, READ_BUFFER_BYTES)
        rows = records.map(
            lambda record: (
                file_number,
                tf.strings.length(record),
                tf.cast(label_of(record), tf.int32),
            )
        )
        return rows.batch(1024)

    file_numbers = tf.data.Dataset.range(len(files), output_type=tf.int32)
    blocks = file_numbers.interleave(
        blocks_of, cycle_length=SCANNED_AT_ONCE, num_parallel_calls=tf.data.AUTOTUNE
    )
    found = [[(np.zeros(0, np.int64), np.zeros(0, np.int32))] for _ in files]
    progress = Progress(title, sum(tf.io.gfile.stat(file).length for file in files), unit="bytes")
    try:
        for numbers, lengths, labels in blocks.as_numpy_iterator():
            framed = lengths.astype(np.int64) + FRAMING_BYTES
            found[numbers[0]].append((framed, labels))
            progress.add(int(framed.sum()))
    except (
        tf.errors.DataLossError,
        tf.errors.InvalidArgumentError,
        tf.errors.NotFoundError,
    ) as error:
        raise ValueError(
            "TFRecord files must be complete and undamaged; write the damaged one again."
            f" Received: {_damaged(files) or error.message.splitlines()[0]!r}."
        ) from None
    progress.close()
    return _joined(files, found)


def _joined(files: tuple[str, ...], found: list) -> RecordIndex:
    framed = [np.concatenate([lengths for lengths, _ in blocks]) for blocks in found]
    labels = [np.concatenate([labels for _, labels in blocks]) for blocks in found]
    return RecordIndex(
        files=files,
        file_of=np.repeat(np.arange(len(files), dtype=np.int32), [len(f) for f in framed]),
        offsets=np.concatenate([np.cumsum(f) - f for f in framed]),
        labels=np.concatenate(labels),
    )


def _damaged(files: tuple[str, ...]) -> str | None:
    for file in files:
        try:
            for _ in tf.data.TFRecordDataset(file, None, READ_BUFFER_BYTES):
                pass
        except tf.errors.DataLossError:
            return file
    return None


def _record_at(file: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    """Returns a data set with one record (string scalar), whose frame begins at `offset`."""
    # The public class takes no offsets, the operation behind it does; it seeks.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[file],
        compression_type="",
        buffer_size=tf.constant(READ_BUFFER_BYTES // 16, tf.int64),
        byte_offsets=[offset],
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(1)


def require_files(files: tuple[str, ...], rule: str) -> None:
    """Raises a ValueError with `rule` and the first missing names unless all files exist."""
    missing = [file for file in files if not tf.io.gfile.exists(file)]
    checks.require(not missing, rule, missing=missing[:3])
