"""Labels of generated images as the reference counts its classes: matched by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_biggan.data.classes import match_classes, name_differences

BY_INDEX = (
    "The images or the reference have no class names: labels of both are taken to mean the same"
    " classes by their index."
)
BY_NAME = "Classes of the images and of the reference differ in number or order: matched by name."


def matched_labels(
    labels: np.ndarray, ours: Sequence[str], theirs: Sequence[str]
) -> np.ndarray | None:
    """The labels as indices of the reference's classes.

    Where one side has no names, labels mean the same indices on both.

    Args:
      labels: integers [N], of the images.
      ours: names of the images' classes; empty if none are known.
      theirs: names of the reference's classes; empty if none are known.

    Returns:
      Labels [N]; None where an image is of a class that the reference lacks.
    """
    if ours and theirs:
        matched = np.array(match_classes(ours, theirs), np.int32)
        inside = labels.min() >= 0 and labels.max() < len(ours)
        labels = matched[labels] if inside else np.full_like(labels, -1)
    limit = len(theirs) or np.iinfo(np.int32).max
    return labels if labels.min() >= 0 and labels.max() < limit else None


def how_classes_were_matched(ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    """A note where classes were not simply the same; () where they were."""
    ours, theirs = tuple(ours), tuple(theirs)
    if not (ours and theirs):
        return (BY_INDEX,)
    if ours != theirs and match_classes(ours, theirs) != tuple(range(len(theirs))):
        return (BY_NAME,)
    return ()


def why_classes_differ(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """The end of the sentence about a metric that needs classes of the reference."""
    sentence = "needs images of the reference's classes"
    if not (ours and theirs):
        return sentence
    difference = name_differences(ours, theirs, "these images", "the reference")
    return f"{sentence} ({difference})" if difference else sentence
