"""Regularisers, compared with BigGAN-PyTorch's gradients, NumPy's SVD and hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.golden_files import golden
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.training import losses

STRENGTH = 1e-4
WEIGHTS = ("conv.weight", "lin.weight", "emb.weight", "skip.weight")


def _matrix(weight):
    """Returns a PyTorch weight as our kernel matrix, with outputs (or classes) as columns."""
    return tf.constant(weight.reshape(weight.shape[0], -1).T)


@pytest.mark.parametrize(
    "penalty, prefix, excluded",
    [
        (losses.orthogonal_penalty, "ortho_grad", ("skip.weight",)),
        (losses.original_orthogonal_penalty, "default_ortho_grad", ()),
    ],
)
def test_half_the_penalty_has_the_authors_gradient(penalty, prefix, excluded):
    arrays = golden("misc").arrays
    for name in WEIGHTS:
        expected = arrays[f"{prefix}/{name}"]
        if name in excluded:
            assert not expected.any()
            continue
        matrix = _matrix(arrays[f"ortho_in/{name}"])
        with tf.GradientTape() as tape:
            tape.watch(matrix)
            loss = 0.5 * STRENGTH * penalty(matrix)
        gradient = tape.gradient(loss, matrix)
        np.testing.assert_allclose(gradient, _matrix(expected), rtol=1e-5, atol=1e-9)


def test_penalties_of_a_matrix_by_hand():
    matrix = tf.constant([[1.0, 2.0], [0.0, 1.0], [0.0, 0.0]])  # W^T W is [[1, 2], [2, 5]].
    np.testing.assert_allclose(losses.orthogonal_penalty(matrix), 2**2 + 2**2)
    np.testing.assert_allclose(losses.original_orthogonal_penalty(matrix), 4 + 4 + 16)


def test_matrices_of_a_generator_leave_out_the_shared_embedding():
    generator = Generator("biggan64", 5, base_channels=2, initializer="n02")
    raw = [v for v in generator.trainable_variables if len(v.shape) >= 2]
    everything = losses.kernel_matrices(generator)
    assert len(everything) == len(raw)
    penalised = losses.kernel_matrices(generator, exclude=(generator.class_embedding,))
    assert len(penalised) == len(raw) - 1
    sizes = sorted(int(np.prod(matrix.shape)) for matrix in penalised)
    embedding = generator.class_embedding.kernel
    expected = sorted(int(np.prod(v.shape)) for v in raw if v is not embedding)
    assert sizes == expected


def test_matrices_are_raw_and_class_tables_have_classes_in_columns():
    discriminator = Discriminator("biggan32", 5, base_channels=2, initializer="n02")
    raw = {id(v): v.numpy() for v in discriminator.trainable_variables if len(v.shape) >= 2}
    matrices = losses.kernel_matrices(discriminator)
    np.testing.assert_allclose(
        sum(float(tf.reduce_sum(m**2)) for m in matrices),
        sum((value**2).sum() for value in raw.values()),
        rtol=1e-5,
    )
    assert any(tuple(matrix.shape) == (8, 5) for matrix in matrices)


def test_r1_of_a_linear_critic_by_hand():
    weights = np.random.RandomState(0).standard_normal((4, 4, 3)).astype("float32")
    images = tf.zeros((2, 4, 4, 3))
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = tf.tensordot(images, weights, axes=3) * [1.0, 2.0]
    penalty = losses.r1_penalty(tape.gradient(logits, images))
    square = (weights**2).sum()
    np.testing.assert_allclose(penalty, [0.5 * square, 2.0 * square], rtol=1e-5)


@pytest.fixture
def decomposition():
    random = np.random.RandomState(3)
    left, _ = np.linalg.qr(random.standard_normal((9, 5)))
    right, _ = np.linalg.qr(random.standard_normal((5, 5)))
    values = np.array([4.0, 2.5, 1.0, 0.5, 0.1])
    matrix = (left * values) @ right.T
    return matrix.astype("float64"), right[:, :1].T, right[:, 1:2].T


def test_clamp_lowers_the_first_singular_value_alone(decomposition):
    matrix, u, _ = decomposition
    clamped = losses.clamp_first_singular_value(matrix, u, 3.0)
    values = np.linalg.svd(clamped, compute_uv=False)
    np.testing.assert_allclose(values, [3.0, 2.5, 1.0, 0.5, 0.1], atol=1e-9)


def test_clamp_leaves_smaller_kernels_alone(decomposition):
    matrix, u, _ = decomposition
    np.testing.assert_array_equal(losses.clamp_first_singular_value(matrix, u, 4.5), matrix)


def test_second_singular_value(decomposition):
    matrix, u, u_second = decomposition
    start = u_second + 0.3 * np.random.RandomState(1).standard_normal(u_second.shape)
    for _ in range(60):
        sigma, start = losses.second_singular_value(matrix, u, start)
    np.testing.assert_allclose(sigma, 2.5, rtol=1e-6)
