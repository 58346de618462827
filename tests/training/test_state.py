"""The moving average, compared with BigGAN-PyTorch's and on whole generators."""

from __future__ import annotations

import types

import keras
import numpy as np
import pytest

from tests.golden_files import golden
from tf_biggan.networks.generator import Generator
from tf_biggan.training.state import ema_decay, update_ema

NAMES = ("lin.bias", "buf")


def _models(values):
    return types.SimpleNamespace(variables=[keras.Variable(value) for value in values])


# The fixture that starts at iteration 0 with a later start of the average is left out: iterations
# count from 1 here, and BigGAN-PyTorch takes 0 for "no iteration given".
@pytest.mark.parametrize("case", ["ema_decay0.9_start3", "ema_decay0.9_start0"])
def test_steps_are_the_authors(case):
    fixture = golden("misc")
    settings = fixture.info[case]
    arrays = fixture.buffers(f"{case}/")
    average = _models([arrays["init_lin.bias"], np.zeros_like(arrays["step0_source_buf"])])
    for step, iteration in enumerate(settings["itr_given_to_each_update"]):
        source = _models([arrays[f"step{step}_source_{name}"] for name in NAMES])
        if step == 0 and iteration == 0:
            previous = _previous_buffer(arrays, settings["decay"])
            average.variables[1].assign(previous)
        decay = ema_decay(iteration, settings["decay"], settings["start_itr"])
        update_ema(average, source, decay)
        for variable, name in zip(average.variables, NAMES, strict=True):
            expected = arrays[f"step{step}_target_{name}"]
            np.testing.assert_allclose(variable, expected, rtol=1e-5, atol=1e-7)


def _previous_buffer(arrays, decay):
    """Returns the buffer before the first step, which the fixture does not hold."""
    target, source = arrays["step0_target_buf"], arrays["step0_source_buf"]
    return (target - (1 - decay) * source) / decay


def test_a_copy_before_the_start_then_an_average():
    source = Generator("biggan32", 3, base_channels=2, initializer="n02", seed=1)
    average = Generator("biggan32", 3, base_channels=2, initializer="n02", seed=2)
    update_ema(average, source, ema_decay(4, 0.75, 5))
    for target, value in zip(average.variables, source.variables, strict=True):
        np.testing.assert_array_equal(target, value)
    before = [variable.numpy() for variable in average.variables]
    for variable in source.variables:
        variable.assign(variable + 1.0)
    update_ema(average, source, ema_decay(5, 0.75, 5))
    for target, old in zip(average.variables, before, strict=True):
        np.testing.assert_allclose(target, old + 0.25, rtol=1e-6, atol=1e-6)
