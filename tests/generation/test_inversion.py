"""Inversion finds images that a trained generator made, and the descent respects its limits."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.small_generators import save_module
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.generation.inversion import (
    Descent,
    InvertedImage,
    invert,
    psnr,
    read_inverted,
    write_inverted,
)
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.networks.generator import Generator
from tf_biggan.store.opened_model import open_model

MODEL = str(pathlib.Path(__file__).parents[1] / "trained_digits")
LABEL = 3


@pytest.fixture(scope="module")
def maker():
    return ImageMaker(open_model(MODEL).generator, batch_size=32)


@pytest.fixture(scope="module")
def target(maker):
    return maker.images(latents_of_seeds([0], 32, None, "scale"), [LABEL])[0]


def test_psnr_of_known_differences():
    images = np.zeros((2, 4, 4, 1))
    images[1] = 0.2
    # The range of pixels is 2, so the PSNR is 20 log10(2 / 0.2) = 20 dB.
    np.testing.assert_allclose(psnr(images, np.zeros((4, 4, 1)))[1], 20.0)
    assert psnr(images[0], images[0]) > 100


def test_an_image_of_the_generator_is_found_again(maker, target):
    """The test reaches 40.4 dB. The default settings reach 44 to 46."""
    found = invert(maker, target, Descent(num_starts=8, num_steps=150))
    assert found.psnr > 37
    # The class was not given.
    assert np.argmax(found.class_weights) == LABEL and found.class_weights.max() > 0.7
    np.testing.assert_allclose(found.class_weights.sum(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.psnr, psnr(found.image, target))
    # The returned latents and embedding give the returned image.
    again = maker.images(found.z[None], embeddings=found.embedding[None])[0]
    np.testing.assert_allclose(again, found.image, atol=1e-5)


def test_steps_that_are_too_long_lose_nothing(maker, target):
    """Steps of 3 move the latents to their limits, far from the best start."""
    first = invert(maker, target, Descent(num_starts=4, num_steps=1, learning_rate=1e-6), [LABEL])
    found = invert(maker, target, Descent(num_starts=4, num_steps=12, learning_rate=3.0), [LABEL])
    assert found.psnr >= first.psnr - 0.01
    np.testing.assert_allclose(found.psnr, psnr(found.image, target))


@pytest.mark.slow
def test_one_image_of_every_class_is_found_again(maker):
    """With the default settings: 41.9 to 48.8 dB, median 46.2 dB."""
    z = latents_of_seeds(range(10), 32, None, "scale")
    images = maker.images(z, np.arange(10))
    found = [invert(maker, image, Descent()) for image in images]
    assert [int(np.argmax(one.class_weights)) for one in found] == list(range(10))
    assert min(one.psnr for one in found) > 39


def test_a_known_class_stays_and_z_keeps_to_the_truncation(maker, target):
    seen = []

    def features(images):
        seen.append(images.shape)
        return tf.reduce_mean(images, axis=(1, 2))

    descent = Descent(num_starts=2, num_steps=5, truncation=0.3, learning_rate=1.0)
    found = invert(maker, target, descent, [4, 7], features)
    assert sorted(found.class_weights)[-2:] == [0, 1] and np.argmax(found.class_weights) in (4, 7)
    assert np.abs(found.z).max() == pytest.approx(0.6)
    assert seen == [(1, 32, 32, 1), (2, 32, 32, 1)]
    resampled = Descent(truncation=0.3, mode="resample", statistics=0.3)
    assert resampled.limit == 0.3 and Descent().limit == 4


def test_features_alone_can_tell_starts_apart(maker, target):
    """With a large feature weight, the feature distance falls."""
    features = lambda images: tf.reduce_mean(images, axis=(1, 3))  # noqa: E731
    descents = (Descent(4, 40, feature_weight=weight) for weight in (0.0, 100.0))
    images = [invert(maker, target, descent, [8], features).image for descent in descents]
    distances = [np.square((image - target).mean(axis=(0, 2))).sum() for image in images]
    assert distances[1] < 0.5 * distances[0]


def test_a_saved_model_makes_the_same_images_and_passes_gradients(maker, target, tmp_path):
    generator = maker.generator

    def images_of(z, y, truncation):
        return generator(z, y) + 0.0 * tf.reduce_sum(truncation)

    save_module(generator, str(tmp_path), images_of, truncation_shape=None)
    saved = ImageMaker(open_model(str(tmp_path)).generator, batch_size=32)
    weights = np.array([[0.25, 0.75] + 8 * [0.0]], np.float32)
    z = latents_of_seeds([5], 32, None, "scale")
    images = [one.images(z, weights, 0.5) for one in (saved, maker)]
    np.testing.assert_allclose(*images, atol=1e-5)
    descent = Descent(num_starts=2, num_steps=3)
    found = [invert(one, target, descent, [LABEL]) for one in (saved, maker)]
    np.testing.assert_allclose(found[0].z, found[1].z, atol=1e-4)
    assert np.abs(found[0].z - latents_of_seeds([0], 32, None, "scale")).max() > 0.1


def test_the_table_of_statistics_is_that_of_the_truncation():
    generator = Generator(
        "biggan32", 3, base_channels=2, latent_dim=8, num_statistics=3, initializer="n02", seed=0
    )
    mean = generator.output_norm.moving_mean
    mean.assign(np.asarray(mean) - np.array([[0.0], [2.0], [4.0]]))
    maker = ImageMaker(generator)
    z, embeddings = latents_of_seeds([1], 8, 0.5, "scale"), maker.embeddings([2])
    target = maker.images(z, truncation=0.5, embeddings=embeddings)[0]
    found = invert(maker, target, Descent(2, 2, truncation=0.5, statistics=0.5), [2])
    images = [
        maker.images(found.z[None], truncation=t, embeddings=found.embedding[None])[0]
        for t in (0.5, 1.0)
    ]
    np.testing.assert_allclose(found.image, images[0], atol=1e-6)
    assert found.psnr > psnr(images[1], target) + 10


def test_a_model_without_classes():
    generator = Generator("biggan32", 0, base_channels=2, latent_dim=8, initializer="n02", seed=0)
    maker = ImageMaker(generator)
    target = maker.images(latents_of_seeds([1], 8, None, "scale"))[0]
    found = invert(maker, target, Descent(num_starts=2, num_steps=2))
    assert found.embedding is None and found.class_weights is None and found.z.shape == (8,)


def test_a_generator_without_gradients_is_refused(maker, target):
    class Frozen:
        latent_dim, num_classes = 32, 0

        def __call__(self, z, labels=None, truncation=None):
            return tf.zeros((tf.shape(z)[0], 32, 32, 1)) + tf.stop_gradient(z[:, :1, None, None])

        synthesize = __call__

    descent = Descent(num_starts=2, num_steps=2)
    with pytest.raises(ValueError, match="Gradients cannot pass through this model"):
        invert(ImageMaker(Frozen()), target, descent)
    rounded = lambda images: tf.stop_gradient(images[:, 0, 0])  # noqa: E731
    with pytest.raises(ValueError, match=r"through this feature extractor; .*--extractor=none"):
        invert(maker, target, descent, [3], rounded)


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / "a.npz")
    z, weights = np.arange(4, dtype=np.float32), np.array([0.25, 0.75], np.float32)
    found = InvertedImage(z, weights, 2 * weights, 0.5, 31.5, {"model": "m", "classes": {"é": 1}})
    write_inverted(path, found)
    read = read_inverted(path)
    np.testing.assert_array_equal(read.z, z)
    np.testing.assert_array_equal(read.class_weights, weights)
    np.testing.assert_array_equal(read.embedding, 2 * weights)
    assert (read.truncation, read.psnr, read.description) == (0.5, 31.5, found.description)
    # The arrays are plain, so other programs can read them without this package.
    assert set(np.load(path).files) >= {"z", "embedding", "class_weights", "psnr", "description"}


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, z=np.ones(2), description="[1]")
    with pytest.raises(ValueError, match="must be a file that `invert` wrote"):
        read_inverted(str(path))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="complete"):
        read_inverted(str(path))
