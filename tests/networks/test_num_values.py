"""The number of values in a network is computed exactly from its arguments."""

from __future__ import annotations

import math

import pytest

from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.num_values import discriminator_values, generator_values, require_stored

SMALL = dict(base_channels=4, initializer="n02")
GENERATORS = [
    dict(architecture="biggan32", num_classes=3),
    dict(architecture="biggan32", num_classes=0, image_channels=1, bottom_size=(4, 6)),
    dict(architecture="biggan32_studiogan", num_classes=3, spectral_norm=False),
    dict(architecture="biggan64", num_classes=3, embedding_dim=5, latent_dim=10, num_statistics=4),
    dict(architecture="biggan_deep128", num_classes=3, depth=1, latent_dim=7, embedding_dim=6),
    dict(architecture="biggan_deep128", num_classes=2, depth=1, spectral_norm=False),
]
DISCRIMINATORS = [
    dict(architecture="biggan32", num_classes=3, wide=False),
    dict(architecture="biggan32_studiogan", num_classes=0, image_channels=1),
    dict(architecture="biggan_deep128", num_classes=3, depth=1),
    dict(architecture="biggan_deep128", num_classes=3, depth=2, spectral_norm=False),
]


def _numbers(network):
    return sum(math.prod(variable.shape) for variable in network.variables)


@pytest.mark.parametrize("arguments", GENERATORS)
def test_generators(arguments):
    arguments = {**SMALL, **arguments}
    assert generator_values(arguments) == _numbers(Generator(**arguments))


@pytest.mark.parametrize("arguments", DISCRIMINATORS)
def test_discriminators(arguments):
    arguments = {**SMALL, **arguments}
    assert discriminator_values(arguments) == _numbers(Discriminator(**arguments))


def test_a_network_beyond_its_file_is_refused():
    arguments = dict(architecture="biggan128", num_classes=1000, latent_dim=120)
    values = generator_values(arguments)
    require_stored(values, values, "G.pth")
    with pytest.raises(ValueError, match=r"70,497,591 numbers.*path='G\.pth', numbers=9"):
        require_stored(values, 9, "G.pth")
    with pytest.raises(ValueError, match=r"64 residual blocks; .* Received: blocks=4995"):
        generator_values({**arguments, "depth": 999})
