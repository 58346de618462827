"""Self-attention and resampling, compared with loops in NumPy."""

from __future__ import annotations

import keras
import numpy as np

from tf_biggan.networks import blocks
from tf_biggan.networks.blocks import SelfAttention
from tf_biggan.networks.layers.factory import LayerFactory
from tf_biggan.networks.layers.linear import downsample, upsample

X = np.random.RandomState(0).standard_normal((2, 4, 6, 16)).astype("float32")


def _max_pool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def _attention(layer, x):
    theta, phi, g, o = (
        np.asarray(part.kernel)[0, 0] for part in (layer.theta, layer.phi, layer.g, layer.o)
    )
    output = np.zeros_like(x)
    for n in range(len(x)):
        queries = (x[n] @ theta).reshape(-1, theta.shape[1])
        keys = _max_pool(x[n : n + 1] @ phi).reshape(-1, phi.shape[1])
        values = _max_pool(x[n : n + 1] @ g).reshape(-1, g.shape[1])
        scores = np.exp(queries @ keys.T)
        scores /= scores.sum(1, keepdims=True)
        output[n] = ((scores @ values) @ o).reshape(x.shape[1:])
    return x + layer.gamma.numpy() * output


def test_attention_in_numpy():
    layer = SelfAttention(factory=LayerFactory(spectral_norm=False, seed=1))
    layer.build(X.shape)
    layer.gamma.assign(0.7)
    np.testing.assert_allclose(layer(X), _attention(layer, X), atol=1e-4)


def test_attention_starts_as_the_identity():
    np.testing.assert_array_equal(SelfAttention()(X), X)


def test_softmax_runs_in_float32_in_mixed_precision(monkeypatch):
    seen, original = [], blocks.ops.softmax

    def softmax(scores, axis):
        seen.append(keras.backend.standardize_dtype(scores.dtype))
        return original(scores, axis)

    monkeypatch.setattr(blocks.ops, "softmax", softmax)
    SelfAttention(dtype="mixed_bfloat16")(X)
    assert seen == ["float32"]


def test_upsample_repeats_and_downsample_averages():
    up = np.asarray(upsample(X))
    np.testing.assert_array_equal(up, X.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_allclose(downsample(up), X, atol=1e-6)
    blocks = X.reshape(2, 2, 2, 3, 2, 16).mean((2, 4))
    np.testing.assert_allclose(downsample(X), blocks, atol=1e-6)
