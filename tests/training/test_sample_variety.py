"""The variety of samples, compared with standard deviations by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.data.schemes import open_source
from tf_biggan.evaluation.features.image_sets import SourceImages
from tf_biggan.training.sample_variety import SampleVariety, variety

SIZE = (32, 32)


class Samples:
    """Replacement for generated images, which are made by a function of number and class."""

    def __init__(self, make):
        self._make = make

    def take(self, numbers, labels):
        labels = [None] * len(numbers) if labels is None else labels
        return np.stack([self._make(n, c) for n, c in zip(numbers, labels, strict=True)])


@pytest.fixture(scope="module")
def digits():
    """Returns the source and its images, which are decoded once."""
    source = open_source("digits")
    images = SourceImages(source, SIZE, 1)
    assert sum(map(len, images.batches(256))) == 1797
    return source, images


def ratio(digits, make, num_classes=10):
    source, images = digits
    return SampleVariety(Samples(make), images, source, num_classes, seed=0).ratio()


def test_the_standard_deviation_is_that_of_every_pixel_over_the_images_of_a_class():
    first = np.array([[0, 255], [255, 255]], np.uint8).reshape(2, 1, 2, 1)
    second = np.array([[0, 51], [102, 153]], np.uint8).reshape(2, 1, 2, 1)
    # Means over pixels are (0.5 + 0) / 2 and (0.2 + 0.2) / 2. The class of one image is left out.
    assert variety([first, second, first[:1]]) == pytest.approx((0.25 + 0.2) / 2)
    assert variety([first[:1]]) == 0.0


def test_real_images_in_place_of_samples_have_the_variety_of_real_images(digits):
    source, images = digits
    found = {c: np.flatnonzero(source.labels == c) for c in range(10)}
    assert 0.8 < ratio(digits, lambda n, c: images.take(found[c][[n]])[0]) < 1.2
    every = np.random.RandomState(1).permutation(source.num_images)
    assert 0.8 < ratio(digits, lambda n, c: images.take(every[[n]])[0], num_classes=0) < 1.2


def test_samples_that_depend_on_the_class_alone_have_none(digits):
    assert ratio(digits, lambda n, c: np.full((*SIZE, 1), 25 * c, np.uint8)) < 1e-9
    assert ratio(digits, lambda n, c: np.full((*SIZE, 1), 25 * n, np.uint8)) > 0.1


def test_data_of_one_image_a_class_have_no_variety_to_compare_with(digits):
    source, images = digits
    first = np.unique(source.labels, return_index=True)[1]
    assert len(first) == 10
    few = source.select(first)
    assert SampleVariety(Samples(None), images, few, 10, seed=0).ratio() == 1.0
