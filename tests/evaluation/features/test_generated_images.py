"""A generated image depends on (seed, index) only, not on batches, replicas or statistics."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.evaluation.features.generated_images import GeneratedImages, Sampling
from tf_biggan.files.json_files import folder_sha256
from tf_biggan.files.png import to_uint8
from tf_biggan.generation import image_maker
from tf_biggan.generation import latents as truncation
from tf_biggan.generation.standing_statistics import STANDING_START, copy_generator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.opened_model import SavedModelGenerator


@pytest.fixture(scope="module")
def generator():
    made = Generator("biggan32", 3, base_channels=2, latent_dim=8, image_channels=1, seed=0)
    made.output_norm.gain.assign(30.0 * np.asarray(made.output_norm.gain))
    return made


def images_of(generator, strategy=None, batch_size=4, counts=None, soft_labels=None, **sampling):
    return GeneratedImages(
        generator,
        Sampling(**{"num_images": 9, **sampling}),
        strategy or tf.distribute.get_strategy(),
        batch_size,
        {"path": "here"},
        label_counts=counts,
        soft_labels=soft_labels,
    )


def pixels_of(images):
    return np.concatenate(list(images.batches(4)))


def assert_same_pixels(one, two):
    """Checks that images are equal, except for floats at the boundary between two bytes."""
    difference = np.abs(one.astype(int) - two)
    assert difference.max() <= 1 and np.mean(difference > 0) < 1e-3


def test_images_are_the_generators_of_latents_by_index(generator, mirrored_strategy):
    images = images_of(generator, seed=3, truncation=0.5)
    expected = to_uint8(generator(truncation.latents(3, range(9), 8, 0.5), images.labels))
    assert expected.shape == (9, 32, 32, 1) and len(np.unique(expected)) > 50
    assert_same_pixels(pixels_of(images), expected)
    assert images.description["truncation"] == 0.5 and images.description["seed"] == 3
    # Batch size, replicas and the number of images do not change an image.
    other = images_of(generator, mirrored_strategy, 3, seed=3, truncation=0.5, num_images=7)
    assert_same_pixels(pixels_of(other), expected[:7])


def test_labels_are_rows_of_soft_labels(generator):
    rows = np.array([[0.5, 0.5, 0], [0.1, 0.2, 0.7], [0, 1, 0], [0, 1, 0]], np.float32)
    images = images_of(generator, soft_labels=rows, label_sampling="data", num_images=40)
    labels = images.labels
    assert labels.dtype == np.int32 and set(labels.tolist()) == {0, 1, 2}
    z = truncation.latents(0, range(40), 8)
    of_class = {0: rows[0], 1: rows[2], 2: rows[1]}
    weights = np.array([of_class[label] for label in labels.tolist()])
    assert_same_pixels(pixels_of(images), to_uint8(generator(z, weights)))
    # Single classes give other images, and "balanced" takes them.
    assert np.abs(pixels_of(images).astype(int) - to_uint8(generator(z, labels))).max() > 1
    assert images.notes == (
        "Labels of generated images are sampled from the reference's soft labels.",
    )
    balanced = images_of(generator, soft_labels=rows, label_sampling="balanced")
    assert balanced.notes == ()
    assert_same_pixels(pixels_of(balanced), to_uint8(generator(z[:9], np.arange(9) % 3)))
    # Labels of the same probabilities and greatest weights are another recipe.
    other = np.where(rows == 0.5, np.float32([0.6, 0.4, 0]), rows)
    settings = dict(label_sampling="data", num_images=40)
    changed = images_of(generator, soft_labels=other, **settings)
    assert changed.recipe != images.recipe and (changed.labels == labels).all()
    assert images.recipe == images_of(generator, soft_labels=rows, **settings).recipe


def test_batch_statistics_are_those_of_a_batch_and_move_nothing(generator):
    before = {p: np.asarray(v).copy() for p, v in variables_by_path(generator).items()}
    images = images_of(generator, bn="batch", num_images=8)
    pixels = pixels_of(images)
    for path, variable in variables_by_path(generator).items():
        np.testing.assert_array_equal(variable, before[path], err_msg=path)
    # The same latents give the same images again, so u and the running statistics were restored.
    copy = copy_generator(generator)
    z = truncation.latents(0, range(8), 8)
    expected = to_uint8(copy(z[4:], images.labels[4:], training=True))
    assert_same_pixels(pixels[4:], expected)
    assert images.description["bn_batch_size"] == 4


def test_standing_statistics_are_of_the_truncation(generator, monkeypatch):
    drawn = []

    def recorded(given, batches):
        drawn.extend(batches)
        return given

    monkeypatch.setattr(image_maker, "with_standing_statistics", recorded)
    # They depend on neither the seed nor the classes of the images.
    only_class_one = dict(seed=7, label_sampling="data", counts=np.array([0, 1, 0]))
    images = images_of(generator, bn="standing", truncation=0.1, num_images=1, **only_class_one)
    next(images.batches(1))
    assert len(drawn) == image_maker.STANDING_BATCHES
    z, labels = drawn[1]
    assert z.shape == (image_maker.STANDING_BATCH_SIZE, 8) and set(labels) == {0, 1, 2}
    indices = STANDING_START + np.arange(64, 128)
    np.testing.assert_array_equal(z, truncation.latents(0, indices, 8, 0.1))
    assert images.description["standing_batches"] == [100, 64]
    # The statistics must not be computed from images that are scored.
    scored = truncation.latents(7, range(6400), 8, 0.1).numpy()
    scored = {row.tobytes() for row in scored}
    assert not scored & {row.tobytes() for z, _ in drawn for row in np.asarray(z)}


def test_labels(generator):
    balanced = images_of(generator, label_sampling="balanced")
    assert balanced.labels.tolist() == [0, 1, 2] * 3
    of_data = images_of(generator, label_sampling="data", counts=np.array([0, 10, 0]))
    assert set(of_data.labels) == {1}
    with pytest.raises(ValueError, match="a reference with the classes of the model"):
        images_of(generator, label_sampling="data", counts=np.array([1, 1]))


def test_the_recipe_says_what_images_depend_on(generator):
    recipes = {
        images_of(generator, **sampling).recipe
        for sampling in ({}, {"seed": 1}, {"truncation": 1.0}, {"label_sampling": "balanced"})
    }
    assert len(recipes) == 4 and images_of(generator, batch_size=7).recipe in recipes
    other = copy_generator(generator)
    assert images_of(other).recipe in recipes
    other.to_image.bias.assign([0.1])
    assert images_of(other).recipe not in recipes


class _Module(tf.Module):
    """A SavedModel whose images show z in one half and the class in the other half."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, "z"),
            tf.TensorSpec([None, 3], tf.float32, "y"),
            tf.TensorSpec([], tf.float32, "truncation"),
        ]
    )
    def default(self, z, y, truncation):
        top = tf.repeat(tf.tanh(z)[:, None, :, None], 2, axis=2)
        bottom = tf.reshape(y[:, 2] * truncation, (-1, 1, 1, 1)) + tf.zeros_like(top)
        return {"default": tf.concat([top, bottom], axis=1)}


