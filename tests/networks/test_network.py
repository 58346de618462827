"""Wrong arguments raise a ValueError that says what is wrong, what was given and what to do."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.networks.architectures import BlockSpec
from tf_biggan.networks.blocks import DeepDiscriminatorBlock, DeepGeneratorBlock
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator

SMALL = dict(base_channels=2, initializer="n02")
Z = np.zeros((2, 128), "float32")
IMAGES = np.zeros((2, 32, 32, 3), "float32")
LABELS = np.array([0, 1])

CONSTRUCTION = [
    (dict(architecture="biggan31"), r"`architecture` must be one of .*biggan32.*Received: .*31"),
    (
        dict(architecture="biggan128", latent_dim=121),
        r"must be a multiple of 6 .*; use 120 or 126.*Received: latent_dim=121",
    ),
    (dict(num_classes=-1), r"`num_classes` must be an integer at least 0.*num_classes=-1"),
    (dict(num_classes=2.0), r"`num_classes` must be an integer.*num_classes=2\.0"),
    (dict(image_channels=0), r"`image_channels` must be an integer from 1 to 4.*image_channels=0"),
    (dict(image_channels=5), r"from 1 to 4.*image_channels=5"),
    (dict(base_channels=0), r"`base_channels` must be an integer at least 1.*base_channels=0"),
    (dict(depth=0), r"`depth` must be an integer at least 1"),
    (dict(bottom_size=(4, 0)), r"`bottom_size` must be two positive integers"),
    (dict(bottom_size=(4,)), r"`bottom_size` must be two positive integers"),
    (dict(attention_stages=(7,)), r"indices of stages, from 0 to 2.*attention=\(7,\)"),
    (dict(initializer="he"), r"`initializer` must be one of ortho, n02, glorot.*'he'"),
    (dict(latent_injection="some"), r"`latent_injection` must be one of first, split, all"),
    (dict(latent_injection="all"), r"needs `latent_injection` 'first'.*embedding_dim=0"),
    (dict(embedding_dim=-2), r"`embedding_dim` must be an integer at least 0"),
    (dict(attention_stages=(1.5,)), r"`attention_stages` must be a list or tuple of integers"),
    (dict(attention_stages=1), r"`attention_stages` must be a list or tuple of integers.*=1"),
    (dict(bottom_size=4), r"`bottom_size` must be a list or tuple of integers.*=4"),
    (dict(sn_epsilon=-1.0), r"`sn_epsilon` must be a number from 0 to 1"),
    (dict(bn_momentum=5), r"`bn_momentum` must be a number from 0 to 1.*=5"),
    (dict(seed="a"), r"`seed` must be an integer at least 0"),
    (dict(latent_dim=0), r"`latent_dim` must be an integer at least 1"),
    (dict(num_statistics=0), r"`num_statistics` must be an integer at least 1"),
]
GENERATOR_ONLY = {
    "bn_momentum",
    "latent_injection",
    "embedding_dim",
    "latent_dim",
    "num_statistics",
}


@pytest.mark.parametrize("arguments, message", CONSTRUCTION, ids=lambda value: str(value)[:40])
def test_construction(arguments, message):
    settings = {"architecture": "biggan32", "num_classes": 3, **SMALL, **arguments}
    with pytest.raises(ValueError, match=message):
        Generator(**settings)
    if not GENERATOR_ONLY & set(arguments):
        stages = message.replace("from 0 to 2", "from 0 to 3")
        with pytest.raises(ValueError, match=stages):
            Discriminator(**settings)


@pytest.fixture(scope="module")
def generator():
    return Generator("biggan32", 3, **SMALL)


@pytest.fixture(scope="module")
def discriminator():
    return Discriminator("biggan32", 3, **SMALL)


BAD_LABELS = [
    (None, r"needs `labels`: class indices \[N\] or class weights \[N, 3\]"),
    (np.zeros((2, 4), "float32"), r"class weights \[N, 3\].*shape=\(2, 4\)"),
    (np.zeros(2, "float32"), r"\(float\).*shape=\(2,\), dtype='float32'"),
    (np.zeros((2, 1), "int32"), r"class indices \[N\] \(integer\).*shape=\(2, 1\)"),
    (np.zeros(3, "int32"), r"one row for each example.*labels=3, examples=2"),
    (np.array([0, 3]), r"Class indices must be from 0 to 2.*labels=array\(\[0, 3\]"),
    (np.array([-1, 0]), r"Class indices must be from 0 to 2"),
    (np.zeros((3, 3), "float32"), r"one row for each example.*labels=3, examples=2"),
]


@pytest.mark.parametrize("labels, message", BAD_LABELS, ids=range(len(BAD_LABELS)))
def test_labels(generator, discriminator, labels, message):
    with pytest.raises(ValueError, match=message):
        generator(Z, labels)
    with pytest.raises(ValueError, match=message):
        discriminator(IMAGES, labels)


def test_python_lists_are_taken_as_arrays(generator, discriminator):
    images = np.random.default_rng(0).normal(size=IMAGES.shape).astype("float32")
    z = np.random.default_rng(1).normal(size=Z.shape).astype("float32")
    for labels in ([2, np.int64(0)], [(0.0, 0.25, 0.75), (1, 0, 0.0)]):
        array = np.asarray(labels, "float32" if np.ndim(labels) == 2 else "int32")
        expected = generator(z, array)
        np.testing.assert_array_equal(generator(z, labels), expected)
        np.testing.assert_array_equal(generator(z.tolist(), labels, 0.5), expected)
        given = generator.synthesize(z.tolist(), generator.embed(labels), truncation=[0.5, 1.0])
        np.testing.assert_array_equal(given, expected)
        np.testing.assert_array_equal(discriminator(images, labels), discriminator(images, array))
    with pytest.raises(ValueError, match=r"must be from 0 to 2.*array\(\[0, 3\]"):
        generator(z, [0, 3])
    for labels in (["ant", "bee"], [[1.0], [1.0, 2.0]], [None, 1], []):
        with pytest.raises(ValueError, match="`labels` must hold numbers"):
            generator(z, labels)


def test_labels_of_an_unconditional_network():
    with pytest.raises(ValueError, match="`labels` must be None"):
        Generator("biggan32", 0, **SMALL)(Z, LABELS)
    with pytest.raises(ValueError, match="`labels` must be None"):
        Discriminator("biggan32", 0, **SMALL)(IMAGES, LABELS)


def test_latents(generator):
    with pytest.raises(
        ValueError, match=r"`z` must have the shape \[N, 128\] and a.*shape=\(2, 120\)"
    ):
        generator(Z[:, :120], LABELS)


def test_images(discriminator):
    with pytest.raises(
        ValueError, match=r"`images` must have the shape \[N, 32, 32, 3\] and.*\(2, 64, 64, 3\)"
    ):
        discriminator(np.zeros((2, 64, 64, 3), "float32"), LABELS)
    with pytest.raises(
        ValueError, match=r"`images` must have the shape \[N, 32, 32, 3\] and.*\(2, 32, 32, 1\)"
    ):
        discriminator(IMAGES[..., :1], LABELS)


@pytest.mark.parametrize("num_statistics", [1, 51])
def test_truncation(num_statistics):
    generator = Generator("biggan32", 3, num_statistics=num_statistics, **SMALL)
    for truncation in (0.0, 1.5, -1, np.float32(2.0), np.array([0.5, 1.1], "float32")):
        with pytest.raises(ValueError, match="`truncation` must be above 0 and at most 1"):
            generator(Z, LABELS, truncation=truncation)
    for truncation in (np.ones((2, 1), "float32"), np.ones(3, "float32")):
        with pytest.raises(ValueError, match="a scalar or hold one value for each example"):
            generator(Z, LABELS, truncation=truncation)


def test_embeddings():
    generator = Generator("biggan64", 3, embedding_dim=6, **SMALL)
    z = np.zeros((2, 120), "float32")
    for embeddings, message in (
        (None, r"needs `embeddings` \[N, 6\]"),
        (np.zeros((2, 5), "float32"), r"`embeddings` must have the shape \[N, 6\].*shape=\(2, 5\)"),
        (np.zeros((3, 6), "float32"), r"one row for each example.*rows=3"),
    ):
        with pytest.raises(ValueError, match=message):
            generator.synthesize(z, embeddings)
    with pytest.raises(ValueError, match="needs `labels`"):
        Generator("biggan32", 3, **SMALL).synthesize(Z)
    with pytest.raises(ValueError, match="`labels` must be None"):
        Generator("biggan32", 0, **SMALL).synthesize(Z, np.zeros((2, 9), "float32"))


def test_integer_images():
    discriminator = Discriminator("biggan_deep32", 3, **SMALL)
    with pytest.raises(ValueError, match=r"`images` must have .* floating-point .*dtype='uint8'"):
        discriminator(IMAGES.astype("uint8"), LABELS)


def test_numpy_integers_are_integers(tmp_path):
    generator = Generator("biggan32", np.int64(3), base_channels=np.int32(2), initializer="n02")
    generator.save(tmp_path / "g.keras")


def test_blocks_that_their_kind_cannot_be():
    with pytest.raises(ValueError, match="cannot have more output"):
        DeepGeneratorBlock(BlockSpec(4, 1, 8, True, False))
    with pytest.raises(ValueError, match="cannot have fewer output"):
        DeepDiscriminatorBlock(BlockSpec(8, 1, 4, True, False))


def test_training_with_a_table_of_statistics():
    generator = Generator("biggan32", 3, num_statistics=51, **SMALL)
    with pytest.raises(
        ValueError, match=r"in training needs `num_statistics` 1.*num_statistics=51"
    ):
        generator(Z, LABELS, training=True)
