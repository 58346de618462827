"""Base class of data sets, checks of their labels, and their identity.

The identity shows whether the data of a run have changed. It does not depend on the folder in which
the data set is stored.
"""

from __future__ import annotations

import abc
import copy
import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data import decoding
from tf_biggan.files import json_files

# Limits for one call of `Source.load_all`: the number of images, and about how many bytes of
# encoded images and of pixels are in memory. Large photographs are loaded one by one.
LOADED_TOGETHER = 64
ENCODED_BYTES_TOGETHER = 2 << 20
PIXEL_BYTES_TOGETHER = 4 << 20
# Limits for the calls that run at the same time: their number, and the encoded images of all. From
# network storage, many calls must wait for their files at the same time. Every core has a call.
CALLS_AT_ONCE = 32
ENCODED_BYTES_AT_ONCE = 32 << 20
UNKNOWN_BYTES = 128 << 10
MAX_LISTED_CLASSES = 12
MAX_LISTED = 3
FIELDS = {"num_images": "int", "images_per_class": "tuple[int, ...]", "index_sha256": "str"}


class Source(abc.ABC):
    """A data set of labelled images with random access.

    Args:
      name, class_names: See the attributes.
      labels: Class of every image, integers [N], or soft labels, floats [N, num_classes].

    Attributes:
      name: Specification with which the data set was opened, such as "folder:/data/birds".
      class_names: Name of every class; empty if the images have no classes.
      labels: Class of every image, int32 [N]; zeros if there are no classes. With soft labels, the
        class with the greatest weight.
      soft_labels: Weights of the classes of every image, float32 [N, num_classes], whose rows sum
        to 1; None if every image has a single class.
      notes: Sentences about the data to print, such as the number of files left out.
      stored_size: (height, width) in pixels that `prepare` gave all images; None if unknown.
    """

    notes: tuple[str, ...] = ()
    stored_size: tuple[int, int] | None = None

    def __init__(self, name: str, class_names: tuple[str, ...], labels: np.ndarray):
        checks.require(
            len(labels) > 0, "the data set has no images; check its path and split", source=name
        )
        self.name = name
        self.class_names = tuple(class_names)
        self._set_labels(np.asarray(labels))

    def _set_labels(self, labels: np.ndarray) -> None:
        soft = labels.ndim == 2
        self.soft_labels = np.asarray(labels, np.float32) if soft else None
        self.labels = np.asarray(labels.argmax(axis=1) if soft else labels, np.int32)

    @property
    def training_labels(self) -> np.ndarray:
        """Labels of all images for networks: `soft_labels` if there are any, else `labels`."""
        return self.labels if self.soft_labels is None else self.soft_labels

    @abc.abstractmethod
    def load(self, index: tf.Tensor, channels: int) -> tf.Tensor:
        """Returns image `index` (int64 scalar) as uint8 [height, width, channels], in a graph.

        An unreadable image raises an error that `decoding.naming_unreadable` turns into one line
        with the image's name.
        """

    def load_all(self, indices: tf.Tensor, height: int, width: int, channels: int) -> tf.Tensor:
        """Returns images at their final size, uint8 [N, height, width, channels], in a graph.

        Sources that read several images faster together have a method of their own.

        Args:
          indices: Images, int64 [N], N > 0.
          height, width, channels: As in `decoding.decode_all`.
        """
        return tf.map_fn(
            lambda index: decoding.crop_and_resize(self.load(index, channels), height, width),
            indices,
            fn_output_signature=tf.uint8,
        )

    @abc.abstractmethod
    def locate(self, index: int) -> str:
        """Returns where image `index` is stored, for messages and fingerprints."""

    def index_parts(self) -> Iterable[bytes]:
        """Yields bytes that identify the images and their order, independently of the folder."""
        return (self.locate(index).encode() + b"\0" for index in range(self.num_images))

    def with_classes(self, class_names: Sequence[str], labels_of: Sequence[int]) -> Source:
        """Returns the same images with renamed or reordered classes.

        Args:
          class_names: New name of every class.
          labels_of: New label of every old class.
        """
        made = copy.copy(self)
        made.class_names = tuple(class_names)
        labelled = np.append(np.asarray(labels_of, np.int32), -1)  # -1 means no class and is kept.
        made.labels = labelled[self.labels]
        if self.soft_labels is not None:
            made.soft_labels = np.zeros((self.num_images, len(class_names)), np.float32)
            made.soft_labels[:, np.asarray(labels_of)[: self.num_classes]] = self.soft_labels
        return made

    def select(self, indices: np.ndarray) -> Source:
        """Returns a data set of some of the images; indices: integers [n], n > 0."""
        return _Selection(self, indices)

    @property
    def encoded_bytes(self) -> int:
        """Approximate mean size of an encoded image in bytes, greater than 0."""
        return UNKNOWN_BYTES

    def load_stream(
        self, examples: tf.data.Dataset, height: int, width: int, channels: int
    ) -> tf.data.Dataset:
        """Returns the images of a stream of examples in their order, several in each element.

        Args:
          examples: Data set of tuples, the first of which is the index of an image.
          height, width, channels: As in `load_all`.

        Returns:
          Data set of tuples: images, uint8 [n, height, width, channels], and the columns of
          `examples` [n]; n depends on the size of the images.
        """
        together = min(
            LOADED_TOGETHER,
            ENCODED_BYTES_TOGETHER // self.encoded_bytes,
            PIXEL_BYTES_TOGETHER // (height * width * channels),
        )
        together = max(1, together)
        calls = min(CALLS_AT_ONCE, ENCODED_BYTES_AT_ONCE // (together * self.encoded_bytes))
        calls = max(calls, os.cpu_count() or 1)
        return examples.batch(together).map(
            lambda indices, *columns: (
                self.load_all(indices, height, width, channels),
                indices,
                *columns,
            ),
            num_parallel_calls=calls,
            deterministic=True,
        )

    @property
    def num_images(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """Number of classes, 0 if the images have none."""
        return len(self.class_names)

    def label_counts(self) -> np.ndarray:
        """Returns the number of images per class, int64 [num_classes], or [1] without classes.

        Raises:
          ValueError: A label is not one of the classes, such as -1 in unlabelled test sets.
        """
        _require_labels_below(self, max(1, self.num_classes))
        return np.bincount(self.labels, minlength=max(1, self.num_classes))


class _Selection(Source):
    """A subset of the images of a data set."""

    def __init__(self, source: Source, indices: np.ndarray):
        super().__init__(source.name, source.class_names, source.training_labels[indices])
        self._source, self._indices = source, indices
        with tf.device("CPU:0"):
            self._index_of = tf.constant(indices, tf.int64)

    def load(self, index, channels):
        return self._source.load(self._index_of[index], channels)

    def load_all(self, indices, height, width, channels):
        return self._source.load_all(tf.gather(self._index_of, indices), height, width, channels)

    def locate(self, index):
        return self._source.locate(int(self._indices[index]))

    @property
    def encoded_bytes(self):
        return self._source.encoded_bytes


def describe(source: Source) -> tuple[str, ...]:
    """Returns lines to print: the number of images, the classes, and the images per class."""
    lines = [f"Data set {source.name}: {source.num_images:,} images", *source.notes]
    if source.num_classes == 0:
        return (*lines, "Classes: none (unconditional)")
    counts = source.label_counts()
    lines.append(f"Classes: {source.num_classes:,} ({_shortened(source.class_names)})")
    if source.soft_labels is not None:
        mixed = int((np.count_nonzero(source.soft_labels, axis=1) > 1).sum())
        lines.append(
            f"Soft labels: {mixed:,} of {source.num_images:,} images have weights of several"
            " classes. Images are counted in the class of their greatest weight."
        )
    if source.num_classes <= MAX_LISTED_CLASSES:
        pairs = zip(source.class_names, counts, strict=True)
        lines.append("Images per class: " + ", ".join(f"{name} {count:,}" for name, count in pairs))
    else:
        smallest, largest = int(np.argmin(counts)), int(np.argmax(counts))
        lines.append(
            f"Images per class: fewest {counts[smallest]:,} ({source.class_names[smallest]}),"
            f" median {int(np.median(counts)):,},"
            f" most {counts[largest]:,} ({source.class_names[largest]})"
        )
    empty = tuple(name for name, count in zip(source.class_names, counts, strict=True) if not count)
    if empty:
        lines.append(f"Classes without images: {len(empty)} ({_shortened(empty)})")
    return tuple(lines)


def check_labels(source: Source, num_classes: int) -> None:
    """Checks that a model with `num_classes` classes can be trained on the labels.

    A model without classes (0) does not read the labels, so all labels are accepted.

    Raises:
      ValueError: A label is negative or not below `num_classes`, or soft labels have another number
        of classes. Or all images have the same label although the model has several classes, for
        example because a folder is nested wrongly.
    """
    checks.require_integer("num_classes", num_classes, minimum=0)
    if num_classes == 0:
        return
    _require_labels_below(source, num_classes)
    checks.require(
        source.soft_labels is None or source.num_classes == num_classes,
        f"soft labels have a weight for each of {source.num_classes} classes, so the model must"
        f" have {source.num_classes} classes; leave out --num_classes, or add columns to the table",
        source=source.name,
        num_classes=num_classes,
    )
    labels = source.training_labels
    checks.require(
        num_classes == 1 or bool((labels != labels[:1]).any()),
        f"all images have the same label, although the model has {num_classes} classes; check"
        " the path, or use --num_classes=0 for images without classes",
        source=source.name,
        only_label=labels[0].tolist(),
        classes_found=source.num_classes,
    )


def _require_labels_below(source: Source, num_classes: int) -> None:
    smallest, largest = int(source.labels.min()), int(source.labels.max())
    checks.require(
        0 <= smallest and largest < num_classes,
        f"labels must be from 0 to {num_classes - 1}, because the model has {num_classes}"
        " classes; change --num_classes, or use a split with labels",
        source=source.name,
        smallest_label=smallest,
        largest_label=largest,
        classes_found=source.num_classes,
    )


def label_bytes(source: Source) -> bytes:
    """Returns bytes that identify the labels of all images, including soft labels."""
    soft = b"" if source.soft_labels is None else np.asarray(source.soft_labels, "<f4").tobytes()
    return np.asarray(source.labels, "<i4").tobytes() + soft


def _shortened(names: tuple[str, ...]) -> str:
    if len(names) <= MAX_LISTED_CLASSES:
        return ", ".join(names)
    return ", ".join(names[:3]) + ", ..., " + names[-1]


@dataclasses.dataclass(frozen=True)
class DataIdentity:
    """Properties of a run's data. When a run resumes, they show whether its data have changed.

    The class names are not part of the identity. They are compared separately.

    Attributes:
      num_images: Total number of images.
      images_per_class: Number of images of every class, up to the last class that has images;
        empty if there are no classes.
      index_sha256: SHA-256 of the labels (including soft labels) and of where the images are
        stored. For a folder, this covers the relative paths of all images in order and the sizes of
        up to 1,000 image files; for TFRecord files, the names of the files and the positions of the
        records.
    """

    num_images: int
    images_per_class: tuple[int, ...]
    index_sha256: str

    @classmethod
    def of(cls, source: Source) -> DataIdentity:
        """Returns the identity of a data set."""
        digest = hashlib.sha256(label_bytes(source))
        for part in source.index_parts():
            digest.update(part)
        counts = np.bincount(source.labels[source.labels >= 0]) if source.num_classes else ()
        return cls(source.num_images, tuple(map(int, counts)), digest.hexdigest())

    @classmethod
    def from_dict(cls, content: Mapping[str, object], path: str) -> DataIdentity:
        """Returns the identity from a dict of its fields. `path` is their file, for messages."""
        values = {k: json_files.field(content, k, kind, path) for k, kind in FIELDS.items()}
        return cls(**values | {"images_per_class": tuple(values["images_per_class"])})

    def differences(self, now: DataIdentity, class_names: Sequence[str]) -> str | None:
        """Returns a text about how the data have changed, or None if they are the same.

        Args:
          now: Identity of the data as they are now.
          class_names: Names of the classes, which have not changed.
        """
        if self == now:
            return None
        if self.num_images != now.num_images:
            text = f"{self.num_images:,} images then, {now.num_images:,} now"
        else:
            text = f"{self.num_images:,} images then and now"
        counts = itertools.zip_longest(self.images_per_class, now.images_per_class, fillvalue=0)
        classes = [
            f"{name} {old:,} then, {new:,} now"
            for name, (old, new) in zip(class_names, counts, strict=False)
            if old != new
        ]
        if not classes and self.num_images == now.num_images:
            return f"{text}, but names, sizes, soft labels or the order of files differ"
        more = len(classes) - MAX_LISTED
        shown = [*classes[:MAX_LISTED], *([f"{more:,} more classes"] if more > 0 else [])]
        return f"{text} ({', '.join(shown)})" if classes else text
