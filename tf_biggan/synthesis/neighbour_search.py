"""The real images nearest to others, by a network's features."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from tf_biggan import checks
from tf_biggan.evaluation.extractors import FEATURES
from tf_biggan.evaluation.feature_matrix import blocks
from tf_biggan.evaluation.features import FeatureExtraction
from tf_biggan.evaluation.image_sets import ArrayImages, ImageSet, SourceImages
from tf_biggan.evaluation.nearest_rows import NearestRows

# Features of a reference up to this size are held, and kept for the next time; others pass by.
HELD_BYTES = 1 << 30
# Real images whose nearest other one gives distances something to be compared with.
PROBES = 100


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """What was found.

    Attributes:
      rows: int64 [N, k], places in the reference, the nearest first; -1 where there are no more.
      distances: float64 [N, k], of features; infinite where there are no more.
      real_distances: float64 [P], from some real images to the nearest other one.
    """

    rows: np.ndarray
    distances: np.ndarray
    real_distances: np.ndarray


def find_neighbours(
    samples: ImageSet,
    reference: SourceImages,
    extraction: FeatureExtraction,
    k: int,
    same_class: bool = False,
) -> Neighbours:
    """The `k` images of the reference nearest to every sample.

    Pixels of the reference pass by in batches; so do its features where there are many.

    Args:
      same_class: whether to look only among images of the sample's class.

    Raises:
      ValueError: `same_class` and one side has no classes; or features cannot be taken.
    """
    checks.require(
        not same_class or (samples.labels is not None and reference.labels is not None),
        "the same class can only be looked for where samples and reference have classes",
        samples=samples.name,
        reference=reference.name,
    )
    probes = np.unique(np.linspace(0, reference.count - 1, PROBES).astype(np.int64))
    real = ArrayImages("real images", reference.take(probes))
    real.cached = False
    queries = np.concatenate([extraction.of(images).features for images in (samples, real)])
    labels = None
    if same_class:
        labels = np.concatenate([samples.labels, reference.labels[probes]])
    excluded = np.concatenate([np.full(samples.count, -1), probes])
    nearest = NearestRows(queries, k, labels, excluded)
    start = 0
    for block in _feature_blocks(reference, extraction, queries.shape[1]):
        here = slice(start, start + len(block))
        nearest.add(block, reference.labels[here] if same_class else None)
        start = here.stop
    split = samples.count
    beside = nearest.distances[split:, 0]
    return Neighbours(nearest.rows[:split], nearest.distances[:split], beside[np.isfinite(beside)])


def _feature_blocks(
    images: ImageSet, extraction: FeatureExtraction, dim: int
) -> Iterator[np.ndarray]:
    if images.count * dim * np.dtype(np.float32).itemsize <= HELD_BYTES:
        for _, block in blocks(extraction.of(images).features):
            yield block
        return
    for made in extraction.batches(images):
        yield made[FEATURES]
