"""Opening the model of a command, and truncation modes that do not fit its statistics."""

from __future__ import annotations

import types

import pytest

from tf_biggan.cli.shared_settings import GenerationSettings
from tf_biggan.pictures import model_and_output
from tf_biggan.pictures.model_and_output import open_model_of


@pytest.fixture
def exported(monkeypatch):
    generator = types.SimpleNamespace(metadata={"truncation_mode": "resample"})
    opened = types.SimpleNamespace(generator=generator)
    monkeypatch.setattr(model_and_output, "open_model", lambda *args, **which: opened)
    return opened


def test_a_saved_models_own_mode_of_truncation_is_needed(exported):
    with pytest.raises(
        ValueError, match=r"exported with --truncation_mode=resample; use.*='scale'\.$"
    ):
        open_model_of(GenerationSettings(model="m", truncation="0.5"))
    given = GenerationSettings(model="m", truncation="0.5", truncation_mode="resample")
    assert open_model_of(given) is exported


def test_without_a_truncation_no_mode_matters(exported):
    assert open_model_of(GenerationSettings(model="m")) is exported


def test_the_checkpoint_is_the_settings_or_the_callers(monkeypatch):
    asked = []

    def opened(path, *, raw, iteration):
        asked.append((path, raw, iteration))
        return types.SimpleNamespace(generator=None)

    monkeypatch.setattr(model_and_output, "open_model", opened)
    settings = GenerationSettings(model="m", raw=True, iteration=7)
    open_model_of(settings)
    open_model_of(settings, iteration=3)
    assert asked == [("m", True, 7), ("m", True, 3)]
