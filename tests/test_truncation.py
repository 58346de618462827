"""Latents by seed and index, against SciPy and the values of pytorch-pretrained-BigGAN."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tf_biggan import truncation

# truncated_noise_sample(4, 128, t, seed) of pytorch-pretrained-BigGAN: three values of the first
# row and the last of the last, at truncation 1; at t they are t times that.
HUGGINGFACE = {
    0: (0.11705679446458817, 0.5399904847145081, 0.24840021133422852, -0.37086144),
    7: (-1.3071177005767822, 0.7295992374420166, -0.14789801836013794, -0.45257112),
    42: (-0.3048279881477356, 1.4773321151733398, 0.5871191620826721, -0.19687419),
}


@pytest.mark.parametrize("seed", HUGGINGFACE)
def test_the_inverse_of_the_distribution_gives_huggingfaces_noise(seed):
    uniform = np.random.RandomState(seed).uniform(size=(4, 128))
    noise = truncation.truncated_normal(uniform, truncation.SCALED_LIMIT)
    actual = [*noise[0, :3], noise[3, -1]]
    np.testing.assert_allclose(actual, HUGGINGFACE[seed], rtol=0, atol=1e-7)


@pytest.mark.parametrize("limit", [0.02, 0.5, 2.0])
def test_quantiles_are_those_of_scipy(limit):
    uniform = np.linspace(0, 1, 1001)
    expected = stats.truncnorm.ppf(uniform, -limit, limit)
    actual = truncation.truncated_normal(uniform, limit)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


DISTRIBUTIONS = {
    "none": (None, "scale", stats.norm()),
    "scale": (0.4, "scale", stats.truncnorm(-2, 2, scale=0.4)),
    "resample": (0.4, "resample", stats.truncnorm(-0.4, 0.4)),
    "resample far out": (1.5, "resample", stats.truncnorm(-1.5, 1.5)),
}


@pytest.mark.parametrize("t, mode, distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_latents_have_the_distribution_of_their_mode(t, mode, distribution):
    z = truncation.latents(3, range(400), 50, t, mode)
    assert z.dtype == np.float32 and z.shape == (400, 50)
    assert stats.kstest(z.ravel(), distribution.cdf).pvalue > 1e-3
    # Neither components nor neighbouring images go together.
    assert abs(np.corrcoef(z[:-1].ravel(), z[1:].ravel())[0, 1]) < 0.03


def test_a_row_depends_on_its_seed_and_index_alone():
    all_of_them = truncation.latents(5, range(20), 8, 0.5)
    np.testing.assert_array_equal(truncation.latents(5, [17, 3], 8, 0.5), all_of_them[[17, 3]])
    mixed = truncation.latents([5, 6], [17, 17], 8, 0.5)
    np.testing.assert_array_equal(mixed[0], all_of_them[17])
    assert np.all(mixed[0] != mixed[1])


def test_labels_are_drawn_as_often_as_they_should_be():
    labels = truncation.labels(0, range(5000), np.array([0.5, 0.0, 0.3, 0.2]))
    counts = np.bincount(labels, minlength=4)
    assert counts[1] == 0 and stats.chisquare(counts[[0, 2, 3]], [2500, 1500, 1000]).pvalue > 1e-3
    np.testing.assert_array_equal(truncation.labels(0, [9, 4], np.full(4, 0.25)).shape, (2,))


@pytest.mark.parametrize("t, mode", [(0.0, "scale"), (5.0, "scale"), (-1.0, "resample")])
def test_truncations_out_of_range(t, mode):
    with pytest.raises(ValueError, match="`truncation` must be above 0"):
        truncation.latents(0, [0], 4, t, mode)
    with pytest.raises(ValueError, match="one of scale, resample"):
        truncation.latents(0, [0], 4, 0.5, "clamp")
