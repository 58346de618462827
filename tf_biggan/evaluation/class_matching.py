"""Classes of generated images and of the reference, matched by their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_biggan import checks
from tf_biggan.data.classes import match_classes, name_differences
from tf_biggan.data.source import Source

BY_INDEX = (
    "The images or the reference have no class names. A label is taken to mean the same class on"
    " both sides."
)
BY_NAME = (
    "The images and the reference have different numbers or orders of classes. Classes are matched"
    " by name."
)


def matched_labels(
    labels: np.ndarray, class_names: Sequence[str], reference_names: Sequence[str]
) -> np.ndarray | None:
    """Returns the labels of images as indices of the reference's classes.

    If one side has no class names, labels are taken to mean the same classes on both sides.

    Args:
      labels: integers [N], labels of the images.
      class_names: class names of the images; empty if they are unknown.
      reference_names: class names of the reference; empty if they are unknown.

    Returns:
      Integers [N]; None if an image is of a class that the reference does not have.
    """
    if class_names and reference_names:
        matched = np.array(match_classes(class_names, reference_names), np.int32)
        inside = labels.min() >= 0 and labels.max() < len(class_names)
        labels = matched[labels] if inside else np.full_like(labels, -1)
    limit = len(reference_names) or np.iinfo(np.int32).max
    return labels if labels.min() >= 0 and labels.max() < limit else None


def how_classes_were_matched(
    class_names: Sequence[str], reference_names: Sequence[str]
) -> tuple[str, ...]:
    """Returns a note on how classes were matched; () if both sides have the same classes."""
    ours, theirs = tuple(class_names), tuple(reference_names)
    if not (ours and theirs):
        return (BY_INDEX,)
    if ours != theirs and match_classes(ours, theirs) != tuple(range(len(theirs))):
        return (BY_NAME,)
    return ()


def why_classes_differ(class_names: Sequence[str], reference_names: Sequence[str]) -> str:
    """Returns the end of a sentence that says why a metric with classes cannot be computed."""
    sentence = "needs a reference that has the classes of the images"
    if not (class_names and reference_names):
        return sentence
    difference = name_differences(class_names, reference_names, "these images", "the reference")
    return f"{sentence} ({difference})" if difference else sentence


def label_counts_for_model(
    source: Source | None, class_names: Sequence[str], num_classes: int
) -> np.ndarray | None:
    """Counts the images of the reference by the classes of the model.

    Args:
      source: data source of the reference, or None.
      class_names: class names of the model; empty if they are unknown.
      num_classes: number of classes of the model.

    Returns:
      Integers [num_classes]; None if the classes of the reference are unknown.

    Raises:
      ValueError: the reference has images of a class that the model does not have.
    """
    if source is None or not source.num_classes:
        return None
    counts = source.label_counts()
    if not class_names:
        return counts
    matched = match_classes(source.class_names, class_names)
    checks.require(
        min(matched) >= 0,
        "--label_sampling=data needs a model that has all classes of the reference;"
        f" {name_differences(class_names, source.class_names, 'the model', 'the reference')}."
        " Use another --label_sampling",
        reference=source.name,
    )
    found = np.zeros(num_classes, counts.dtype)
    found[list(matched)] = counts
    return found


def notes_on_classes(
    source: Source | None, class_names: Sequence[str], num_classes: int, label_sampling: str
) -> list[str]:
    """Returns notes for readers of a score whose model and reference differ in their classes.

    Args:
      source: data source of the reference, or None.
      class_names: class names of the model; empty if they are unknown.
      num_classes: number of classes of the model.
      label_sampling: how labels of the generated images were sampled.
    """
    if source is None or not source.num_classes or not num_classes:
        return []
    if not class_names:
        return [BY_INDEX] if label_sampling == "data" else []
    difference = name_differences(class_names, source.class_names, "the model", "the reference")
    return [f"The model and the reference have different classes: {difference}."] * bool(difference)
