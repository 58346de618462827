"""Plain layers, compared with PyTorch's conventions in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.networks.layers.linear import (
    KERNEL_INITIALIZERS,
    Conv2D,
    Dense,
    Embedding,
    child_seed,
    kernel_initializer,
)


def test_convolution_is_a_zero_padded_correlation():
    x = np.random.RandomState(0).standard_normal((1, 4, 5, 2)).astype("float32")
    layer = Conv2D(3, 3)
    layer.build(x.shape)
    layer.bias.assign([1.0, 2.0, 3.0])
    kernel, padded = layer.kernel.numpy(), np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((1, 4, 5, 3))
    for row in range(4):
        for column in range(5):
            window = padded[0, row : row + 3, column : column + 3]
            expected[0, row, column] = np.tensordot(window, kernel, 3) + [1.0, 2.0, 3.0]
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_embedding_of_indices_and_of_one_hot_rows_is_the_same():
    layer = Embedding(4, 3)
    labels = np.array([3, 0, 3])
    np.testing.assert_array_equal(layer(labels), layer.kernel.numpy()[labels])
    one_hot = np.eye(4, dtype="float32")[labels]
    np.testing.assert_allclose(layer(one_hot), layer(labels), atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (8, 4), (3, 5)])
def test_ortho_kernels_are_orthogonal_as_matrices(shape):
    kernel = np.asarray(kernel_initializer("ortho", 1)(shape)).reshape(-1, shape[-1])
    rows, columns = kernel.shape
    gram = kernel.T @ kernel if rows >= columns else kernel @ kernel.T
    np.testing.assert_allclose(gram, np.eye(min(rows, columns)), atol=1e-5)


def test_spread_of_n02_and_glorot():
    shape = (3, 3, 64, 128)
    n02 = np.asarray(kernel_initializer("n02", 1)(shape))
    np.testing.assert_allclose(n02.std(), 0.02, rtol=0.02)
    glorot = np.asarray(kernel_initializer("glorot", 1)(shape))
    limit = np.sqrt(6 / (9 * 64 + 9 * 128))
    assert np.abs(glorot).max() <= limit
    np.testing.assert_allclose(glorot.std(), limit / np.sqrt(3), rtol=0.02)


@pytest.mark.parametrize("name", KERNEL_INITIALIZERS)
def test_equal_shapes_get_different_kernels(name):
    first, second = (Dense(5, initializer=name, seed=child_seed(1, part)) for part in "ab")
    for layer in (first, second):
        layer.build((None, 5))
    assert np.abs(first.kernel - second.kernel).max() > 1e-3
    unseeded = [np.asarray(kernel_initializer(name, None)((5, 5))) for _ in range(2)]
    assert np.abs(unseeded[0] - unseeded[1]).max() > 1e-3
