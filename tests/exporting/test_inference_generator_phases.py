"""Four 2x2 convolutions compute the same as a 3x3 convolution of the upsampled map."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_biggan.exporting.inference_generator import PHASES, PhaseConv2D, PhaseFactory, phase_kernels
from tf_biggan.networks.layers.factory import LayerFactory
from tf_biggan.networks.layers.linear import UpsampledConv2D
from tf_biggan.networks.layers.spectral_norm import SNUpsampledConv2D

RANDOM = np.random.RandomState(0)
X = RANDOM.standard_normal((2, 3, 5, 4)).astype("float32")
KERNEL = RANDOM.standard_normal((3, 3, 4, 6)).astype("float32")
BIAS = RANDOM.standard_normal(6).astype("float32")


def _in_numpy(x, kernel, bias):
    doubled = np.pad(x.repeat(2, 1).repeat(2, 2), ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = 2 * x.shape[1], 2 * x.shape[2]
    windows = (
        doubled[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )
    return sum(windows) + bias


def _phases():
    layer = PhaseConv2D(6)
    layer.build(X.shape)
    for variable, value in zip(layer.kernels, phase_kernels(KERNEL), strict=True):
        variable.assign(value)
    layer.bias.assign(BIAS)
    return layer


def test_phases_and_the_doubled_map_agree_with_numpy_to_the_border():
    whole = UpsampledConv2D(6, 3)
    whole.build(X.shape)
    whole.kernel.assign(KERNEL)
    whole.bias.assign(BIAS)
    phases = _phases()
    expected = _in_numpy(X, KERNEL, BIAS)
    for layer in (whole, phases):
        np.testing.assert_allclose(layer(X), expected, atol=1e-5)
        assert layer.compute_output_shape(X.shape) == expected.shape


def test_gradients_of_the_input_agree():
    x, layer = tf.constant(X), _phases()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        doubled = tf.repeat(tf.repeat(x, 2, 1), 2, 2)
        whole = tf.reduce_sum(tf.nn.conv2d(doubled, KERNEL, 1, "SAME") ** 2)
        phases = tf.reduce_sum((layer(x) - BIAS) ** 2)
    np.testing.assert_allclose(tape.gradient(phases, x), tape.gradient(whole, x), rtol=1e-3)


def test_the_factory_decides_what_a_convolution_of_a_doubled_map_is():
    owner = tf.keras.layers.Layer()
    kinds = {
        SNUpsampledConv2D: LayerFactory(),
        UpsampledConv2D: LayerFactory(spectral_norm=False),
        PhaseConv2D: PhaseFactory(spectral_norm=False).child("block"),
    }
    for kind, factory in kinds.items():
        assert type(factory.upsampled_conv(owner, "conv", 6, 3)) is kind
    assert PHASES[0] == (0, 0) and len(PHASES) == 4
