"""Parsing of seeds such as 0,4-9."""

from __future__ import annotations

import pytest

from tf_biggan.cli.seeds_and_truncations import MAX_SEED, parse_seeds, seeds_text
from tf_biggan.generation.latents import latents


@pytest.mark.parametrize(
    "text, seeds, shortest",
    [
        ("7", (7,), "7"),
        ("0,4-9", (0, 4, 5, 6, 7, 8, 9), "0,4-9"),
        (" 3 - 3 , 2,3,4", (3, 2, 3, 4), "3,2-4"),
        (f"{MAX_SEED}", (MAX_SEED,), str(MAX_SEED)),
    ],
)
def test_seeds_there_and_back(text, seeds, shortest):
    assert parse_seeds(text) == seeds and seeds_text(seeds) == shortest
    assert parse_seeds(shortest) == seeds


@pytest.mark.parametrize(
    "text, message",
    [
        ("9-4", r"begin with its smaller number, as in 4-9\. Received: seeds='9-4'"),
        (str(2**30), "must be from 0 to 1073741823"),
        (f"0-{2**40}", "must be from 0 to 1073741823"),
        ("0-1073741823", "may hold at most 10,000,000 seeds"),
        ("-3", "must be whole numbers or ranges"),
        ("1,,2", "such as 0,4-9"),
        ("", "such as 0,4-9"),
        ("one", "such as 0,4-9"),
        ("1.5", "such as 0,4-9"),
    ],
)
def test_what_are_no_seeds(text, message):
    with pytest.raises(ValueError, match=message):
        parse_seeds(text)


def test_latents_of_the_largest_differ_from_those_of_the_one_below():
    largest, below = latents([MAX_SEED, MAX_SEED - 1], [0, 0], 4).numpy()
    assert (largest != below).all()
