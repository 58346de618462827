"""Folded generators and discriminators compute the same as the networks they were made from."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.exporting.inference_generator import (
    PhaseConv2D,
    classes_cut,
    folded_arrays,
    inference_discriminator,
    inference_generator,
)
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path

CASES = {
    "biggan32 tables": dict(architecture="biggan32", base_channels=4),
    "biggan32 attention": dict(architecture="biggan32_studiogan", base_channels=8),
    "biggan128": dict(architecture="biggan128", base_channels=2),
    "biggan_deep128": dict(architecture="biggan_deep128", base_channels=4),
    "not square, unconditional": dict(
        architecture="biggan32", base_channels=4, num_classes=0, bottom_size=(4, 8)
    ),
}


def _moved(network, seed=0):
    """Returns the network after moving statistics, gains and attention off their initial values."""
    random = np.random.RandomState(seed)
    for path, variable in variables_by_path(network).items():
        value = np.asarray(variable)
        if path.endswith("moving_variance"):
            variable.assign(random.uniform(0.3, 2.0, value.shape))
        elif path.endswith(("moving_mean", "bias", "gain", "offset", "gamma")):
            variable.assign(value + 0.3 * random.standard_normal(value.shape))
    return network


def _inputs(generator, count=2):
    random = np.random.RandomState(1)
    z = random.standard_normal((count, generator.latent_dim)).astype("float32")
    return z, (np.arange(count) * 2 % 3 if generator.num_classes else None)


@pytest.mark.parametrize("case", CASES)
def test_the_folded_generator_equals_the_unfolded(case):
    generator = _moved(Generator(**{"num_classes": 3, "seed": 0, **CASES[case]}))
    arrays = folded_arrays(generator)
    assert not [path for path in arrays if path.endswith("/u")]
    folded = inference_generator(generator.get_config(), arrays)
    z, labels = _inputs(generator)
    images = np.asarray(generator(z, labels))
    assert images.std() > 0.01
    np.testing.assert_allclose(folded(z, labels), images, rtol=0, atol=1e-5)
    # The phase convolution is used from 8x8 on, so in all blocks but the first.
    phases = [layer for block in folded.blocks for layer in block.convolutions]
    doubling = sum(spec.resample for spec in generator.block_specs)
    assert sum(isinstance(layer, PhaseConv2D) for layer in phases) == doubling - 1


def test_the_folded_discriminator_equals_the_unfolded():
    discriminator = _moved(Discriminator("biggan32", 3, base_channels=4, seed=0))
    folded = inference_discriminator(discriminator.get_config(), folded_arrays(discriminator))
    images = np.random.RandomState(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    labels = np.array([0, 2])
    np.testing.assert_allclose(
        folded(images, labels), discriminator(images, labels), rtol=1e-5, atol=1e-5
    )


def test_sigma_is_divided_by_in_double_precision():
    generator = Generator("biggan32", 3, base_channels=2, seed=0)
    sigma = np.float64(generator.first.estimate_sigma()[0])
    expected = (np.asarray(generator.first.kernel, np.float64) / sigma).astype("float32")
    np.testing.assert_array_equal(folded_arrays(generator)["first/kernel"], expected)


@pytest.mark.parametrize("architecture", ["biggan32", "biggan_deep32"])
def test_fewer_classes_in_the_order_named(architecture):
    generator = _moved(Generator(architecture, 4, base_channels=4, seed=0))
    per_class = generator.class_embedding is None
    assert per_class == (architecture == "biggan32")
    cut = classes_cut(folded_arrays(generator), (3, 1), per_class)
    fewer = inference_generator({**generator.get_config(), "num_classes": 2}, cut)
    z, _ = _inputs(generator)
    images = np.asarray(generator(z, np.array([3, 1])))
    np.testing.assert_allclose(fewer(z, np.array([0, 1])), images, rtol=0, atol=1e-5)
    assert np.abs(images - np.asarray(generator(z, np.array([1, 3])))).max() > 1e-3
    with pytest.raises(ValueError, match="each class once"):
        classes_cut(cut, (0, 0), per_class)


def test_arrays_of_another_network_are_refused():
    generator = Generator("biggan32", 3, base_channels=2, seed=0)
    arrays = folded_arrays(generator)
    del arrays["first/bias"]
    with pytest.raises(ValueError, match=r"missing=\['first/bias'\]"):
        inference_generator(generator.get_config(), arrays)
