"""Mixtures of classes: names with commas and colons, weights, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.data.classes import ClassLookup
from tf_biggan.generation.class_mix import mix_weights, parse_class_mix

LOOKUP = ClassLookup(("tench, Tinca tinca", "goldfish", "a:b"))


@pytest.mark.parametrize(
    "text, weights",
    [
        ("tench:0.5,goldfish:0.5", {0: 0.5, 1: 0.5}),
        ("goldfish:3, index:0 : 1", {1: 0.75, 0: 0.25}),
        ("tench, Tinca tinca:1,a:b:1e0", {0: 0.5, 2: 0.5}),
        ("2:7", {2: 1.0}),
    ],
)
def test_mixtures(text, weights):
    mix = parse_class_mix(text, LOOKUP)
    assert mix == weights and list(mix) == list(weights)


@pytest.mark.parametrize(
    "text, message",
    [
        ("tench", "must be classes with weights above 0, such as tench:0.5"),
        ("", "must be classes with weights"),
        ("tench:0.5,goldfish", "must be classes with weights"),
        ("tench,goldfish:1", "every class needs its own"),
        ("tench:0", "weights above 0"),
        ("tench:-1", "weights above 0"),
        ("tench:nan", "weights above 0"),
        ("tench:inf", "weights above 0"),
        ("tench:1,0:1", "names a class once"),
        ("bird:1", "A class must be known"),
    ],
)
def test_what_is_no_mixture(text, message):
    with pytest.raises(ValueError, match=message):
        parse_class_mix(text, LOOKUP)


def test_weights():
    weights = mix_weights({3: 0.25, 0: 0.75}, 4)
    assert weights.dtype == np.float32 and weights.tolist() == [0.75, 0, 0, 0.25]
