"""Attention computed image by image, compared with the batched form and with NumPy."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.networks.layers import attention as module
from tf_biggan.networks.layers.attention import attention, attention_in_parts


def arrays(dtype, images=3, queries=12, keys=5, channels=2, values=4):
    random = np.random.RandomState(0)
    shapes = ((queries, channels), (keys, channels), (keys, values))
    return [tf.constant(random.standard_normal((images, *shape)), dtype) for shape in shapes]


def derivatives(function, inputs, dtype):
    """Returns the outputs, their gradients, and the gradients of a penalty on those."""
    with tf.GradientTape() as outer:
        outer.watch(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs, dtype)
            total = tf.reduce_sum(tf.sin(outputs))
        first = tape.gradient(total, inputs)
        penalty = sum(tf.reduce_mean(gradient**2) for gradient in first)
    return outputs, *first, *outer.gradient(penalty, inputs)


def in_three_parts(*arguments):
    return attention_in_parts(*arguments, parts=3)


def test_mixtures_in_numpy():
    queries, keys, values = arrays("float64")
    for n, mixtures in enumerate(in_three_parts(queries, keys, values, "float64")):
        weights = np.exp(queries[n].numpy() @ keys[n].numpy().T)
        expected = weights @ values[n].numpy() / weights.sum(1, keepdims=True)
        np.testing.assert_allclose(mixtures, expected, atol=1e-12)


@pytest.mark.parametrize(("in_graph", "parts"), [(False, 3), (True, 1), (True, 3)])
def test_both_forms_have_the_same_gradients_to_the_second_order(in_graph, parts):
    in_parts = functools.partial(attention_in_parts, parts=parts)

    def compute(form):
        def function():
            return derivatives(form, arrays("float64"), "float64")

        return tf.function(function, autograph=False)() if in_graph else function()

    for ours, plain in zip(compute(in_parts), compute(attention), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-12)


def test_second_derivatives_compiled_with_xla():
    @tf.function(jit_compile=True, autograph=False)
    def function(*inputs):
        return derivatives(in_three_parts, inputs, "float32")

    inputs = arrays("float32")
    for ours, plain in zip(
        function(*inputs), derivatives(attention, inputs, "float32"), strict=True
    ):
        np.testing.assert_allclose(ours, plain, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_inputs_have_a_softmax_in_float32(dtype):
    # The features have means, so that an error which is equal for all keys would not average out.
    inputs = [array + mean for array, mean in zip(arrays("float64"), (0, 2, 4), strict=True)]
    exact = derivatives(attention, inputs, "float64")
    narrow = [tf.cast(array, dtype) for array in inputs]
    plain, actual = (derivatives(form, narrow, "float32") for form in (attention, in_three_parts))
    for ours, theirs, expected in zip(actual, plain, exact, strict=True):
        assert ours.dtype == dtype
        ours, theirs = (
            np.linalg.norm(tf.cast(array, tf.float64) - expected) / np.linalg.norm(expected)
            for array in (ours, theirs)
        )
        assert ours < 1.5 * theirs + 1e-3, (ours, theirs)


def loops(image_size, training):
    """Returns whether the graph of attention over so many pixels contains a loop."""
    queries, keys = image_size**2, image_size**2 // 4
    shapes = ((None, queries, 1), (None, keys, 1), (None, keys, 2))

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape) for shape in shapes])
    def function(*inputs):
        return attention(*inputs, "float32", training)

    graph = function.get_concrete_function().graph
    return any("While" in operation.type for operation in graph.get_operations())


def test_large_images_in_training_on_cpus_are_computed_in_parts(monkeypatch):
    assert loops(64, training=True)
    assert not loops(64, training=False)
    assert not loops(32, training=True)
    monkeypatch.setattr(module, "on_cpu", lambda: False)
    assert not loops(64, training=True)


def test_queries_that_the_wanted_number_of_parts_does_not_divide():
    inputs = arrays("float32", images=1, queries=76**2, keys=38**2)  # 7.95 parts, so 4
    plain = attention(*inputs, "float32")
    np.testing.assert_allclose(attention(*inputs, "float32", training=True), plain, atol=1e-5)
