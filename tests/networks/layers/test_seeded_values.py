"""Initial values for other backends, compared with Keras's initialisers on TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.networks.layers.seeded_values import INITIALIZERS, SeededInitializer


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("seed", [0, 7, 2**31 - 2, 2**31 + 5, 2**32 - 1])
def test_values_are_those_of_keras_on_tensorflow(name, seed):
    make, values = INITIALIZERS[name]
    for shape in ((5, 3), (3, 5), (3, 3, 2, 40)):
        for dtype in ("float32", "float64"):
            made = SeededInitializer(values, seed)(shape, dtype)
            expected = np.asarray(make(seed)(shape, dtype))
            np.testing.assert_array_equal(np.asarray(made), expected)
