"""Measures how much samples of a class vary with the latent vector, compared with real images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_biggan.data.source import Source
from tf_biggan.evaluation.features.generated_images import GeneratedImages
from tf_biggan.evaluation.features.image_sets import SourceImages

# The entry of RUN/metrics.jsonl that holds the variety.
VARIETY = "sample_variety"
MOST_CLASSES = 10
IMAGES_PER_CLASS = 8
WHITE = 255.0


class SampleVariety:
    """Compares the variation of samples of a class with the variation of its real images.

    The standard deviation of every pixel is taken over up to 8 images of one class, then averaged
    over pixels and over up to 10 classes. Without classes, all images count as one class.

    Args:
      samples: The generated images.
      reals: The real images, in the same size.
      source: The source of the real images.
      num_classes: Number of classes of the generator; 0 if it is unconditional.
      seed: Seed of the choice of real images.
    """

    def __init__(
        self,
        samples: GeneratedImages,
        reals: SourceImages,
        source: Source,
        num_classes: int,
        seed: int,
    ):
        self._samples = samples
        rows = _chosen(source, num_classes, seed)
        self._labels = None
        if num_classes:
            self._labels = np.repeat(np.array(list(rows), np.int32), IMAGES_PER_CLASS)
        self._of_reals = variety([reals.take(chosen) for chosen in rows.values()])

    def ratio(self) -> float:
        """Returns the variety of samples divided by the variety of real images; see `variety`.

        The ratio is 1 if the variety of real images is 0.
        """
        if not self._of_reals:
            return 1.0
        # Every class has the same latent vectors.
        count = IMAGES_PER_CLASS if self._labels is None else len(self._labels)
        numbers = np.arange(count) % IMAGES_PER_CLASS
        images = self._samples.take(numbers, self._labels)
        of_samples = variety(np.split(images, count // IMAGES_PER_CLASS))
        return of_samples / self._of_reals


def variety(classes: Sequence[np.ndarray]) -> float:
    """Returns the standard deviation over the images of a class, averaged over pixels and classes.

    Args:
      classes: Images of every class, uint8 [N, H, W, C]. Classes of fewer than two images are left
        out.

    Returns:
      A number from 0 (equal images) to 0.5; 0 if no class has two images.
    """
    found = [np.std(images / WHITE, axis=0).mean() for images in classes if len(images) > 1]
    return float(np.mean(found)) if found else 0.0


def _chosen(source: Source, num_classes: int, seed: int) -> dict[int, np.ndarray]:
    """Returns the indices of up to 8 real images for each of up to 10 classes, by class.

    Classes without two images are left out.
    """
    random = np.random.RandomState(seed)
    if not num_classes:
        return {0: random.permutation(source.num_images)[:IMAGES_PER_CLASS]}
    counts = np.bincount(source.labels, minlength=num_classes)
    classes = np.flatnonzero(counts > 1)
    spread = np.linspace(0, len(classes) - 1, min(MOST_CLASSES, len(classes)))
    return {
        int(label): random.permutation(np.flatnonzero(source.labels == label))[:IMAGES_PER_CLASS]
        for label in classes[spread.round().astype(int)]
    }
