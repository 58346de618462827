"""The fused Adam computes the same as Keras's."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.training.updates import FusedAdam

# The numbers are powers of two, because Keras converts them to float32 even if variables are
# float64.
SETTINGS = dict(learning_rate=2**-7, beta_1=0.5, beta_2=1 - 2**-7, epsilon=2**-20, name="adam")
SHAPES = ((3, 4), (5,), ())


def gradients_of(step):
    random = np.random.RandomState(step)
    return [tf.constant(random.standard_normal(shape)) for shape in SHAPES]


def optimised(kind, steps=5, wrap=lambda function: function, dtype="float64"):
    """Returns all values, including the slots, after some steps."""
    variables = [keras.Variable(np.ones(shape), dtype=dtype, name="v") for shape in SHAPES]
    optimizer = kind(**SETTINGS)
    optimizer.build(variables)

    def apply(*gradients):
        optimizer.apply([tf.cast(gradient, dtype) for gradient in gradients], variables)

    apply = wrap(apply)
    for step in range(steps):
        apply(*gradients_of(step))
    return [np.asarray(value) for value in (*variables, *optimizer.variables)], optimizer


def assert_like_keras(values, **tolerance):
    expected, _ = optimised(keras.optimizers.Adam)
    assert len(values) == len(expected)
    for ours, theirs in zip(values, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)


@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_steps_and_slots_are_those_of_keras(jit_compile):
    def wrap(function):
        if jit_compile is None:
            return function
        return tf.function(function, jit_compile=jit_compile, autograph=False)

    values, optimizer = optimised(FusedAdam, wrap=wrap)
    assert_like_keras(values, rtol=1e-12)
    _, theirs = optimised(keras.optimizers.Adam, steps=0)
    paths = [variable.path for variable in theirs.variables]
    assert [variable.path for variable in optimizer.variables] == paths


def test_in_float32_it_differs_from_keras_by_rounding():
    values, _ = optimised(FusedAdam, dtype="float32")
    assert_like_keras(values, rtol=1e-4)


def test_gradients_of_replicas_are_added(mirrored_strategy):
    def wrap(function):
        def halved(*gradients):
            function(*(0.5 * gradient for gradient in gradients))

        return tf.function(
            lambda *gradients: mirrored_strategy.run(halved, args=gradients), autograph=False
        )

    with mirrored_strategy.scope():
        values, _ = optimised(FusedAdam, wrap=wrap)
    assert_like_keras(values, rtol=1e-12)
