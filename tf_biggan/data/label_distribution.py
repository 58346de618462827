"""The distribution from which the labels of generated images are sampled.

The labels are the classes, or the different rows of a table of soft labels. Sampling whole rows,
rather than single classes, gives generated images the mixtures of classes that real images have.
Otherwise the discriminator could tell generated and real images apart by their labels.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tf_biggan import checks
from tf_biggan.data.source import Source

UNIFORM, DATA = SAMPLINGS = ("uniform", "data")


@dataclasses.dataclass(frozen=True, eq=False)
class LabelDistribution:
    """R different labels and their probabilities.

    Attributes:
      probabilities: Probability of every label, float64 [R].
      weights: Weights of the classes in every label, float32 [R, num_classes]; None if every label
        is a single class.
    """

    probabilities: np.ndarray
    weights: np.ndarray | None = None

    @classmethod
    def of_source(cls, source: Source, num_classes: int, sampling: str) -> LabelDistribution:
        """Returns the distribution for a data set; see `of_counts` and `of_soft_labels`.

        Args:
          source: The data set.
          num_classes: Number of classes of the model, above 0.
          sampling: "uniform" or "data".
        """
        if source.soft_labels is not None:
            return cls.of_soft_labels(source.soft_labels, sampling)
        return cls.of_counts(np.bincount(source.labels, minlength=num_classes), sampling)

    @classmethod
    def of_counts(cls, counts: np.ndarray, sampling: str) -> LabelDistribution:
        """Returns the distribution in which every label is a single class.

        Args:
          counts: Number of images of each class, [num_classes].
          sampling: "uniform": all classes are equally probable. "data": probabilities are in
            proportion to `counts`.
        """
        checks.require_choice("sampling", sampling, SAMPLINGS)
        if sampling == UNIFORM:
            return cls(np.full(len(counts), 1.0 / len(counts)))
        return cls(counts / counts.sum())

    @classmethod
    def of_soft_labels(cls, soft_labels: np.ndarray, sampling: str) -> LabelDistribution:
        """Returns the distribution in which every label is a row of soft labels.

        If every row has a single class, the distribution equals that of `of_counts` for the classes
        that have images.

        Args:
          soft_labels: Weights of the classes of N images, [N, num_classes].
          sampling: "data": every image is equally probable. "uniform": all classes that have a
            weight above 0 in some image are equally probable. Within a class, the probability of an
            image is in proportion to the image's weight of this class.
        """
        checks.require_choice("sampling", sampling, SAMPLINGS)
        rows, counts = np.unique(soft_labels, axis=0, return_counts=True)
        # In descending order, rows of a single class have the order of the classes.
        rows, counts = rows[::-1], counts[::-1]
        if sampling == DATA:
            return cls(counts / counts.sum(), rows)
        weighted = rows.astype(np.float64) * counts[:, None]
        totals = weighted.sum(axis=0)
        used = totals > 0
        shares = weighted[:, used] / totals[used]
        return cls(shares.sum(axis=1) / used.sum(), rows)

    def labels(self, numbers: np.ndarray) -> np.ndarray:
        """Returns labels for networks: classes int32 [N], or class weights float32 [N, classes].

        Args:
          numbers: Indices of the labels, integers [N] from 0 to R - 1.
        """
        return np.asarray(numbers, np.int32) if self.weights is None else self.weights[numbers]

    def classes(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the class with the greatest weight in each label, int32 [N]."""
        labels = self.labels(numbers)
        return labels if self.weights is None else labels.argmax(axis=1).astype(np.int32)
