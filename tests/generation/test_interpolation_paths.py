"""The generator's inputs along a path: ends, midpoints, truncation and loops."""

from __future__ import annotations

import types

import numpy as np
import pytest

from tests.golden_files import golden
from tf_biggan.generation.interpolation_paths import EndPoint, PathPlan, lerp, slerp
from tf_biggan.generation.inversion import InvertedImage
from tf_biggan.generation.latents import latents_of_seeds

DIM, CLASSES = 64, 3
A, B, C = EndPoint(0, 4), EndPoint(1, 9), EndPoint(2, 1)


def maker(dim=DIM):
    """Replaces an `ImageMaker`: the embedding of class c is the unit vector c."""
    made = types.SimpleNamespace(generator=types.SimpleNamespace(latent_dim=dim))
    made.embeddings = lambda labels: (
        labels if np.ndim(labels) == 2 else np.eye(CLASSES, dtype=np.float32)[labels]
    )
    return made


def of_file(z, truncation=1.0, weights=None):
    return EndPoint(file=("a.npz", InvertedImage(z, weights, weights, truncation, 0.0, {})))


@pytest.mark.parametrize("row", [0, 1])
def test_lerped_z_is_the_authors_path(row):
    arrays = golden("misc").arrays
    start, end = (of_file(arrays[f"interp/{name}"][row, 0]) for name in ("x0", "x1"))
    frames = PathPlan(3, "lerp").frames((start, end), maker(len(start.file[1].z)))
    np.testing.assert_allclose(frames.z, arrays["interp/mid3"][row], rtol=1e-5, atol=1e-6)
    assert frames.embeddings is None


@pytest.mark.parametrize("row", [0, 1])
def test_slerped_z_is_torch_fidelitys(row):
    arrays = golden("misc").arrays
    start, end = (of_file(arrays[f"interp/{name}"][row, 0]) for name in ("x0", "x1"))
    frames = PathPlan(3).frames((start, end), maker(len(start.file[1].z)))
    expected = [
        arrays[f"fidelity_interp/slerp_any_t{t}"][row] for t in ("0.0", "0.25", "0.5", "1.0")
    ]
    np.testing.assert_allclose(frames.z[[0, 1, 2, 4]], expected, rtol=1e-5, atol=1e-6)


def test_ends_are_the_points_and_embeddings_are_lerped():
    frames = PathPlan(4).frames((A, B, C), maker())
    assert frames.z.shape == (11, DIM) and frames.embeddings.shape == (11, CLASSES)
    z = latents_of_seeds([4, 9, 1], DIM, None, "scale")
    np.testing.assert_allclose(frames.z[[0, 5, 10]], z, atol=1e-6)
    np.testing.assert_allclose(frames.embeddings[[0, 5, 10]], np.eye(3), atol=1e-7)
    np.testing.assert_allclose(frames.embeddings[2], [0.6, 0.4, 0.0], atol=1e-7)
    np.testing.assert_array_equal(PathPlan(4).legs(3), [range(6), range(5, 11)])
    np.testing.assert_array_equal(frames.truncation, np.ones(11))


def test_slerp_keeps_the_length_that_lerp_loses():
    z = latents_of_seeds([4, 9], DIM, None, "scale")
    lengths = np.linalg.norm(PathPlan(7).frames((A, B), maker()).z, axis=1)
    shortest, longest = sorted(np.linalg.norm(z, axis=1))
    assert np.all(lengths > 0.99 * shortest) and np.all(lengths < 1.05 * longest)
    lerped = np.linalg.norm(PathPlan(7, "lerp").frames((A, B), maker()).z, axis=1)
    # The mean of two orthogonal vectors of equal length is shorter by the square root of 2.
    assert lerped.min() < 0.8 * (shortest + longest) / 2


def test_a_loop_ends_where_it_began():
    plan = PathPlan(3, loop=True, truncations=(0.2, 1.0))
    route = plan.route((A, B, C))
    assert route == (A, B, C, A)
    frames = plan.frames(route, maker())
    np.testing.assert_array_equal(frames.z[0], frames.z[-1])
    np.testing.assert_array_equal(frames.embeddings[0], frames.embeddings[-1])
    np.testing.assert_allclose(frames.truncation[[0, 3, 6, 9, 12]], [0.2, 0.6, 1.0, 0.6, 0.2])


@pytest.mark.parametrize("mode", ["scale", "resample"])
def test_truncation_by_frame(mode):
    plan = PathPlan(3, truncations=(0.2, 1.0), mode=mode)
    frames = plan.frames((A, A), maker())
    truncations = [0.2, 0.4, 0.6, 0.8, 1.0]
    np.testing.assert_allclose(frames.truncation, truncations)
    for z, truncation in zip(frames.z, truncations, strict=True):
        expected = latents_of_seeds([4], DIM, truncation, mode)[0]
        np.testing.assert_allclose(z, expected, atol=1e-6)
    if mode == "scale":
        expected = np.multiply.outer(truncations, frames.z[-1])
        np.testing.assert_allclose(frames.z, expected, atol=1e-6)
    else:
        assert np.all(np.abs(frames.z).max(axis=1) <= truncations)


def test_fixed_z_and_fixed_y_are_the_starts():
    fixed = PathPlan(3, fix_z=True).frames((A, B, C), maker())
    np.testing.assert_array_equal(fixed.z, np.repeat(fixed.z[:1], 9, axis=0))
    np.testing.assert_array_equal(fixed.z[:1], latents_of_seeds([4], DIM, None, "scale"))
    np.testing.assert_allclose(fixed.embeddings[[4, 8]], np.eye(3)[1:])
    fixed = PathPlan(3, fix_y=True).frames((A, B, C), maker())
    np.testing.assert_array_equal(fixed.embeddings, np.repeat(np.eye(3)[:1], 9, axis=0))
    assert np.all(np.any(np.diff(fixed.z, axis=0) != 0, axis=1))


def test_an_inverted_image_keeps_its_z_and_its_truncation():
    weights = np.array([0.2, 0.8, 0.0], np.float32)
    inverted = of_file(np.full(DIM, 0.3, np.float32), 0.5, weights)
    frames = PathPlan(1, truncations=(1.0, 1.0)).frames((inverted, A), maker())
    np.testing.assert_allclose(frames.z[0], np.full(DIM, 0.3), atol=1e-7)
    np.testing.assert_allclose(frames.truncation, [0.5, 0.75, 1.0])
    np.testing.assert_allclose(frames.embeddings[:2], [weights, [0.6, 0.4, 0.0]], atol=1e-7)


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
