"""JSON text of arrays, compared with Python's own."""

import json
import math

import ml_dtypes
import numpy as np
import pytest

from tf_biggan.serving.predict_request import encoded

NUMBERS = np.random.default_rng(0).integers(-9, 9, (2, 3, 4)) / 7


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("shape", [(2, 3, 4), (24,), (4, 6, 1), (1, 1, 24)])
def test_numbers_of_any_rank_are_the_same_text_as_nested_lists(dtype, shape):
    array = np.abs(NUMBERS).reshape(shape).astype(dtype)
    assert encoded(array, "x") == json.dumps(array.tolist())


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3), (2, 0, 3)])
def test_empty_arrays_are_the_same_text_as_nested_lists(shape):
    assert encoded(np.zeros(shape), "x") == json.dumps(np.zeros(shape).tolist())


def test_scalars_and_values_that_json_has_no_numbers_for():
    assert encoded(np.float32(0.5), "x") == "0.5"
    loaded = json.loads(encoded(np.array([np.nan, np.inf, -np.inf], np.float32), "x"))
    assert math.isnan(loaded[0]) and loaded[1:] == [math.inf, -math.inf]


def test_bfloat16_goes_out_as_numbers():
    array = np.array([0.5, 1.5], ml_dtypes.bfloat16)
    assert json.loads(encoded(array, "x")) == [0.5, 1.5]


def test_float32_comes_back_bit_by_bit():
    array = NUMBERS.astype(np.float32)
    np.testing.assert_array_equal(np.array(json.loads(encoded(array, "x")), np.float32), array)
