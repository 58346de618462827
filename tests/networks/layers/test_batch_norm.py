"""Batch norm, compared with NumPy in float64; the conditional form, compared with the plain one."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.golden_files import golden
from tf_biggan.networks.layers.batch_norm import BatchNorm, ConditionalBatchNorm, table_position
from tf_biggan.networks.layers.linear import Dense, Embedding

X = (np.random.RandomState(0).standard_normal((8, 6, 4, 3)) * [1, 2, 3] + [0, 5, -5]).astype("f")
LABELS = np.array([0, 1, 1, 0, 1, 0, 0, 1])


def _normalised(x, epsilon):
    x = x.astype("float64")
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(variance + epsilon), mean, variance


def test_training_output_and_running_statistics():
    norm = BatchNorm(epsilon=1e-3, momentum=0.75)
    output = norm(X, training=True)
    expected, mean, variance = _normalised(X, 1e-3)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    np.testing.assert_allclose(norm.moving_mean[0], 0.25 * mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance[0], 0.75 + 0.25 * variance, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (8, 3)])
def test_gradients_are_those_of_automatic_differentiation(shape):
    random = np.random.RandomState(1)
    values = [X, random.standard_normal(shape), random.standard_normal(shape)]
    inputs = [tf.constant(value, tf.float64) for value in values]
    norm = BatchNorm(epsilon=1e-3, dtype="float64")
    norm.build(X.shape)

    def plain(x, gain, offset):
        mean, variance = tf.nn.moments(x, (0, 1, 2))
        maps = (tf.reshape(part, (-1, 1, 1, 3)) for part in (gain, offset))
        gain, offset = maps
        return (x - mean) / tf.sqrt(variance + 1e-3) * gain + offset

    results = []
    for function in (plain, lambda *inputs: norm.normalize(*inputs, None, True)):
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                total = tf.reduce_sum(tf.sin(function(*inputs)))
            first = tape.gradient(total, inputs)
            penalty = sum(tf.reduce_sum(gradient**2) for gradient in first)
        results.append((*first, *outer.gradient(penalty, inputs)))
    for theirs, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def test_inference_uses_and_keeps_the_running_statistics():
    norm = BatchNorm(epsilon=1e-3)
    norm.build(X.shape)
    norm.moving_mean.assign([[1.0, 2.0, 3.0]])
    norm.moving_variance.assign([[4.0, 9.0, 16.0]])
    expected = (X - [1, 2, 3]) / np.sqrt(np.array([4, 9, 16]) + 1e-3)
    np.testing.assert_allclose(norm(X), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(norm.moving_mean, [[1.0, 2.0, 3.0]])


def test_agrees_with_keras():
    ours, theirs = (
        BatchNorm(epsilon=1e-4),
        keras.layers.BatchNormalization(epsilon=1e-4, momentum=0.9),
    )
    for _ in range(3):
        np.testing.assert_allclose(ours(X, training=True), theirs(X, training=True), atol=1e-5)
    np.testing.assert_allclose(ours(X), theirs(X), atol=1e-5)


@pytest.mark.parametrize("synchronized", [False, True])
def test_variance_of_a_large_mean_survives(synchronized):
    x = (1000.0 + np.random.RandomState(1).standard_normal((64, 8, 8, 2))).astype("float32")
    norm = BatchNorm(momentum=0.0, synchronized=synchronized)
    norm(x, training=True)
    exact = x.astype("float64").var((0, 1, 2))
    np.testing.assert_allclose(norm.moving_variance[0], exact, rtol=1e-4)


def test_moments_are_taken_in_float32_in_mixed_precision():
    x = keras.ops.cast(X + 20.0, "bfloat16")
    norm = BatchNorm(momentum=0.0, dtype="mixed_bfloat16")
    assert norm(x, training=True).dtype == "bfloat16"
    exact = np.asarray(keras.ops.cast(x, "float32"), "float64")
    np.testing.assert_allclose(norm.moving_mean[0], exact.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance[0], exact.var((0, 1, 2)), rtol=1e-4)


def _conditional(kind):
    if kind == "vector":
        parts = [Dense(3, use_bias=False, name=name, seed=i) for i, name in enumerate("go")]
        return ConditionalBatchNorm(*parts), np.eye(2, dtype="float32")[LABELS]
    parts = [Embedding(2, 3, name=name, seed=i) for i, name in enumerate("go")]
    return ConditionalBatchNorm(*parts), LABELS


@pytest.mark.parametrize("kind", ["vector", "label"])
def test_conditional_norm_at_gain_zero_is_plain(kind):
    norm, condition = _conditional(kind)
    norm.build(X.shape, condition.shape)
    norm.gain.kernel.assign(np.zeros((2, 3)))
    norm.offset.kernel.assign(np.zeros((2, 3)))
    np.testing.assert_allclose(
        norm(X, condition, training=True), BatchNorm()(X, training=True), atol=1e-6
    )


@pytest.mark.parametrize("kind", ["vector", "label"])
def test_conditional_norm_in_numpy(kind):
    norm, condition = _conditional(kind)
    output = norm(X, condition, training=True)
    gain = 1.0 + norm.gain.kernel.numpy()[LABELS][:, None, None]
    offset = norm.offset.kernel.numpy()[LABELS][:, None, None]
    np.testing.assert_allclose(output, _normalised(X, 1e-5)[0] * gain + offset, atol=2e-5)


def test_soft_labels_mix_gains_and_offsets():
    norm, _ = _conditional("label")
    weights = np.tile(np.array([[0.25, 0.75]], "float32"), (8, 1))
    output = norm(X, weights)
    parts = [norm(X, np.full(8, label)) for label in (0, 1)]
    np.testing.assert_allclose(output, 0.25 * parts[0] + 0.75 * parts[1], rtol=1e-4, atol=1e-5)


@pytest.fixture
def table_norm():
    norm = BatchNorm(epsilon=0.0, num_statistics=51)
    norm.build((None, 4, 4, 3))
    random = np.random.RandomState(4)
    norm.moving_mean.assign(random.standard_normal((51, 3)))
    norm.moving_variance.assign(1 + random.uniform(size=(51, 3)))
    return norm


def _with(norm, mean, variance):
    return (X - mean) / np.sqrt(variance)


@pytest.mark.parametrize("row", range(1, 51))
def test_truncation_on_the_grid_takes_its_row_exactly(row):
    lower, fraction = table_position(np.float32(row / 50), 51)
    assert float(fraction) in (0.0, 1.0)
    assert int(lower) + int(fraction) == row


@pytest.mark.parametrize("rows", [51, 11])
def test_positions_are_huggingfaces_but_for_its_swapped_weights_and_rounding(rows):
    for entry in golden("hf_noise").info["truncation_table"][str(rows)]:
        lower, fraction = table_position(np.float32(entry["truncation"]), rows)
        place = entry["truncation"] * (rows - 1)
        if abs(place - round(place)) < 1e-9:
            # Hugging Face's code takes a neighbouring row at 0.14, 0.28, 0.56, 0.58 and 0.94.
            assert int(lower) + float(fraction) == round(place)
        else:
            assert int(lower) == entry["start_idx"]
            # It exchanges the weights of the two rows.
            assert float(fraction) == pytest.approx(entry["weight_of_start"], abs=2e-5)


def test_truncation_between_rows_is_interpolated_the_right_way_round(table_norm):
    mean, variance = table_norm.moving_mean.numpy(), table_norm.moving_variance.numpy()
    output = table_norm(X, position=table_position(0.425, 51))  # The position is row 21.25.
    expected = _with(
        table_norm,
        0.75 * mean[21] + 0.25 * mean[22],
        0.75 * variance[21] + 0.25 * variance[22],
    )
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def test_no_truncation_is_truncation_one_and_samples_may_differ(table_norm):
    mean, variance = table_norm.moving_mean.numpy(), table_norm.moving_variance.numpy()
    last = _with(table_norm, mean[50], variance[50])
    np.testing.assert_allclose(table_norm(X), last, rtol=1e-4, atol=1e-5)
    truncations = np.linspace(0.3, 1.0, 8, dtype="float32")
    output = table_norm(X, position=table_position(truncations, 51))
    for i, truncation in enumerate(truncations):
        alone = table_norm(X[i : i + 1], position=table_position(truncation, 51))
        np.testing.assert_allclose(output[i], alone[0], rtol=1e-5, atol=1e-5)
