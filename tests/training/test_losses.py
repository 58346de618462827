"""Losses, compared with BigGAN-PyTorch and with each formula in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden_files import golden
from tf_biggan.training.losses import LOSSES, get_loss

FORMULAS = {
    "hinge": (
        lambda real: np.maximum(0, 1 - real),
        lambda fake: np.maximum(0, 1 + fake),
        lambda fake: -fake,
    ),
    "nonsaturating": (
        lambda real: np.log1p(np.exp(-real)),
        lambda fake: np.log1p(np.exp(fake)),
        lambda fake: np.log1p(np.exp(-fake)),
    ),
    "wasserstein": (lambda real: -real, lambda fake: fake, lambda fake: -fake),
}


@pytest.fixture
def logits():
    info = golden("misc").info["losses"]
    return np.array(info["dis_real"], "float32"), np.array(info["dis_fake"], "float32")


@pytest.mark.parametrize("name", LOSSES)
def test_formula_of_every_example(name, logits):
    real, fake = logits
    loss = get_loss(name)
    of_real, of_fake, of_generator = FORMULAS[name]
    real_loss, fake_loss = loss.discriminator(real, fake)
    np.testing.assert_allclose(real_loss, of_real(real), rtol=1e-6)
    np.testing.assert_allclose(fake_loss, of_fake(fake), rtol=1e-6)
    np.testing.assert_allclose(loss.generator(fake), of_generator(fake), rtol=1e-6)


@pytest.mark.parametrize(
    "name, discriminator_key, generator_key",
    [
        ("hinge", "hinge_dis_real_fake", "hinge_gen"),
        ("nonsaturating", "dcgan_dis_from_real_from_fake", "dcgan_gen"),
    ],
)
def test_means_are_the_authors(name, discriminator_key, generator_key, logits):
    info = golden("misc").info["losses"]
    real, fake = logits
    loss = get_loss(name)
    means = [np.mean(part) for part in loss.discriminator(real, fake)]
    np.testing.assert_allclose(means, info[discriminator_key], rtol=1e-5)
    np.testing.assert_allclose(np.mean(loss.generator(fake)), info[generator_key], rtol=1e-5)


def test_unknown_loss_names_the_known_ones():
    with pytest.raises(ValueError, match=r"wasserstein, MODULE:ATTRIBUTE\. Received: loss='x'"):
        get_loss("x")
