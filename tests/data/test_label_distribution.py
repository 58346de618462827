"""The distribution of the labels of generated images, by hand."""

import numpy as np
import pytest

from tf_biggan.data.label_distribution import LabelDistribution
from tf_biggan.generation.latents import class_labels

ROWS = np.array([[0.5, 0.5, 0], [0, 1, 0], [0.5, 0.5, 0], [0.25, 0.75, 0]], np.float32)


def by_row(distribution):
    return dict(
        zip(map(tuple, distribution.weights.tolist()), distribution.probabilities, strict=True)
    )


def test_rows_of_the_data_are_as_frequent_as_their_images():
    found = by_row(LabelDistribution.of_soft_labels(ROWS, "data"))
    assert found == {(0.5, 0.5, 0): 0.5, (0, 1, 0): 0.25, (0.25, 0.75, 0): 0.25}


def test_uniform_draws_a_class_and_then_a_row_by_its_weight():
    found = by_row(LabelDistribution.of_soft_labels(ROWS, "uniform"))
    # The columns sum to 1.25, 2.75 and 0. The third class has no weight and is never drawn.
    expected = {
        (0.5, 0.5, 0): (1.0 / 1.25 + 1.0 / 2.75) / 2,
        (0, 1, 0): 1.0 / 2.75 / 2,
        (0.25, 0.75, 0): (0.25 / 1.25 + 0.75 / 2.75) / 2,
    }
    assert found == pytest.approx(expected, rel=1e-12)
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("sampling", ["uniform", "data"])
def test_rows_of_one_class_are_drawn_like_classes(sampling):
    labels = np.random.RandomState(0).randint(7, size=1000)
    soft = LabelDistribution.of_soft_labels(np.eye(7, dtype="float32")[labels], sampling)
    single = LabelDistribution.of_counts(np.bincount(labels), sampling)
    np.testing.assert_array_equal(soft.probabilities, single.probabilities)
    numbers = class_labels(3, 5, 4000, soft.probabilities).numpy()
    drawn = class_labels(3, 5, 4000, single.probabilities).numpy()
    np.testing.assert_array_equal(soft.labels(numbers), np.eye(7)[single.labels(drawn)])
    np.testing.assert_array_equal(soft.classes(numbers), single.classes(drawn))
    frequencies = np.bincount(drawn) / 4000
    np.testing.assert_allclose(frequencies, single.probabilities, atol=0.02)


def test_a_label_is_the_row_of_the_table():
    found = LabelDistribution.of_soft_labels(ROWS, "data")
    assert found.labels([2, 0]).tolist() == [found.weights[2].tolist(), found.weights[0].tolist()]
    place = found.weights.tolist().index([0.25, 0.75, 0])
    assert found.classes(np.array([place])).tolist() == [1]
