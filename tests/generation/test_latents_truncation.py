"""Latents of single images: their distributions, and what they depend on."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.golden_files import golden
from tf_biggan.generation.latents import (
    SCALED_LIMIT,
    check_truncation,
    labels,
    latents,
    truncated_normal,
)

COUNT, DIM = 400, 50
# Kolmogorov-Smirnov distance that 20,000 samples exceed once in a million cases.
FAR = 0.019


@pytest.mark.parametrize("seed", [0, 7, 42])
@pytest.mark.parametrize("truncation", [1.0, 0.5, 0.4])
def test_the_inverse_of_the_distribution_gives_huggingfaces_noise(seed, truncation):
    # The uniform numbers come from NumPy. Their transformation is the mode "scale".
    uniform = np.random.RandomState(seed).uniform(size=(4, 128))
    noise = truncation * truncated_normal(uniform, SCALED_LIMIT).numpy()
    expected = golden("hf_noise").arrays[f"seed{seed}_t{truncation}"]
    np.testing.assert_allclose(noise, expected, rtol=0, atol=1e-7)
    ours = scipy.stats.truncnorm.ppf(uniform, -2, 2, scale=truncation)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-7)


def test_the_spread_is_that_of_huggingfaces_noise():
    info = golden("hf_noise").info
    z = latents(0, np.arange(4000), DIM, 1.0).numpy()
    assert abs(z.std() - info["std_theory"]) < 0.005 and abs(z.mean()) < 0.008
    assert 1.99 < np.abs(z).max() <= 2 and info["max_200k"] <= 2


@pytest.mark.parametrize(
    "truncation, mode, distribution",
    [
        (None, "scale", scipy.stats.norm()),
        (0.4, "scale", scipy.stats.truncnorm(-2, 2, scale=0.4)),
        (1.0, "scale", scipy.stats.truncnorm(-2, 2)),
        (0.4, "resample", scipy.stats.truncnorm(-0.4, 0.4)),
        (3.0, "resample", scipy.stats.truncnorm(-3, 3)),
    ],
)
def test_distributions(truncation, mode, distribution):
    z = latents(7, np.arange(COUNT), DIM, truncation, mode).numpy()
    assert z.dtype == np.float32 and z.shape == (COUNT, DIM)
    assert scipy.stats.kstest(z.ravel(), distribution.cdf).statistic < FAR
    # Neighbouring images and neighbouring components are uncorrelated.
    for axis in (0, 1):
        pairs = [
            np.take(z, range(0, z.shape[axis] - 1), axis),
            np.take(z, range(1, z.shape[axis]), axis),
        ]
        assert abs(np.corrcoef(*(part.ravel() for part in pairs))[0, 1]) < 0.04


def test_quantiles_are_scipys():
    uniform = np.linspace(0.001, 0.999, 99)
    for limit in (0.02, 0.5, 2.0, 5.0):
        expected = scipy.stats.truncnorm.ppf(uniform, -limit, limit)
        np.testing.assert_allclose(truncated_normal(uniform, limit), expected, atol=1e-12)


def test_an_image_depends_on_its_seed_and_index_alone():
    alone = np.concatenate([latents(3, [i], DIM).numpy() for i in (5, 0, 900)])
    np.testing.assert_array_equal(latents(3, [5, 0, 900], DIM), alone)
    np.testing.assert_array_equal(latents([4, 3, 3], [7, 0, 5], DIM)[1:], alone[[1, 0]])
    different = {row.tobytes() for row in latents([0, 1, 0, 1], [0, 0, 1, 1], DIM).numpy()}
    assert len(different) == 4


def test_each_image_may_have_its_own_truncation():
    together = latents(0, [0, 1], DIM, [0.5, 1.0]).numpy()
    np.testing.assert_array_equal(together[0], latents(0, [0], DIM, 0.5)[0])
    np.testing.assert_array_equal(together[1], latents(0, [1], DIM, 1.0)[0])
    # A seed gives the same direction at every truncation.
    np.testing.assert_allclose(2 * latents(0, [1], DIM, 0.5)[0], together[1], rtol=1e-6)


def test_labels_are_drawn_as_often_as_they_should_be():
    drawn = labels(0, np.arange(5000), np.array([0.5, 0.0, 0.3, 0.2])).numpy()
    counts = np.bincount(drawn, minlength=4)
    assert counts[1] == 0
    assert scipy.stats.chisquare(counts[[0, 2, 3]], [2500, 1500, 1000]).pvalue > 1e-3


@pytest.mark.parametrize("jit", [False, True])
def test_graphs_draw_the_same(jit):
    @tf.function(jit_compile=jit)
    def draw(seeds, indices, truncation):
        return latents(seeds, indices, 8, truncation)

    seeds, indices = tf.constant([1, 2**30 - 1]), tf.constant([2**31 - 1, 4])
    drawn = draw(seeds, indices, tf.constant(0.7))
    np.testing.assert_allclose(drawn, latents(seeds, indices, 8, 0.7), rtol=1e-6)


@pytest.mark.parametrize(
    "truncation, mode, message",
    [
        (0.0, "scale", "must be above 0 and, if `truncation_mode` is 'scale', at most 1"),
        (1.5, "scale", "at most 1. Received: truncation=1.5"),
        (-1.0, "resample", "above 0"),
        (float("nan"), "scale", "above 0"),
        (0.5, "clamp", "must be one of scale, resample"),
    ],
)
def test_bad_truncations_are_refused(truncation, mode, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        check_truncation(truncation, mode)
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        latents(0, [0], 4, truncation, mode)
