"""Latents and labels: their distributions, and equal values in XLA, graphs and eager mode."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tf_biggan.generation.latents import (
    FAKE_SEEDS,
    REAL_SEEDS,
    augmentation_seeds,
    class_labels,
    normal_latents,
    uniform_for_each,
)

THIRDS = np.array([0.5, 0.3, 0.2])
DRAWS = {
    "latents": lambda draw: normal_latents(3, draw, 41, 25),
    "labels": lambda draw: class_labels(3, draw, 41, THIRDS),
    "seeds": lambda draw: augmentation_seeds(3, draw, 41, REAL_SEEDS),
    "of seeds": lambda draw: uniform_for_each(augmentation_seeds(3, draw, 5, FAKE_SEEDS), (2, 3)),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_graphs_draw_what_python_draws(name, jit_compile):
    # A variable prevents constant folding outside of XLA.
    draw = tf.Variable(11, dtype=tf.int64)
    drawn = tf.function(lambda: DRAWS[name](draw), jit_compile=jit_compile)()
    np.testing.assert_allclose(drawn, DRAWS[name](11), rtol=0, atol=1e-5)


def test_latents_are_standard_normal_and_independent():
    z = normal_latents(0, 5, 2000, 30).numpy()
    assert z.dtype == np.float32
    assert scipy.stats.kstest(z.ravel(), "norm").pvalue > 0.01
    correlations = np.corrcoef(z.T) - np.eye(30)
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)
    halves = np.corrcoef(z.ravel()[:30000], z.ravel()[30000:])[0, 1]
    assert abs(halves) < 5 / np.sqrt(30000)


def test_labels_have_their_probabilities():
    labels = class_labels(0, 5, 20000, THIRDS).numpy()
    assert labels.dtype == np.int32
    counts = np.bincount(labels, minlength=3)
    assert scipy.stats.chisquare(counts, 20000 * THIRDS).pvalue > 0.01


def test_a_class_of_probability_zero_is_never_drawn():
    labels = class_labels(0, 1, 5000, np.array([0.0, 1.0, 0.0])).numpy()
    assert set(labels) == {1}


@pytest.mark.parametrize("other", [dict(seed=1, draw=0), dict(seed=0, draw=1)])
def test_other_seeds_and_draws_give_other_numbers(other):
    first = normal_latents(0, 0, 500, 4).numpy().ravel()
    second = normal_latents(other["seed"], other["draw"], 500, 4).numpy().ravel()
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(2000)


def test_latents_and_labels_of_one_draw_are_unrelated():
    z = normal_latents(0, 0, 4000, 1).numpy().ravel()
    labels = class_labels(0, 0, 4000, np.array([0.5, 0.5])).numpy()
    assert abs(np.corrcoef(z, labels)[0, 1]) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("kind", ["drawn", "counted"])
def test_numbers_of_seeds_are_uniform_and_each_of_its_own_seed(kind):
    counted = tf.stack([tf.range(2000) // 50, tf.range(2000) % 50], axis=1)
    seeds = {"drawn": augmentation_seeds(0, 5, 2000, FAKE_SEEDS), "counted": counted}[kind]
    numbers = uniform_for_each(seeds, (2, 4)).numpy()
    assert numbers.shape == (2000, 2, 4) and numbers.dtype == np.float32
    assert 0 <= numbers.min() and numbers.max() < 1
    assert scipy.stats.kstest(numbers.ravel(), "uniform").pvalue > 0.01
    columns = numbers.reshape(2000, 8)
    assert np.abs(np.corrcoef(columns.T) - np.eye(8)).max() < 5 / np.sqrt(2000)
    # Seeds of neighbouring rows may differ in a single bit.
    for column in columns.T:
        assert abs(np.corrcoef(column[1:], column[:-1])[0, 1]) < 5 / np.sqrt(2000)
    np.testing.assert_array_equal(uniform_for_each(seeds[5:6], (2, 4))[0], numbers[5])
    assert uniform_for_each(seeds).shape == (2000,)


def test_seeds_of_augmentations_are_no_keys_of_latents_or_labels():
    """Only augmentation seeds use negative draws."""
    same = normal_latents(3, 4, 2, 2).numpy()
    bits = augmentation_seeds(3, 4, 2, FAKE_SEEDS).numpy()
    assert not np.isin(bits, same).any() and bits.min() >= 0 and bits.max() < 2**24
