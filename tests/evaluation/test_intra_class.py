"""Fréchet distance class by class against one class at a time."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.evaluation.scores.frechet import feature_statistics, frechet_distance
from tf_biggan.evaluation.scores.frechet_variants import intra_class_distance


def labelled(seed, labels):
    return np.random.RandomState(seed).standard_normal((len(labels), 3)), np.array(labels)


def test_each_class_is_compared_with_itself():
    generated, ours = labelled(0, [0, 1, 7] * 10)
    real, theirs = labelled(1, [7] * 20 + [0] * 15 + [1] * 12)
    result = intra_class_distance(generated, ours, real, theirs)
    expected = {
        label: frechet_distance(
            feature_statistics(generated[ours == label]), feature_statistics(real[theirs == label])
        )
        for label in (0, 1, 7)
    }
    assert result.of_class == pytest.approx(expected)
    assert result.mean == pytest.approx(np.mean(list(expected.values())))
    assert result.too_few == ()


def test_classes_with_too_few_images_are_named():
    generated, ours = labelled(0, [0] * 5 + [1] + [2] * 5)
    real, theirs = labelled(1, [0] * 5 + [1] * 5 + [3] * 5)
    result = intra_class_distance(generated, ours, real, theirs)
    assert list(result.of_class) == [0] and result.too_few == (1, 2, 3)
    assert result.mean == result.of_class[0]
    assert intra_class_distance(generated[5:6], [1], real, theirs).mean is None


def test_labels_must_fit_the_features():
    generated, ours = labelled(0, [0] * 5)
    with pytest.raises(ValueError, match=r"`generated_labels` must be integers of shape \[5\]"):
        intra_class_distance(generated, ours[:4], generated, ours)
    with pytest.raises(ValueError, match=r"`real_labels` .*float64"):
        intra_class_distance(generated, ours, generated, ours.astype(float))
