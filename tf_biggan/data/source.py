"""What every source of images offers, and what is told and checked about it before a run."""

from __future__ import annotations

import abc
import copy
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from tf_biggan import checks

MAX_LISTED_CLASSES = 12


class Source(abc.ABC):
    """Labelled images with random access: image i can be read without reading those before it.

    Attributes:
      name: the specification it was opened with, such as "folder:/data/birds".
      class_names: one name a class; empty where the images have no classes.
      labels: int32 [N], the class of every image; zeros where there are no classes.
      notes: sentences about what was found, such as files that were left out.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, name: str, class_names: tuple[str, ...], labels: np.ndarray):
        checks.require(len(labels) > 0, "a data set must have at least one image", source=name)
        self.name = name
        self.class_names = tuple(class_names)
        self.labels = np.asarray(labels, np.int32)

    @abc.abstractmethod
    def load(self, index: tf.Tensor, channels: int) -> tf.Tensor:
        """Image `index` (int64 scalar) as uint8 [height, width, channels]; only graph operations.

        An image that cannot be read fails with an error that `images.naming_unreadable` turns into
        one line with the image's name.
        """

    @abc.abstractmethod
    def locate(self, index: int) -> str:
        """Where image `index` is stored, for messages and fingerprints."""

    def index_parts(self) -> Iterable[bytes]:
        """What tells the images apart wherever they are stored, in their order; no labels."""
        return (self.locate(index).encode() + b"\0" for index in range(self.num_images))

    def with_classes(self, class_names: Sequence[str], labels_of: Sequence[int]) -> Source:
        """The same images with other names, or another order, of their classes.

        Args:
          class_names: one name a class.
          labels_of: for every present class its new label.
        """
        made = copy.copy(self)
        made.class_names = tuple(class_names)
        labelled = np.append(np.asarray(labels_of, np.int32), -1)  # -1 is no class, and stays
        made.labels = labelled[self.labels]
        return made

    @property
    def num_images(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """Number of classes, 0 where the images have none."""
        return len(self.class_names)

    def label_counts(self) -> np.ndarray:
        """Images per class, int64 [num_classes]; [1] where there are no classes.

        Raises:
          ValueError: a label lies outside the classes (unlabelled test sets carry -1).
        """
        _require_labels_below(self, max(1, self.num_classes))
        return np.bincount(self.labels, minlength=max(1, self.num_classes))


def describe(source: Source) -> tuple[str, ...]:
    """Lines to print before a run: images, classes, images per class (shortened when many)."""
    lines = [f"Data set {source.name}: {source.num_images:,} images", *source.notes]
    if source.num_classes == 0:
        return (*lines, "Classes: none (unconditional)")
    counts = source.label_counts()
    lines.append(f"Classes: {source.num_classes:,} ({_shortened(source.class_names)})")
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
    """Refuses labels that a model of `num_classes` classes cannot be trained on.

    A model of no classes (0) does not read the labels, so it accepts any.

    Raises:
      ValueError: a label is negative or not below `num_classes`; or all images have one label
        though there are several classes, which is what a wrongly nested folder looks like.
    """
    checks.require_integer("num_classes", num_classes, minimum=0)
    if num_classes == 0:
        return
    _require_labels_below(source, num_classes)
    distinct = np.unique(source.labels)
    checks.require(
        num_classes == 1 or len(distinct) > 1,
        f"images for a model of {num_classes} classes must have at least two different labels;"
        " for images without classes set num_classes to 0",
        source=source.name,
        only_label=int(distinct[0]),
        classes_found=source.num_classes,
    )


def _require_labels_below(source: Source, num_classes: int) -> None:
    smallest, largest = int(source.labels.min()), int(source.labels.max())
    checks.require(
        0 <= smallest and largest < num_classes,
        f"labels must lie from 0 to {num_classes - 1} for {num_classes} classes",
        source=source.name,
        smallest_label=smallest,
        largest_label=largest,
        classes_found=source.num_classes,
    )


def _shortened(names: tuple[str, ...]) -> str:
    if len(names) <= MAX_LISTED_CLASSES:
        return ", ".join(names)
    return ", ".join(names[:3]) + ", ..., " + names[-1]
