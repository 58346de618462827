"""The dtype of what must not be rounded: singular vectors, moments, attention weights."""

from __future__ import annotations

import keras


def wide_dtype(layer: keras.Layer) -> str:
    """ "float64" for a layer whose variables are float64, "float32" for every other."""
    return "float64" if layer.variable_dtype == "float64" else "float32"
