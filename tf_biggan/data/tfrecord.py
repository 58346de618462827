"""The record folders that `prepare` writes: names, form of a record, and how one is opened."""

from __future__ import annotations

import io
import json

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data.records import RecordIndex, RecordSource, require_files

DESCRIPTION_FILE = "dataset.json"
INDEX_FILE = "index.npz"
FORMAT_VERSION = 1
IMAGE_FEATURE = "image"
LABEL_FEATURE = "label"


def shard_name(shard: int, num_shards: int) -> str:
    """File name of shard `shard` of `num_shards`."""
    return f"images-{shard:05d}-of-{num_shards:05d}.tfrecord"


def serialize(contents: bytes, label: int) -> bytes:
    """One record: a tf.train.Example of the encoded image and its class."""
    features = {
        IMAGE_FEATURE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[contents])),
        LABEL_FEATURE: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def contents_of(record: tf.Tensor) -> tf.Tensor:
    """The encoded image (string scalar) of a record (string scalar)."""
    return _parse(record, IMAGE_FEATURE, tf.string)


def label_of(record: tf.Tensor) -> tf.Tensor:
    """The class (int64 scalar) of a record (string scalar)."""
    return _parse(record, LABEL_FEATURE, tf.int64)


def encode_index(index: RecordIndex) -> bytes:
    """An index as the bytes of an npz file; the names of the files are left to dataset.json."""
    stored = io.BytesIO()
    np.savez_compressed(stored, file_of=index.file_of, offsets=index.offsets, labels=index.labels)
    return stored.getvalue()


def open_tfrecord(location: str, split: str | None) -> RecordSource:
    """A folder that `prepare` finished; with `split`, its sub-folder of that name.

    Raises:
      ValueError: no such folder, not finished, another format, or shards are missing.
    """
    root = location if split is None else tf.io.gfile.join(location, split)
    description_file = tf.io.gfile.join(root, DESCRIPTION_FILE)
    checks.require(
        location != "" and tf.io.gfile.exists(description_file),
        f"`tfrecord:PATH` must name a folder that `prepare` finished, with a {DESCRIPTION_FILE}",
        path=root,
    )
    with tf.io.gfile.GFile(description_file, "r") as file:
        description = json.loads(file.read())
    checks.require(
        description.get("format_version") == FORMAT_VERSION,
        f"the records must have format version {FORMAT_VERSION}; prepare them again",
        path=root,
        format_version=description.get("format_version"),
    )
    files = tuple(tf.io.gfile.join(root, shard) for shard in description["shards"])
    index_file = tf.io.gfile.join(root, INDEX_FILE)
    require_files((*files, index_file), "a folder of records must hold all of its files")
    with tf.io.gfile.GFile(index_file, "rb") as file:
        stored = np.load(io.BytesIO(file.read()))
    index = RecordIndex(files, stored["file_of"], stored["offsets"], stored["labels"])
    return RecordSource(f"tfrecord:{root}", tuple(description["class_names"]), index, contents_of)


def _parse(record: tf.Tensor, feature: str, dtype: tf.DType) -> tf.Tensor:
    return tf.io.parse_single_example(record, {feature: tf.io.FixedLenFeature([], dtype)})[feature]
