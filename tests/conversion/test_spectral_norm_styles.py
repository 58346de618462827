"""A vector u replaces PyTorch's (u, v): one step of power iteration gives the stored sigma."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.conversion.rules import ConversionError
from tf_biggan.conversion.spectral_norm_styles import starting_vector, with_authors_keys


def _unit(vector):
    return vector / np.linalg.norm(vector)


def _sigma_of_a_step(weight, u):
    """Returns BigGAN-PyTorch's sigma after one step of power iteration, in float64."""
    v = _unit(weight.T @ u)
    return float(_unit(weight @ v) @ (weight @ v))


def _after_steps(weight, u, steps):
    """Returns (u, v) of PyTorch's spectral norm after a number of training calls."""
    for _ in range(steps):
        v = _unit(weight.T @ u)
        u = _unit(weight @ v)
    return u, v


@pytest.mark.parametrize("shape", [(24, 216), (64, 64), (96, 20), (3, 72)])
@pytest.mark.parametrize("steps", [1, 3, 200])
def test_the_first_step_gives_the_stored_sigma(shape, steps):
    random = np.random.RandomState(0)
    weight = random.standard_normal(shape)
    u, v = _after_steps(weight, random.standard_normal(shape[0]), steps)
    stored = u @ weight @ v
    vector = starting_vector(weight, u, v)
    np.testing.assert_allclose(_sigma_of_a_step(weight, vector), stored, rtol=1e-9)
    if steps == 1 and shape[0] > 3:
        # The stored u would give the sigma of the next step.
        assert abs(_sigma_of_a_step(weight, u) / stored - 1) > 1e-3


@pytest.mark.parametrize("u, v", [((1, 4), (18,)), ((3,), (18,)), ((4,), (17,))])
def test_vectors_of_other_shapes_are_named(u, v):
    arrays = {"c.weight_orig": np.ones((4, 2, 3, 3)), "c.weight_u": np.ones(u)}
    arrays["c.weight_v"] = np.ones(v)
    tensors = Tensors({key: StoredTensor.of(array) for key, array in arrays.items()})
    with pytest.raises(ConversionError, match=r"shapes \(4,\) and \(18,\).*c\.weight_u"):
        with_authors_keys(tensors)


def test_from_a_vector_that_missed_the_first_direction():
    random = np.random.RandomState(2)
    left, _ = np.linalg.qr(random.standard_normal((3, 3)))
    right, _ = np.linalg.qr(random.standard_normal((16, 3)))
    weight = left @ np.diag([1.2, 0.825, 0.1]) @ right.T
    u, v = _after_steps(weight, left[:, 1] + 0.05 * left[:, 0], 1)
    vector = starting_vector(weight, u, v)
    np.testing.assert_allclose(_sigma_of_a_step(weight, vector), u @ weight @ v, rtol=1e-9)


def test_after_an_update_of_the_weights_too():
    """The stored vectors are one optimiser step older than the weights."""
    random = np.random.RandomState(1)
    weight = random.standard_normal((32, 288))
    u, v = _after_steps(weight, random.standard_normal(32), 20)
    weight += 0.01 * random.standard_normal(weight.shape)
    vector = starting_vector(weight, u, v)
    np.testing.assert_allclose(_sigma_of_a_step(weight, vector), u @ weight @ v, rtol=1e-9)


def test_one_output_and_equal_singular_values_keep_u():
    one = np.arange(1.0, 6.0)[None]
    np.testing.assert_array_equal(starting_vector(one, np.ones(1), _unit(one[0])), [1])
    u = _unit(np.array([1.0, 2.0, 2.0]))
    np.testing.assert_allclose(starting_vector(2 * np.eye(3), u, u), u)


def test_keys_are_exchanged_only_where_all_three_are_there():
    def entry(*shape):
        return StoredTensor.of(np.ones(shape, "float32"))

    tensors = Tensors(
        {
            "a.weight_orig": entry(3, 2, 1, 1),
            "a.weight_u": entry(3),
            "a.weight_v": entry(2),
            "a.bias": entry(3),
            "b.weight_orig": entry(3, 2),
            "b.weight_u": entry(3),
        }
    )
    made, changes = with_authors_keys(tensors)
    assert made.shapes == {
        "a.weight": (3, 2, 1, 1),
        "a.u0": (1, 3),
        "a.bias": (3,),
        "b.weight_orig": (3, 2),
        "b.weight_u": (3,),
    }
    assert made["a.u0"].shape == (1, 3)
    assert "in 1 layers" in changes[0]
