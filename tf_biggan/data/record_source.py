"""Reads images from TFRecord files: one at its position, or many in long pieces of the files.

The index of a `RecordSource` holds the position and the label of every record.
"""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.terminal import Progress
from tf_biggan.data import decoding
from tf_biggan.data.source import UNKNOWN_BYTES, Source

# The frame of a record: its length (8 bytes) and the checksum of the length (4 bytes) precede it,
# and the checksum of its content (4 bytes) follows.
FRAMING_BYTES = 16
READ_BUFFER_BYTES = 1 << 20
SCANNED_AT_ONCE = 8
# Limits of a buffer for the last record of a piece, which has twice the mean size of records.
RECORD_BUFFER_BYTES = (1 << 12, 1 << 20)
# Reading the unneeded records of a short gap is faster than starting a new read after the gap.
MAX_GAP = 16
MAX_SPAN = 1024
SPANS_AT_ONCE = 16
MAX_BUFFER_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """Positions and labels of N records.

    Attributes:
      files: Paths of the TFRecord files.
      file_of: Index in `files` of the file that holds the record, int32 [N].
      offsets: Byte at which the record's frame begins, int64 [N].
      labels: Class of every image, int32 [N], or soft labels, float32 [N, num_classes].
      numbers: Number of the record in its file, counted from 0, int64 [N].
    """

    files: tuple[str, ...]
    file_of: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of_all_records(cls, files, file_of, offsets, labels) -> RecordIndex:
        """Returns the index of all records of the files, in their order."""
        first_of_file = np.searchsorted(file_of, np.arange(len(files)))
        return cls(files, file_of, offsets, labels, np.arange(len(labels)) - first_of_file[file_of])

    def mean_bytes(self, unknown: int) -> int:
        """Returns the mean size of a record in bytes, rounded up, or `unknown`.

        The size of a record is known if the index also holds the next record of the same file.
        """
        same_file = np.diff(self.file_of) == 0
        sizes = np.diff(self.offsets)[same_file & (np.diff(self.numbers) == 1)]
        return -(-int(sizes.sum()) // len(sizes)) if len(sizes) else unknown

    def select(self, kept: np.ndarray) -> RecordIndex:
        """Returns the index of the selected records. `kept` is bool [N] or an array of integers."""
        return dataclasses.replace(
            self,
            file_of=self.file_of[kept],
            offsets=self.offsets[kept],
            labels=self.labels[kept],
            numbers=self.numbers[kept],
        )


def scan(
    files: tuple[str, ...], read_label: Callable[[tf.Tensor], tf.Tensor], title: str
) -> RecordIndex:
    """Returns the positions and labels of all records, after reading every record once.

    Args:
      read_label: Function from a record (string scalar) to its class (integer scalar), or to its
        soft label (float32 [num_classes]).
      title: Title of the progress bar.

    Raises:
      ValueError: A file is missing, truncated or damaged. The message names the file.
    """

    def label(record):
        found = tf.convert_to_tensor(read_label(record))
        return tf.cast(found, tf.int32) if found.dtype.is_integer else found

    def blocks_of(file_number):
        records = tf.data.TFRecordDataset(tf.constant(files)[file_number], None, READ_BUFFER_BYTES)
        rows = records.map(lambda record: (file_number, tf.strings.length(record), label(record)))
        return rows.batch(1024)

    file_numbers = tf.data.Dataset.range(len(files), output_type=tf.int32)
    blocks = file_numbers.interleave(
        blocks_of, cycle_length=SCANNED_AT_ONCE, num_parallel_calls=tf.data.AUTOTUNE
    )
    spec = blocks.element_spec[-1]
    nothing = np.zeros((0, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
    found = [[(np.zeros(0, np.int64), nothing)] for _ in files]
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
            "A TFRecord file is damaged or incomplete:"
            f" {_damaged(files) or error.message.splitlines()[0]!r}. Prepare or copy it again."
        ) from None
    progress.close()
    return _joined(files, found)


def _joined(files: tuple[str, ...], found: list) -> RecordIndex:
    framed = [np.concatenate([lengths for lengths, _ in blocks]) for blocks in found]
    labels = [np.concatenate([labels for _, labels in blocks]) for blocks in found]
    return RecordIndex.of_all_records(
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


def require_files(files: tuple[str, ...], rule: str) -> None:
    """Raises a ValueError with `rule` and the first missing names unless all files exist."""
    missing = [file for file in files if not tf.io.gfile.exists(file)]
    checks.require(not missing, rule, missing=missing[:3])


class RecordSource(Source):
    """Images in TFRecord files.

    Args:
      name: As in `Source`.
      class_names: As in `Source`.
      index: Positions and labels of the records.
      contents_of: Function that maps records, string [N], to encoded images, string [N].
    """

    def __init__(
        self,
        name: str,
        class_names: tuple[str, ...],
        index: RecordIndex,
        contents_of: Callable[[tf.Tensor], tf.Tensor],
    ):
        super().__init__(name, class_names, index.labels)
        self._contents_of = contents_of
        # Selected records are often no neighbours on disk, so only the whole index has their sizes.
        self._encoded_bytes = index.mean_bytes(UNKNOWN_BYTES)
        self._record_buffer_bytes = int(np.clip(2 * self._encoded_bytes, *RECORD_BUFFER_BYTES))
        self._set_index(index)

    def _set_index(self, index: RecordIndex) -> None:
        self._index = index
        with tf.device("CPU:0"):
            self._files = tf.constant(index.files)
            self._file_of = tf.constant(index.file_of)
            self._offsets = tf.constant(index.offsets)
            self._numbers = tf.constant(index.numbers)

    def load(self, index, channels):
        file, offset = self._files[self._file_of[index]], self._offsets[index]

        def contents(_):
            buffer_bytes = tf.constant(self._record_buffer_bytes, tf.int64)
            record = _records(file, offset, buffer_bytes).take(1).get_single_element()
            return self._contents_of(record[tf.newaxis])[0]

        # This data set has one element: the error of a missing file would otherwise repeat forever.
        encoded = tf.data.Dataset.from_tensors(0).map(contents)
        return decoding.decode_named(encoded, self._names(index), channels)

    def load_all(self, indices, height, width, channels):
        records = self.read(indices, in_turn=True)
        return self.decode(records, indices, height, width, channels)

    def locate(self, index):
        file = self._index.files[self._index.file_of[index]]
        return f"{file} at byte {self._index.offsets[index]}"

    def index_parts(self):
        for file in self._index.files:
            yield os.path.basename(file).encode() + b"\0"
        yield np.asarray(self._index.file_of, "<i4").tobytes()
        yield np.asarray(self._index.offsets, "<i8").tobytes()

    def select(self, indices):
        # The result is a RecordSource, so selected records are still read in long pieces.
        made = copy.copy(self)
        made._set_labels(self.training_labels[indices])
        made._set_index(self._index.select(indices))
        return made

    @property
    def encoded_bytes(self):
        return self._encoded_bytes

    @property
    def record_bytes(self) -> int:
        """Mean size of the selected records in bytes, 1 if it is unknown."""
        return self._index.mean_bytes(unknown=1)

    def read(self, indices: tf.Tensor, in_turn: bool = False) -> tf.Tensor:
        """Reads records, in a graph. Records close to each other on disk are read in one piece.

        Args:
          indices: Images, int64 [N], N > 0.
          in_turn: Whether one piece is read after another, which is faster if the pieces are short
            and many calls run at the same time. Otherwise, up to `SPANS_AT_ONCE` pieces are read at
            the same time.

        Returns:
          The records, string [N], for `decode`.
        """
        by_place = tf.argsort(indices, stable=True)
        ordered = tf.gather(indices, by_place)
        file, number = tf.gather(self._file_of, ordered), tf.gather(self._numbers, ordered)
        span = _spans(file, number)
        firsts = tf.cast(tf.searchsorted(span, tf.range(span[-1] + 1)), tf.int64)
        lasts = tf.concat([firsts[1:], tf.shape(span, tf.int64)], 0) - 1
        counts = tf.gather(number, lasts) - tf.gather(number, firsts) + 1
        spans = tf.gather(ordered, firsts), tf.gather(ordered, lasts), counts
        records = self._read_in_turn(*spans) if in_turn else self._read_at_once(*spans)
        # The place of every wanted record among all records that were read, also those in gaps.
        before = tf.cumsum(counts, exclusive=True)
        places = tf.gather(before, span) + number - tf.gather(number, tf.gather(firsts, span))
        with tf.control_dependencies(
            [self._require_places(records, ordered, places, span, firsts)]
        ):
            return tf.gather(records, tf.gather(places, tf.math.invert_permutation(by_place)))

    def decode(
        self, records: tf.Tensor, indices: tf.Tensor, height: int, width: int, channels: int
    ) -> tf.Tensor:
        """Returns the images in records of `read`, uint8 [N, height, width, channels]."""
        contents = self._contents_of(records)
        return decoding.decode_all(contents, self._names(indices), height, width, channels)

    def _names(self, indices):
        files = tf.gather(self._files, tf.gather(self._file_of, indices))
        offsets = tf.strings.as_string(tf.gather(self._offsets, indices))
        return tf.strings.join([files, " at byte ", offsets])

    def _read_in_turn(self, firsts, lasts, counts):
        """Returns the same as `_read_at_once`, reading one span after another."""
        pieces = tf.data.Dataset.from_tensor_slices((firsts, lasts, counts))
        records = _or_nothing(pieces.flat_map(self._span), tf.reduce_sum(counts))
        # Only the other way of reading tells which span cannot be read.
        return tf.cond(
            tf.size(records) > 0,
            lambda: records,
            lambda: self._read_at_once(firsts, lasts, counts),
        )

    def _read_at_once(self, firsts, lasts, counts):
        """Returns the records of spans of records, string [sum of counts], from several at a time.

        Args:
          firsts, lasts: First and last record of every span, int64 [S].
          counts: Number of records in every span, int64 [S].
        """

        def read(first, last, count):
            records = _or_nothing(self._span(first, last, count), count)
            named = tf.strings.join([self._names(first), " or after"])
            with tf.control_dependencies([decoding.require_readable(tf.size(records) > 0, named)]):
                return tf.identity(records)

        pieces = tf.data.Dataset.from_tensor_slices((firsts, lasts, counts))
        records = pieces.map(read, SPANS_AT_ONCE, deterministic=True)
        records = records.flat_map(tf.data.Dataset.from_tensor_slices)
        return records.batch(tf.reduce_sum(counts)).get_single_element()

    def _span(self, first, last, count):
        """Returns a data set of the `count` records of a file from `first` to `last`."""
        file, offset = self._files[self._file_of[first]], self._offsets[first]
        # If the buffer is as large as the span, remote storage gets a single request.
        span_bytes = self._offsets[last] - offset + self._record_buffer_bytes
        return _records(file, offset, tf.minimum(span_bytes, MAX_BUFFER_BYTES)).take(count)

    def _require_places(self, records, ordered, places, span, firsts):
        """Asserts that the records begin at the bytes that the index holds."""
        framed = tf.strings.length(records) + FRAMING_BYTES
        ends = tf.cumsum(tf.cast(framed, tf.int64), exclusive=True)
        begins = tf.gather(ends, places)
        offsets = tf.gather(self._offsets, ordered)
        first = tf.gather(firsts, span)
        moved = begins - tf.gather(begins, first) != offsets - tf.gather(offsets, first)
        where = tf.gather(ordered, tf.argmax(tf.cast(moved, tf.int32)))
        return decoding.require_readable(~tf.reduce_any(moved), self._names(where))


def _spans(file: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Groups records into spans, which are read in one piece each.

    Args:
      file, number: File of every record and its number in the file, in the order of reading.

    Returns:
      Number of the span of every record, counted from 0, int32 [N].
    """
    steps = number[1:] - number[:-1]
    near = (file[1:] == file[:-1]) & (steps > 0) & (steps <= MAX_GAP)
    near &= number[1:] // MAX_SPAN == number[:-1] // MAX_SPAN
    return tf.concat([[0], tf.cumsum(tf.cast(~near, tf.int32))], 0)


def _or_nothing(records: tf.data.Dataset, count: tf.Tensor) -> tf.Tensor:
    """Returns the `count` records of a data set, string [count]; string [0] if reading fails."""

    def all_records(_):
        return records.batch(count, drop_remainder=True).get_single_element()

    # This data set has one element: the error of a missing file would otherwise repeat forever.
    whole = tf.data.Dataset.from_tensors(0).map(all_records).ignore_errors()
    nothing = tf.data.Dataset.from_tensors(tf.zeros([0], tf.string))
    return whole.concatenate(nothing).take(1).get_single_element()


def _records(file: tf.Tensor, offset: tf.Tensor, buffer_bytes: tf.Tensor) -> tf.data.Dataset:
    """Returns a data set of a file's records, beginning with the record at byte `offset`."""
    # `tf.data.TFRecordDataset` takes no offsets. The operation behind it takes them and seeks.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[file],
        compression_type="",
        buffer_size=buffer_bytes,
        byte_offsets=[offset],
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
