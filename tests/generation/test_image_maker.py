"""Images depend on seed and class, but not on batches or the kind of model."""

from __future__ import annotations

import numpy as np
import pytest

from tests.small_generators import save_module, varied_generator
from tf_biggan.files.png import to_uint8
from tf_biggan.generation import image_maker
from tf_biggan.generation import latents as truncations
from tf_biggan.generation.image_maker import ImageMaker, pixels_with_progress
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.generation.standing_statistics import STANDING_START, copy_generator
from tf_biggan.store.model_directory import write_directory
from tf_biggan.store.opened_model import open_model

SEEDS = np.arange(3, 12)
LABELS = (SEEDS % 3).astype(np.int32)
ROWS = 3


@pytest.fixture(scope="module")
def generator():
    """Images of a wide spread, from statistics of three truncations that differ."""
    return varied_generator(3, ROWS)


@pytest.fixture(scope="module")
def opened(generator, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("models") / "model")
    write_directory(path, {"generator": generator}, ("a", "b", "c"))
    return open_model(path)


@pytest.fixture(scope="module")
def exported(generator, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("models") / "exported")
    save_module(generator, path, lambda z, y, t: generator(z, y, truncation=t))
    return open_model(path)


def maker_of(opened, bn="table", batch_size=4):
    path = opened.description["path"]
    return ImageMaker(opened.generator, bn=bn, batch_size=batch_size, path=path)


def made_by(opened, truncation=0.5, bn="table", batch_size=4, seeds=SEEDS, conditions=LABELS):
    maker = maker_of(opened, bn, batch_size)
    return np.concatenate(list(maker.sampled_batches(seeds, 0, conditions, truncation)))


def test_every_kind_of_model_and_batch_gives_the_same_images(generator, opened, exported):
    z = latents_of_seeds(SEEDS, 8, 0.5, "scale")
    expected = generator(z, LABELS, truncation=0.5).numpy()
    assert expected.std() > 0.3
    for model in (opened, exported):
        for batch_size in (1, 7, 64):
            images = made_by(model, batch_size=batch_size)
            np.testing.assert_allclose(images, expected, atol=1e-5)
    # An image depends on its seed and class, wherever it stands in a batch.
    alone = made_by(opened, seeds=SEEDS[5:6], conditions=LABELS[5:6])
    np.testing.assert_allclose(alone[0], expected[5], atol=1e-5)
    batches = maker_of(opened).sampled_batches(SEEDS, 0, LABELS, 0.5)
    pixels = pixels_with_progress(batches, len(SEEDS), "Sampling")
    assert np.abs(pixels.astype(int) - to_uint8(expected)).max() <= 1


def test_the_table_is_that_of_the_truncation_and_running_that_of_truncation_one(generator, opened):
    z = latents_of_seeds(SEEDS, 8, 0.5, "scale")
    table, running = made_by(opened, bn="table"), made_by(opened, bn="running")
    np.testing.assert_allclose(table, generator(z, LABELS, truncation=0.5), atol=1e-5)
    np.testing.assert_allclose(running, generator(z, LABELS), atol=1e-5)
    assert np.abs(table - running).max() > 0.1
    untruncated = latents_of_seeds(SEEDS, 8, None, "scale")
    images = made_by(opened, truncation=None)
    np.testing.assert_allclose(images, generator(untruncated, LABELS), atol=1e-5)


def test_mixtures_are_the_generators_of_class_weights(generator, opened):
    weights = np.repeat(np.array([[0.25, 0, 0.75]], np.float32), len(SEEDS), axis=0)
    z = latents_of_seeds(SEEDS, 8, None, "scale")
    images = made_by(opened, None, conditions=weights)
    np.testing.assert_allclose(images, generator(z, weights), atol=1e-5)


@pytest.mark.parametrize("soft", [False, True], ids=["labels", "weights"])
def test_a_last_batch_of_batch_statistics_is_filled_with_other_images(generator, opened, soft):
    conditions = np.eye(3, dtype=np.float32)[LABELS] if soft else LABELS
    images = made_by(opened, bn="batch", conditions=conditions.tolist())
    # With nine images in batches of four, the last batch has one image and three fillers.
    indices = STANDING_START + np.arange(3)
    z = [
        latents_of_seeds(SEEDS[8:], 8, 0.5, "scale"),
        truncations.latents(0, indices, 8, 0.5).numpy(),
    ]
    labels = [LABELS[8:], truncations.labels(0, indices, np.full(3, 1 / 3)).numpy()]
    copy = copy_generator(generator, num_statistics=1)
    expected = copy(np.concatenate(z), np.concatenate(labels), training=True)
    np.testing.assert_allclose(images[8], expected[0], atol=1e-4)
    assert len(images) == 9


def test_standing_statistics_are_taken_once_for_every_truncation(opened, monkeypatch):
    drawn = []

    def recorded(given, batches):
        drawn.append([next(batches)])
        return given

    monkeypatch.setattr(image_maker, "with_standing_statistics", recorded)
    maker = maker_of(opened, "standing")
    for truncation in (0.5, 0.1, 0.5):
        list(maker.sampled_batches(SEEDS, 0, LABELS, truncation))
    assert len(drawn) == 2
    z, labels = drawn[1][0]
    indices = STANDING_START + np.arange(image_maker.STANDING_BATCH_SIZE)
    np.testing.assert_array_equal(z, truncations.latents(0, indices, 8, 0.1))
    assert set(labels) == {0, 1, 2}


@pytest.mark.parametrize("bn", ["batch", "standing"])
def test_a_saved_model_has_its_own_statistics_alone(exported, bn):
    with pytest.raises(
        ValueError, match=r"statistics of an exported SavedModel cannot be recomputed.*exported'"
    ):
        maker_of(exported, bn)
