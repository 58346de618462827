"""Every form of the convolutions against the plain form: values, gradients, gradients of those."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.networks.layers import fused_convolutions as fused
from tf_biggan.networks.layers.fused_convolutions import FORMS
from tf_biggan.networks.layers.linear import downsample, upsample

TABLES = {
    "convolution": fused.CONVOLUTION,
    "upsampled": fused.UPSAMPLED,
    "pooled": fused.POOLED,
    ("convolution", "kernel_gradient"): fused.KERNEL_GRADIENT,
    ("upsampled", "kernel_gradient"): fused.UPSAMPLED_KERNEL_GRADIENT,
}
FUNCTIONS = {
    "convolution": fused.convolution,
    "upsampled": fused.upsampled_convolution,
    "pooled": fused.pooled_convolution,
}
EVERY_FORM = [
    (what, dict(zip(TABLES, forms, strict=True)))
    for forms in itertools.zip_longest(*TABLES.values(), fillvalue=None)
    for what in FUNCTIONS
]


def plain(what, x, kernel):
    if what == "upsampled":
        x = upsample(x)
    y = tf.nn.conv2d(x, tf.cast(kernel, x.dtype), 1, "SAME")
    return downsample(y) if what == "pooled" else y


def arrays(shape, channels=(3, 5), size=3, seed=0):
    random = np.random.RandomState(seed)
    x = tf.constant(random.standard_normal((2, *shape, channels[0])))
    return x, tf.constant(0.1 * random.standard_normal((size, size, *channels)))


def choose(monkeypatch, forms):
    """Returns a function that selects the given forms everywhere."""

    def form(what, purpose, small_map):
        table = (what, purpose) if purpose == "kernel_gradient" else what
        return forms[table] or next(iter(TABLES[table]))

    monkeypatch.setattr(fused, "_form", form)


def derivatives(function, x, kernel):
    """Returns the output, both gradients, and both gradients of an R1-like and a kernel penalty."""
    with tf.GradientTape() as outer:
        outer.watch((x, kernel))
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            y = function(x, kernel)
            total = tf.reduce_sum(tf.sin(y))
        first = tape.gradient(total, (x, kernel))
        penalty = sum(tf.reduce_mean(gradient**2) for gradient in first)
    return (y, *first, *outer.gradient(penalty, (x, kernel)))


@pytest.mark.parametrize("what, forms", EVERY_FORM, ids=itertools.count())
def test_forms_equal_the_plain_one_to_the_second_order(monkeypatch, what, forms):
    choose(monkeypatch, forms)
    x, kernel = arrays((6, 8))
    actual = derivatives(FUNCTIONS[what], x, kernel)
    expected = derivatives(lambda x, kernel: plain(what, x, kernel), x, kernel)
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def assert_close(actual, expected):
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("side", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("what", FUNCTIONS)
def test_chosen_forms_in_float32(what, side):
    x, kernel = (tf.cast(array, tf.float32) for array in arrays((side, side), (7, 4)))
    actual = derivatives(FUNCTIONS[what], x, kernel)
    assert_close(actual, derivatives(lambda x, kernel: plain(what, x, kernel), x, kernel))


@pytest.mark.parametrize("what", FUNCTIONS)
def test_chosen_forms_compiled_with_xla(what):
    x, kernel = (tf.cast(array, tf.float32) for array in arrays((16, 16), (7, 4)))

    @tf.function(jit_compile=True, autograph=False)
    def function(x, kernel):
        return derivatives(FUNCTIONS[what], x, kernel)

    expected = derivatives(lambda x, kernel: plain(what, x, kernel), x, kernel)
    assert_close(function(x, kernel), expected)


def test_a_kernel_of_one_pixel():
    x, kernel = arrays((4, 6), size=1)
    actual = derivatives(fused.convolution, x, kernel)
    expected = derivatives(lambda x, kernel: plain("convolution", x, kernel), x, kernel)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("what", FUNCTIONS)
def test_bfloat16_inputs_keep_the_gradients_of_kernels_wide(what):
    x, kernel = arrays((16, 16), (8, 8))
    with tf.GradientTape() as tape:
        tape.watch((x, kernel))
        y = FUNCTIONS[what](tf.cast(x, tf.bfloat16), tf.cast(kernel, tf.float32))
        total = tf.reduce_sum(tf.cast(y, tf.float64) ** 2)
    assert y.dtype == tf.bfloat16
    actual = (tf.cast(y, tf.float64), *tape.gradient(total, (x, kernel)))
    with tf.GradientTape() as tape:
        tape.watch((x, kernel))
        y = plain(what, x, kernel)
        total = tf.reduce_sum(y**2)
    for ours, theirs in zip(actual, (y, *tape.gradient(total, (x, kernel))), strict=True):
        assert np.linalg.norm(ours - theirs) < 0.01 * np.linalg.norm(theirs)


def test_tables_name_forms_that_exist_for_every_side():
    for rows in FORMS.values():
        for (what, purpose), choices in rows.items():
            table = TABLES[(what, purpose) if purpose == "kernel_gradient" else what]
            assert choices[-1][0] == 1
            assert {form for _, form in choices} <= set(table)
            sides = [side for side, _ in choices]
            assert sides == sorted(sides, reverse=True)
