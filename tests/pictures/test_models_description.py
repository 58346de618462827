"""Descriptions contain the model, its weights and the settings, and can be stored as text."""

from __future__ import annotations

import pathlib

import tf_biggan
from tf_biggan.pictures.model_and_output import as_text, describe, describe_latents
from tf_biggan.store.opened_model import open_model

DIGITS = str(pathlib.Path(__file__).parents[1] / "trained_digits")


def test_a_description():
    opened = open_model(DIGITS)
    made = describe(opened, {"seeds": "0-9", **describe_latents(0.5, "scale")})
    assert made["software"] == f"tf_biggan {tf_biggan.__version__}"
    assert (made["model"], made["kind"], made["seeds"]) == (DIGITS, "model", "0-9")
    assert (made["truncation"], made["truncation_mode"]) == (0.5, "scale")
    before = made["sha256"]
    opened.generator.to_image.bias.assign([0.5])
    assert describe(opened, {})["sha256"] != before


def test_latents_without_truncation_have_no_mode():
    assert describe_latents(None, "scale") == {"z": "N(0, I)"}


def test_texts():
    values = {"a": "text", "b": 3, "c": None, "d": ["château", 1.5]}
    assert as_text(values) == {"a": "text", "b": "3", "c": "null", "d": '["château", 1.5]'}
