"""Effects of a generator's arguments that goldens and conformance tests do not cover."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path

SMALL = dict(base_channels=2, initializer="n02")


def test_one_step_of_adam_counts_a_repeated_class_once():
    """100 examples of class 0 and one of class 1 move both by one step."""
    generator = Generator("biggan32", 3, **SMALL)
    labels = np.array([0] * 100 + [1])
    z = np.random.RandomState(0).standard_normal((101, 128)).astype("float32")
    table = generator.blocks[0].norms[0].gain.kernel
    before = table.numpy()
    optimizer = keras.optimizers.Adam(0.01, beta_1=0.0, epsilon=1e-12)
    variables = generator.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(generator(z, labels) ** 2)
    optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    steps = np.abs(table.numpy() - before)
    np.testing.assert_allclose(steps[:2], 0.01, rtol=1e-3)
    np.testing.assert_array_equal(steps[2], 0.0)


def test_networks_of_one_seed_share_no_kernel():
    generator = Generator("biggan32", 3, base_channels=4, seed=0)
    discriminator = Discriminator("biggan32", 3, base_channels=4, seed=0)
    kernels = [
        variable.numpy()
        for model in (generator, discriminator)
        for variable in model.variables
        if variable.path.endswith(("/kernel", "/u"))
    ]
    for i, first in enumerate(kernels):
        for second in kernels[:i]:
            assert first.shape != second.shape or not np.allclose(first, second)


def test_a_seed_reproduces_every_variable():
    first, second = (Generator("biggan32", 3, base_channels=2, seed=4) for _ in range(2))
    for a, b in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_output_norm_has_an_epsilon_of_its_own():
    generator = Generator("biggan32", 3, bn_epsilon=1e-4, output_bn_epsilon=1e-2, **SMALL)
    assert generator.output_norm.epsilon == 1e-2
    assert generator.blocks[0].norms[0].epsilon == 1e-4
    assert Generator("biggan32", 3, bn_epsilon=1e-4, **SMALL).output_norm.epsilon == 1e-4


@pytest.mark.parametrize(
    "settings",
    [
        dict(num_classes=3, num_statistics=51, spectral_norm=False, bn_synchronized=False),
        dict(num_classes=0),
        dict(num_classes=0, latent_injection="split"),
    ],
    ids=["folded, with a table", "unconditional", "unconditional, split z"],
)
def test_keras_file_of_untrained_forms(settings, tmp_path):
    generator = Generator("biggan32", **settings, **SMALL)
    for i, variable in enumerate(generator.variables):
        if variable.path.endswith(("moving_mean", "moving_variance")):
            noise = np.random.RandomState(i).uniform(0.5, 1.5, variable.shape)
            variable.assign(noise)
    generator.save(tmp_path / "g.keras")
    loaded = keras.saving.load_model(tmp_path / "g.keras")
    assert loaded.get_config() == generator.get_config()
    z = np.random.RandomState(1).standard_normal((2, 128)).astype("float32")
    labels = np.array([0, 2]) if settings["num_classes"] else None
    for truncation in (None, 0.3):
        np.testing.assert_array_equal(
            loaded(z, labels, truncation=truncation), generator(z, labels, truncation=truncation)
        )


def test_mixed_embeddings_lie_between_their_images():
    generator = Generator("biggan64", 3, embedding_dim=6, **SMALL)
    z = np.random.RandomState(1).standard_normal((1, 120)).astype("float32")
    ends = generator.embed(np.array([0, 2]))
    half = generator.synthesize(z, (ends[:1] + ends[1:]) / 2)
    soft = generator(z, np.array([[0.5, 0.0, 0.5]], "float32"))
    np.testing.assert_allclose(half, soft, atol=1e-6)
    np.testing.assert_array_equal(generator.synthesize(z, ends[:1]), generator(z, np.array([0])))


def test_variables_have_the_same_paths_inside_another_scope():
    alone = Generator("biggan32", 3, **SMALL)
    with keras.name_scope("outer"):
        inside = Generator("biggan32", 3, **SMALL)
    assert set(variables_by_path(inside)) == set(variables_by_path(alone))
    assert "block_0/conv_1/kernel" in variables_by_path(inside)
