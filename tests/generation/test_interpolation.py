"""Interpolation against BigGAN-PyTorch (paths) and torch-fidelity (single points)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden_files import golden
from tf_biggan.generation.paths import lerp, path, slerp


def test_path_is_the_authors():
    arrays = golden("misc").arrays
    start, end = arrays["interp/x0"][:, 0], arrays["interp/x1"][:, 0]
    np.testing.assert_allclose(path(start, end, 3), arrays["interp/mid3"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fraction", ["0.0", "0.25", "0.5", "1.0"])
@pytest.mark.parametrize("kind", ["lerp", "slerp_any"])
def test_points_are_torch_fidelitys(kind, fraction):
    arrays = golden("misc").arrays
    start, end = arrays["interp/x0"][:, 0], arrays["interp/x1"][:, 0]
    point = {"lerp": lerp, "slerp_any": slerp}[kind](start, end, float(fraction))
    expected = arrays[f"fidelity_interp/{kind}_t{fraction}"]
    np.testing.assert_allclose(point, expected, rtol=1e-5, atol=1e-6)


def test_slerp_of_parallel_vectors_is_finite():
    vectors = np.array([[1.0, 2.0], [3.0, -1.0]])
    np.testing.assert_allclose(slerp(vectors, 3 * vectors, 0.5), 2 * vectors)


def test_slerp_stays_on_the_sphere():
    angles = np.array([0.3, 2.1])
    start, end = (np.array([[np.cos(a), np.sin(a)]]) for a in angles)
    middle = slerp(start, end, 0.5)
    np.testing.assert_allclose(middle, [[np.cos(angles.mean()), np.sin(angles.mean())]])
