"""Index of TFRecord files: where every record starts, and its label."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.progress import Progress

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
      numbers: Number of the record in its file, int64 [N].
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

    def mean_bytes(self) -> int:
        """Returns the mean size of a record, rounded up.

        It is 1 if no size is known, because no file has two consecutive records in this index.
        """
        same_file = np.diff(self.file_of) == 0
        sizes = np.diff(self.offsets)[same_file & (np.diff(self.numbers) == 1)]
        return -(-int(sizes.sum()) // len(sizes)) if len(sizes) else 1

    def select(self, kept: np.ndarray) -> RecordIndex:
        """Returns the index of some records; kept: booleans [N] or an array of record numbers."""
        return dataclasses.replace(
            self,
            file_of=self.file_of[kept],
            offsets=self.offsets[kept],
            labels=self.labels[kept],
            numbers=self.numbers[kept],
        )


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
