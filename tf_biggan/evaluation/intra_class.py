"""Fréchet distance class by class (intra-FID of Miyato and Koyama 2018)."""

from __future__ import annotations

import typing

import numpy as np

from tf_biggan.checks import require
from tf_biggan.evaluation.feature_matrix import checked_pair
from tf_biggan.evaluation.frechet import frechet_distance_of_features


class IntraClassDistance(typing.NamedTuple):
    """Distances by class, their mean (None without any), and the classes that have none."""

    mean: float | None
    of_class: dict[int, float]
    too_few: tuple[int, ...]


def intra_class_distance(generated, generated_labels, real, real_labels) -> IntraClassDistance:
    """Fréchet distance of every class that has at least 2 images on both sides, and the mean.

    Args:
      generated: features [N, D].
      generated_labels: classes [N], integers.
      real: features [M, D].
      real_labels: classes [M], integers.

    Returns:
      The classes with fewer images on a side stand in `too_few`; the mean leaves them out.

    Raises:
      ValueError: a side is not finite numbers of shape [N, D], D differs, or there is not one
        integer label for every row.
    """
    generated, real = checked_pair(generated, real)
    generated_labels = _checked_labels("generated_labels", generated_labels, len(generated))
    real_labels = _checked_labels("real_labels", real_labels, len(real))
    of_class, too_few = {}, []
    for label in np.union1d(generated_labels, real_labels).tolist():
        ours, theirs = generated[generated_labels == label], real[real_labels == label]
        if min(len(ours), len(theirs)) < 2:
            too_few.append(label)
        else:
            of_class[label] = frechet_distance_of_features(ours, theirs)
    mean = float(np.mean(list(of_class.values()))) if of_class else None
    return IntraClassDistance(mean, of_class, tuple(too_few))


def _checked_labels(name: str, labels, count: int) -> np.ndarray:
    labels = np.asarray(labels)
    require(
        labels.shape == (count,) and labels.dtype.kind in "iu",
        f"`{name}` must be integers of shape [{count}]",
        shape=labels.shape,
        dtype=str(labels.dtype),
    )
    return labels
