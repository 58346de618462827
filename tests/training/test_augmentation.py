"""An augmentation is applied in the steps of both networks and changes nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.training import augmentations
from tests.training.test_train_step import (
    CONFIG,
    UNIFORM,
    assert_same,
    batches_of,
    make_state,
    run_eagerly,
    values_of,
)
from tf_biggan.training.train_step import input_sampler
from tf_biggan.training.updates import RealBatch, _discriminator_pass

SHORT = dataclasses.replace(CONFIG, num_d_steps=1)


def with_augmentation(name, config=SHORT):
    return dataclasses.replace(config, augmentation=f"tests.training.augmentations:{name}")


def after_one_iteration(config):
    state = make_state()
    run_eagerly(state, config, *batches_of(1, 8), iterations=1)
    return values_of(state)


def test_the_identity_changes_nothing_and_gradients_of_g_flow_through_the_augmentation():
    plain = after_one_iteration(SHORT)
    assert_same(after_one_iteration(with_augmentation("identity")), plain)
    before, stopped = values_of(make_state()), after_one_iteration(with_augmentation("stopped"))
    assert _moved(stopped, before) == {"d"} and _moved(plain, before) == {"g", "d"}


def _moved(after, before):
    """Returns the networks in which a kernel changed."""
    kernels = (path for path in after if path.endswith("kernel") and path[:2] in ("g/", "d/"))
    return {path[0] for path in kernels if np.abs(after[path] - before[path]).max() > 0}


@pytest.mark.parametrize("split_d", [False, True])
def test_d_sees_augmented_real_and_generated_images(split_d):
    config = dataclasses.replace(with_augmentation("shifted"), split_d=split_d, r1_gamma=0.5)
    images, labels = batches_of(1, 8)
    random = np.random.RandomState(5)
    fake = tf.constant(random.uniform(-1, 1, (8, 16, 16, 3)))
    real = RealBatch(tf.constant(images[0]), tf.constant(labels[0]))
    draw = input_sampler(make_state(), config, 7, UNIFORM, 1)(0, 0)
    loss, means = _discriminator_pass(make_state().discriminator, config, real, fake, draw)
    # Computed by hand, and then without an augmentation.
    real = RealBatch(augmentations.shifted(real.images, draw.real_seeds), real.labels)
    fake = augmentations.shifted(fake, draw.fake_seeds)
    plain = dataclasses.replace(config, augmentation=None)
    expected, others = _discriminator_pass(make_state().discriminator, plain, real, fake, draw)
    np.testing.assert_allclose(loss, expected, rtol=1e-9)
    for name, value in means.items():
        np.testing.assert_allclose(value, others[name], rtol=1e-9, err_msg=name)
    assert np.abs(draw.real_seeds - draw.fake_seeds).min(axis=1).max() > 0


def test_seeds_differ_between_images_sides_iterations_steps_and_passes():
    state = make_state()
    config = dataclasses.replace(
        with_augmentation("shifted", CONFIG), d_accumulations=2, g_accumulations=2
    )
    seen = []
    for iteration in (0, 1):
        state.iteration.assign(iteration)
        sampler = input_sampler(state, config, 7, UNIFORM, 1)
        for step in range(3):
            for index in range(2):
                draw = sampler(step, index)
                seen += [draw.fake_seeds, draw.real_seeds]
    seeds = np.concatenate(seen)
    assert seeds.shape[1] == 2 and len(np.unique(seeds, axis=0)) == len(seeds)
