"""Opens the folders of TFRecord files that `prepare` writes, and defines their format.

A folder holds the files of records, dataset.json with the classes, and index.npz with the position
and the label of every record.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data.record_source import RecordIndex, RecordSource, require_files
from tf_biggan.files import file_system, json_files
from tf_biggan.files.array_files import read_npz

DESCRIPTION_FILE = "dataset.json"
INDEX_FILE = "index.npz"
# Format 2 has soft labels. Releases of this package without soft labels read only format 1.
FORMAT_VERSION, SOFT_FORMAT_VERSION = 1, 2
IMAGE_FEATURE = "image"
LABEL_FEATURE = "label"
SOFT_LABEL_FEATURE = "soft_label"
INDEX_ARRAYS = ("file_of", "offsets", "labels")
# Fields of dataset.json that are read, with their types.
FIELDS = {
    "num_images": "int",
    "class_names": "tuple[str, ...]",
    "shards": "tuple[str, ...]",
}
SIDES = ("image_height", "image_width")


def shard_name(shard: int, num_shards: int) -> str:
    """Returns the file name of shard `shard` of `num_shards`."""
    return f"images-{shard:05d}-of-{num_shards:05d}.tfrecord"


def serialize(contents: bytes, label: int | Sequence[float]) -> bytes:
    """Returns a record: a tf.train.Example with the encoded image and its class or soft label."""
    features = {IMAGE_FEATURE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[contents]))}
    if isinstance(label, int):
        numbers = tf.train.Int64List(value=[label])
        features[LABEL_FEATURE] = tf.train.Feature(int64_list=numbers)
    else:
        weights = tf.train.FloatList(value=label)
        features[SOFT_LABEL_FEATURE] = tf.train.Feature(float_list=weights)
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def contents_of(records: tf.Tensor) -> tf.Tensor:
    """Returns the encoded images (string [N]) in records (string [N])."""
    return _parse(records, IMAGE_FEATURE, tf.string)


def label_of(record: tf.Tensor) -> tf.Tensor:
    """Returns the class (int64 scalar) in a record (string scalar)."""
    return _parse(record, LABEL_FEATURE, tf.int64)


def soft_label_of(record: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Returns the weights of the classes (float32 [num_classes]) in a record (string scalar)."""
    return _parse(record, SOFT_LABEL_FEATURE, tf.float32, (num_classes,))


def encode_index(index: RecordIndex) -> bytes:
    """Returns an index as bytes of an .npz file. The names of files are in dataset.json."""
    stored = io.BytesIO()
    np.savez_compressed(stored, file_of=index.file_of, offsets=index.offsets, labels=index.labels)
    return stored.getvalue()


def open_tfrecord(location: str, split: str | None) -> RecordSource:
    """Opens a folder that `prepare` wrote, or its sub-folder `split`.

    Raises:
      ValueError: The folder does not exist or is not finished, its format version is unknown, or
        files are missing or damaged.
    """
    root = location if split is None else tf.io.gfile.join(location, split)
    checks.require_utf8(root)
    description_file = tf.io.gfile.join(root, DESCRIPTION_FILE)
    if location:
        file_system.require_existing("folder of records", root, "a folder that `prepare` finished")
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
    num_classes = len(description["class_names"])
    soft = description["format_version"] == SOFT_FORMAT_VERSION
    index = _read_index(index_file, files, num_classes if soft else None)
    checks.require(
        len(index.labels) == description["num_images"],
        f"{INDEX_FILE} does not list the same number of images as {DESCRIPTION_FILE}; prepare"
        " the folder again",
        path=root,
        listed=len(index.labels),
        images=description["num_images"],
    )
    source = RecordSource(f"tfrecord:{root}", tuple(description["class_names"]), index, contents_of)
    sides = [json_files.field(description, key, "int", description_file, None) for key in SIDES]
    source.stored_size = None if None in sides else tuple(sides)
    return source


def read_description(path: str) -> dict:
    """Returns the content of dataset.json or of the unfinished.json of an interrupted `prepare`.

    Raises:
      ValueError: The file is damaged or has another format version. The message names the file.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        description = json_files.parse_json(file.read(), path)
    checks.require(
        description.get("format_version") in (FORMAT_VERSION, SOFT_FORMAT_VERSION),
        f"this version of tf_biggan reads data sets of the formats {FORMAT_VERSION} and"
        f" {SOFT_FORMAT_VERSION}, but this data set has another format; prepare the data set again",
        path=path,
        format_version=description.get("format_version"),
    )
    for name, kind in FIELDS.items():
        json_files.field(description, name, kind, path)
    return description


def _read_index(path: str, files: tuple[str, ...], soft_classes: int | None) -> RecordIndex:
    """Reads index.npz; `soft_classes` is the number of classes of soft labels, or None."""
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        stored = read_npz(path, content)
        arrays = [stored[name] for name in INDEX_ARRAYS]
    except (KeyError, ValueError) as error:
        raise ValueError(_damaged_index(path)) from error
    file_of, offsets, labels = arrays
    shape, kind = ((), "i") if soft_classes is None else ((soft_classes,), "f")
    sound = (
        all(array.ndim == 1 and array.dtype.kind == "i" for array in (file_of, offsets))
        and labels.ndim > 0
        and len(file_of) == len(offsets) == len(labels) > 0
        and labels.shape[1:] == shape
        and labels.dtype.kind == kind
        and np.isfinite(labels).all()
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


def _parse(record: tf.Tensor, feature: str, dtype: tf.DType, shape=()) -> tf.Tensor:
    return tf.io.parse_example(record, {feature: tf.io.FixedLenFeature(shape, dtype)})[feature]