def test_a_saved_model_is_drawn_from_as_well(tmp_path):
    module = _Module()
    tf.saved_model.save(module, str(tmp_path), signatures={"default": module.default})
    loaded = SavedModelGenerator(str(tmp_path))
    images = GeneratedImages(
        loaded,
        Sampling(9, truncation=0.5, label_sampling="balanced"),
        tf.distribute.get_strategy(),
        4,
        {"path": str(tmp_path)},
    )
    pixels = pixels_of(images)
    z = truncation.latents(0, range(9), 2, 0.5)
    assert_same_pixels(pixels[:, 0, ::2, 0], to_uint8(np.tanh(z)))
    np.testing.assert_array_equal(pixels[:, 1, 0, 0], [128, 128, 191] * 3)
    assert images.description["model"]["sha256"] == folder_sha256(tmp_path)
    with pytest.raises(
        ValueError, match="statistics of an exported SavedModel cannot be recomputed"
    ):
        GeneratedImages(
            loaded, Sampling(1, bn="standing"), tf.distribute.get_strategy(), 4, {"path": "p"}
        )


@pytest.mark.parametrize(
    "sampling, message",
    [
        (dict(num_images=0), "`num_images` must be an integer from 1"),
        (dict(truncation=2.0), "`truncation` must be above 0 and"),
        (dict(seed=2**30), "`seed` must be an integer from 0 to 1073741823"),
        (dict(bn="arc"), "`bn` must be one of table, running, batch, standing"),
        (dict(label_sampling="all"), "`label_sampling` must be one of"),
    ],
)
def test_settings_that_mean_nothing(sampling, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**{"num_images": 1, **sampling})
