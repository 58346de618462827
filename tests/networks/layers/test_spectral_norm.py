"""Spectral norm, compared with NumPy's SVD, finite differences and hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.networks.layers.linear import Conv2D, Dense, Embedding
from tf_biggan.networks.layers.spectral_norm import SNConv2D, SNDense, SNEmbedding, power_iteration

X = np.random.RandomState(0).standard_normal((2, 5, 4, 3)).astype("float32")
LAYERS = {
    "conv": (SNConv2D(6, 3), Conv2D(6, 3), X),
    "dense": (SNDense(6), Dense(6), X[:, 0, 0]),
    "embedding": (SNEmbedding(5, 6), Embedding(5, 6), np.array([0, 3, 3])),
}


@pytest.fixture(params=LAYERS)
def layers(request):
    normalised, plain, inputs = LAYERS[request.param]
    for layer in (normalised, plain):
        if not layer.built:
            layer.build(inputs.shape)
    random = np.random.RandomState(1)
    normalised.kernel.assign(random.standard_normal(normalised.kernel.shape))
    normalised.u.assign(random.standard_normal(normalised.u.shape))
    return normalised, plain, inputs


def _largest_singular_value(layer):
    return np.linalg.svd(np.asarray(layer.kernel_matrix()), compute_uv=False)[0]


def test_sigma_converges_to_the_largest_singular_value(layers):
    layer, _, inputs = layers
    for _ in range(300):
        layer(inputs, training=True)
    sigma, _, _ = layer.estimate_sigma()
    np.testing.assert_allclose(sigma, _largest_singular_value(layer), rtol=1e-5)


def test_output_is_the_plain_layers_with_the_kernel_over_sigma(layers):
    layer, plain, inputs = layers
    sigma, _, _ = layer.estimate_sigma()
    plain.kernel.assign(layer.kernel / sigma)
    np.testing.assert_allclose(layer(inputs), plain(inputs), atol=1e-5)


def test_one_step_in_numpy(layers):
    layer, _, inputs = layers
    matrix, u = np.asarray(layer.kernel_matrix()), layer.u.numpy()
    v = u @ matrix.T
    v /= np.linalg.norm(v)
    new_u = v @ matrix
    new_u /= np.linalg.norm(new_u)
    sigma, _, _ = layer.estimate_sigma()
    np.testing.assert_allclose(sigma, (v @ matrix @ new_u.T).item(), rtol=1e-5)
    layer(inputs, training=True)
    np.testing.assert_allclose(layer.u, new_u, atol=1e-6)


def test_training_moves_u_and_nothing_moves_the_raw_kernel(layers):
    layer, _, inputs = layers
    kernel, u = layer.kernel.numpy(), layer.u.numpy()
    layer(inputs, training=False)
    np.testing.assert_array_equal(layer.u, u)
    layer(inputs, training=True)
    assert np.abs(layer.u.numpy() - u).max() > 1e-3
    np.testing.assert_array_equal(layer.kernel, kernel)


def test_all_ones_two_by_two_has_sigma_two():
    sigma, u, v = power_iteration(np.ones((2, 2)), np.array([[1.0, 0.0]]), 1e-12)
    np.testing.assert_allclose(sigma, 2.0)
    np.testing.assert_allclose([u, v], np.full((2, 1, 2), np.sqrt(0.5)))


def test_gradient_goes_through_sigma_with_u_and_v_constant():
    random = np.random.RandomState(2)
    kernel, direction = random.standard_normal((2, 4, 3))
    u = random.standard_normal((1, 3))
    weights = random.standard_normal((4, 3))
    _, fixed_u, fixed_v = power_iteration(kernel, u, 1e-12)

    def loss(at):
        sigma = (np.asarray(fixed_v) @ at @ np.asarray(fixed_u).T).item()
        return np.sum(weights * at / sigma)

    variable = tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        sigma, _, _ = power_iteration(variable, u, 1e-12)
        value = tf.reduce_sum(weights * variable / sigma)
    slope = np.sum(tape.gradient(value, variable).numpy() * direction)
    step = 1e-6
    expected = (loss(kernel + step * direction) - loss(kernel - step * direction)) / (2 * step)
    np.testing.assert_allclose(value, loss(kernel), rtol=1e-9)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_epsilon_bounds_the_norm_that_is_divided_by():
    tiny = np.full((2, 2), 1e-6)
    sigma, _, v = power_iteration(tiny, np.array([[1.0, 0.0]]), epsilon=1e-3)
    # |u K^T| = sqrt(2) 1e-6 is below epsilon, so v has the length 1e-3 instead of 1.
    np.testing.assert_allclose(np.linalg.norm(v), np.sqrt(2) * 1e-6 / 1e-3)
    assert np.isfinite(sigma)


def test_kernel_is_not_rounded_before_sigma_in_mixed_precision():
    wide, mixed = SNDense(6, seed=1), SNDense(6, seed=1, dtype="mixed_bfloat16")
    for layer in (wide, mixed):
        layer(X[:, 0, 0], training=True)
    np.testing.assert_array_equal(mixed.u, wide.u)


def test_seeds_give_equal_kernels_and_layers_of_one_shape_differ():
    first, again, other = SNDense(6, seed=1), SNDense(6, seed=1), SNDense(6, seed=2)
    for layer in (first, again, other):
        layer.build((None, 5))
    np.testing.assert_array_equal(first.kernel, again.kernel)
    np.testing.assert_array_equal(first.u, again.u)
    assert np.abs(first.kernel - other.kernel).max() > 0.01


@pytest.mark.parametrize("kind", ["conv", "embedding"])
def test_a_graph_computes_what_eager_execution_does_to_the_second_derivative(kind):
    layer = {
        "conv": SNConv2D(3, 3, dtype="float64", seed=1),
        "embedding": SNEmbedding(4, 3, dtype="float64", seed=1),
    }[kind]
    layer.build((None, 5, 5, 2) if kind == "conv" else None)
    random = np.random.RandomState(0)
    weights = tf.constant(random.randn(*layer.kernel.shape))
    kernel, start = layer.kernel.value, layer.u.numpy()

    def derivatives():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                normalized = layer.effective_kernel(training=True)
                target = tf.reduce_sum(weights * normalized**2)
            first = inner.gradient(target, kernel)
            slope = tf.reduce_sum(first * weights)
        return normalized, first, outer.gradient(slope, kernel)

    eager, eager_u = derivatives(), layer.u.numpy()
    layer.u.assign(start)
    graph, graph_u = tf.function(derivatives)(), layer.u.numpy()
    for expected, actual in zip((*eager, eager_u), (*graph, graph_u), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)
    assert not np.allclose(eager_u, start)


def test_a_graph_has_few_operations_for_each_kernel():
    layers = [SNDense(3, seed=i) for i in range(10)]
    for layer in layers:
        layer.build((None, 3))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            total = sum(tf.reduce_sum(layer.effective_kernel(training=True)) for layer in layers)
        return tape.gradient(total, [layer.kernel.value for layer in layers])

    graph = gradients.get_concrete_function().graph
    assert len(graph.get_operations()) < 30 * len(layers)
