"""The BigGAN-deep generator with folded weights, compared with pytorch-pretrained-BigGAN."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden_files import golden
from tests.networks.golden_models import truncation_of_ours
from tf_biggan.conversion import deepmind
from tf_biggan.networks.architectures import Architecture, Trunk, get_architecture
from tf_biggan.networks.generator import Generator

TINY_32 = Architecture(
    name="hf_tiny32",
    variant="biggan_deep",
    generator=Trunk((16, 8, 4, 2, 1), (True, True, True, False), (1,)),
    discriminator=Trunk((1, 2, 4, 8), (True, True, True)),
    base_channels=8,
    depth=2,
    latent_dim=128,
    latent_injection="all",
    embedding_dim=128,
    source="the layer list of the fixture",
)
ARCHITECTURES = {"hf_tiny32": TINY_32, "hf_tiny128": get_architecture("biggan_deep128")}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def fixture_and_generator(request):
    fixture = golden(request.param)
    config = fixture.info["config"]
    assert (config["eps"], config["n_stats"]) == (1e-4, 51)
    generator = deepmind.generator(
        ARCHITECTURES[request.param], config["num_classes"], base_channels=config["channel_width"]
    )
    deepmind.load_generator(generator, fixture.weights(""))
    return fixture, generator


def test_images_at_every_truncation(fixture_and_generator):
    fixture, generator = fixture_and_generator
    rows = generator.factory.num_statistics
    keys = [key for key in fixture.arrays.files if key.startswith("out_t")]
    assert {"out_t1.0", "out_t0.43"} <= set(keys)
    for key in keys:
        truncation = truncation_of_ours(float(key.removeprefix("out_t")), rows)
        images = generator(fixture.arrays["in/z"], fixture.arrays["in/y"], truncation=truncation)
        fixture.assert_close(images, key)


def test_truncation_of_each_sample(fixture_and_generator):
    fixture, generator = fixture_and_generator
    z, labels = fixture.arrays["in/z"], fixture.arrays["in/y"]
    truncations = np.array([0.5, 0.3, 1.0], "float32")
    together = generator(z, labels, truncation=truncations[: len(z)])
    for i, truncation in enumerate(truncations[: len(z)]):
        alone = generator(z[i : i + 1], labels[i : i + 1], truncation=float(truncation))
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_soft_one_hot_labels_give_the_same_images(fixture_and_generator):
    fixture, generator = fixture_and_generator
    z, labels = fixture.arrays["in/z"], fixture.arrays["in/y"]
    one_hot = np.eye(generator.num_classes, dtype="float32")[labels]
    np.testing.assert_allclose(generator(z, one_hot), generator(z, labels), atol=1e-6)


def test_spectrally_normalised_target_is_refused(fixture_and_generator):
    fixture, _ = fixture_and_generator
    target = Generator("biggan_deep32", 20, base_channels=8, initializer="n02")
    with pytest.raises(ValueError, match="spectral_norm"):
        deepmind.load_generator(target, fixture.weights(""))
