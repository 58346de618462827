"""The dtype of values that bfloat16 would round too far."""

from __future__ import annotations

import keras


def wide_dtype(layer: keras.Layer) -> str:
    """Returns the dtype for moments, singular vectors, attention weights and logits of a layer.

    It is "float64" if the layer's variables are float64, and "float32" otherwise.
    """
    return "float64" if layer.variable_dtype == "float64" else "float32"
