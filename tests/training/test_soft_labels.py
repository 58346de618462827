"""Training with soft labels: means of embeddings by hand, one-hot rows, replicas and resuming."""

from __future__ import annotations

import dataclasses
import signal

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.training.test_loop_resume import (
    assert_equal_runs,
    finish,
    is_saved,
    losses,
    start,
    wait_for,
)
from tests.training.test_loop_workers import SETTINGS as EXACT
from tests.training.test_loop_workers import assert_close
from tests.training.test_train_step import (
    CLASSES,
    CONFIG,
    assert_same,
    batches_of,
    make_state,
    values_of,
)
from tf_biggan.data.label_distribution import LabelDistribution
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.training.train_step import input_sampler, replica_iteration
from tf_biggan.training.updates import RealBatch

WEIGHTS = np.array([[0.5, 0.25, 0.25], [0, 0.75, 0.25]], np.float32)
NAMES = ("ant", "bee", "cow")


def test_networks_use_the_weighted_mean_of_embeddings():
    settings = dict(base_channels=1, dtype="float64", initializer="n02", seed=0)
    generator = Generator("biggan32", CLASSES, latent_dim=4, embedding_dim=6, **settings)
    table = np.asarray(generator.class_embedding.kernel)
    mixed = [0.5 * table[0] + 0.25 * table[1] + 0.25 * table[2], 0.75 * table[1] + 0.25 * table[2]]
    z = np.random.RandomState(0).standard_normal((2, 4))
    np.testing.assert_allclose(
        generator(z, WEIGHTS), generator.synthesize(z, np.array(mixed)), rtol=0, atol=1e-12
    )
    # The logit is linear in the embedding, so that it is the weighted mean of three logits.
    discriminator = Discriminator("biggan32", CLASSES, **settings)
    images = np.random.RandomState(1).uniform(-1, 1, (2, 32, 32, 3))
    of_classes = [np.asarray(discriminator(images, [label] * 2)) for label in range(CLASSES)]
    expected = (WEIGHTS * np.stack(of_classes, axis=1)).sum(axis=1)
    assert np.ptp(of_classes, axis=0).min() > 1e-3
    np.testing.assert_allclose(discriminator(images, WEIGHTS), expected, rtol=0, atol=1e-12)


def test_one_hot_rows_train_like_classes():
    counts, one_hot = np.array([3, 4, 1]), np.eye(CLASSES, dtype="float32")
    single = LabelDistribution.of_counts(counts, "data")
    soft = LabelDistribution.of_soft_labels(one_hot.repeat(counts, axis=0), "data")
    images, labels = batches_of(2, 8)
    assert len(np.unique(labels)) == CLASSES
    found = []
    for distribution, given in ((single, labels), (soft, one_hot[labels])):
        state = make_state()
        sampler = input_sampler(state, CONFIG, 7, distribution, 1)
        pairs = zip(images, given, strict=True)
        batches = [[RealBatch(tf.constant(i), tf.constant(y))] for i, y in pairs]
        metrics = replica_iteration(state, CONFIG, batches, sampler)
        found.append((values_of(state), {k: v.numpy() for k, v in metrics.items()}))
    # Sums over the batch have another order.
    assert_same(found[1][0], found[0][0], atol=1e-12)
    assert_same(found[1][1], found[0][1], atol=1e-12)


def test_replicas_take_their_parts_of_the_rows(mirrored_strategy):
    rows = np.random.RandomState(0).dirichlet(np.ones(CLASSES), 50).astype(np.float32)
    distribution, state = LabelDistribution.of_soft_labels(rows, "data"), make_state()
    config = dataclasses.replace(CONFIG, global_batch_size=16)
    alone = input_sampler(state, config, 7, distribution, 1)(1, 0).labels
    assert alone.shape == (16, CLASSES) and len(np.unique(alone, axis=0)) > 8
    assert set(map(bytes, np.asarray(alone))) <= set(map(bytes, rows))
    sampler = input_sampler(state, config, 7, distribution, 2)
    drawn = mirrored_strategy.run(lambda: sampler(1, 0).labels)
    parts = mirrored_strategy.experimental_local_results(drawn)
    np.testing.assert_array_equal(np.concatenate(parts), alone)


@pytest.fixture
def folder(tmp_path):
    """Returns a folder of 24 images in folders of classes."""
    random = np.random.RandomState(0)
    for number in range(24):
        place = tmp_path / "images" / NAMES[number // 8]
        place.mkdir(parents=True, exist_ok=True)
        pixels = random.randint(0, 256, (32, 32), np.uint8)
        Image.fromarray(pixels).save(place / f"{number:02d}.png")
    return tmp_path / "images"


def write_table(folder, weights):
    rows = [
        ",".join([f"{NAMES[number // 8]}/{number:02d}.png", *map(str, weights[number])])
        for number in range(24)
    ]
    (folder / "soft_labels.csv").write_text("\n".join([",".join(["file", *NAMES]), *rows]))


def mixed_weights():
    return np.random.RandomState(1).dirichlet(np.ones(3), 24).round(6)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["uniform", "data"])
def test_runs_with_one_hot_rows_equal_runs_with_folders_of_classes(sampling, folder, tmp_path):
    settings = EXACT | dict(dataset=f"folder:{folder}", label_sampling=sampling)
    finish(start(tmp_path / "classes", 3, **settings))
    write_table(folder, np.eye(3)[np.arange(24) // 8])
    finish(start(tmp_path / "soft", 3, **settings))
    assert_close(tmp_path / "soft", tmp_path / "classes", 3)


@pytest.mark.slow
def test_two_replicas_equal_one_with_soft_labels(folder, tmp_path):
    write_table(folder, mixed_weights())
    settings = EXACT | dict(dataset=f"folder:{folder}", label_sampling="data")
    finish(start(tmp_path / "one", 3, **settings))
    finish(start(tmp_path / "two", 3, replicas=2, strategy="mirrored", **settings))
    assert_close(tmp_path / "two", tmp_path / "one", 3)


@pytest.mark.slow
def test_a_killed_run_with_soft_labels_resumes_bit_for_bit(folder, tmp_path):
    write_table(folder, mixed_weights())
    settings = dict(dataset=f"folder:{folder}", label_sampling="data")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(whole, 10, **settings))
    process = start(killed, 1000, **settings)
    wait_for(lambda: is_saved(killed, 5), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finish(start(killed, 10, **settings))
    assert_equal_runs(whole, killed, 10)
    assert losses(whole) == losses(killed)
