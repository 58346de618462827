"""Opens folders of TFRecord files that `prepare` writes, and defines their format."""

from __future__ import annotations

import io

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data.record_source import RecordIndex, RecordSource, require_files
from tf_biggan.files import json_files
from tf_biggan.files.array_files import read_npz

DESCRIPTION_FILE = "dataset.json"
INDEX_FILE = "index.npz"
FORMAT_VERSION = 1
IMAGE_FEATURE = "image"
LABEL_FEATURE = "label"
INDEX_ARRAYS = ("file_of", "offsets", "labels")
# Fields of dataset.json that are read, with their types.
FIELDS = {"num_images": "int", "class_names": "tuple[str, ...]", "shards": "tuple[str, ...]"}


def shard_name(shard: int, num_shards: int) -> str:
    """Returns the file name of shard `shard` of `num_shards`."""
    return f"images-{shard:05d}-of-{num_shards:05d}.tfrecord"


def serialize(contents: bytes, label: int) -> bytes:
    """Returns a record: a tf.train.Example with the encoded image and its class."""
    features = {
        IMAGE_FEATURE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[contents])),
        LABEL_FEATURE: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def contents_of(records: tf.Tensor) -> tf.Tensor:
    """Returns the encoded images (string [N]) in records (string [N])."""
    return _parse(records, IMAGE_FEATURE, tf.string)


def label_of(record: tf.Tensor) -> tf.Tensor:
    """Returns the class (int64 scalar) in a record (string scalar)."""
    return _parse(record, LABEL_FEATURE, tf.int64)


def encode_index(index: RecordIndex) -> bytes:
    """Returns an index as bytes of an .npz file. The names of files are in dataset.json."""
    stored = io.BytesIO()
    np.savez_compressed(stored, file_of=index.file_of, offsets=index.offsets, labels=index.labels)
    return stored.getvalue()


def open_tfrecord(location: str, split: str | None) -> RecordSource:
    """Opens a folder that `prepare` wrote, or its sub-folder `split`.

    Raises:
      ValueError: The folder does not exist or is not finished, its format is another version, or
        shards are missing.
    """
    root = location if split is None else tf.io.gfile.join(location, split)
    checks.require_utf8(root)
    description_file = tf.io.gfile.join(root, DESCRIPTION_FILE)
    if location:
        checks.require_existing(
            "folder of records", root, "a folder that `prepare` finished", tf.io.gfile.exists
        )
    checks.require(
        location != "" and tf.io.gfile.exists(description_file),
        "`tfrecord:PATH` must name a folder that `prepare` finished, which holds a"
        f" {DESCRIPTION_FILE}; run `prepare` again to finish it",
        path=root,
    )
    description = read_description(description_file)
    files = tuple(tf.io.gfile.join(root, shard) for shard in description["shards"])
    index_file = tf.io.gfile.join(root, INDEX_FILE)
    require_files(
        (*files, index_file),
        "files of the prepared data set are missing; run the same `prepare` command again",
    )
    index = _read_index(index_file, files)
    checks.require(
        len(index.labels) == description["num_images"],
        f"{INDEX_FILE} does not list the same number of images as {DESCRIPTION_FILE}; prepare"
        " the folder again",
        path=root,
        listed=len(index.labels),
        images=description["num_images"],
    )
    return RecordSource(f"tfrecord:{root}", tuple(description["class_names"]), index, contents_of)


def read_description(path: str) -> dict:
    """Returns the content of dataset.json or of the unfinished.json of an interrupted `prepare`.

    Raises:
      ValueError: The file is damaged or has another format version. The message names the file.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        description = json_files.parse_json(file.read(), path)
    checks.require(
        description.get("format_version") == FORMAT_VERSION,
        "the data set was prepared in a format that this version cannot read (it reads"
        f" {FORMAT_VERSION}); prepare it again",
        path=path,
        format_version=description.get("format_version"),
    )
    for name, kind in FIELDS.items():
        json_files.field(description, name, kind, path)
    return description


def _read_index(path: str, files: tuple[str, ...]) -> RecordIndex:
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        stored = read_npz(path, content)
        arrays = [stored[name] for name in INDEX_ARRAYS]
    except (KeyError, ValueError) as error:
        raise ValueError(_damaged_index(path)) from error
    file_of, offsets, labels = arrays
    sound = (
        all(array.shape == (len(labels),) and array.dtype.kind == "i" for array in arrays)
        and len(labels) > 0
        and 0 <= file_of.min() <= file_of.max() < len(files)
        and offsets.min() >= 0
        and (np.diff(file_of) >= 0).all()
        and (np.diff(offsets)[np.diff(file_of) == 0] > 0).all()
    )
    if not sound:
        raise ValueError(_damaged_index(path))
    return RecordIndex.of_all_records(files, *arrays)


def _damaged_index(path: str) -> str:
    return (
        f"Cannot read {path}: it is not the index that `prepare` wrote. Run the same"
        " `prepare` command again: it keeps the images and writes a new index."
    )


def _parse(record: tf.Tensor, feature: str, dtype: tf.DType) -> tf.Tensor:
    return tf.io.parse_example(record, {feature: tf.io.FixedLenFeature([], dtype)})[feature]
