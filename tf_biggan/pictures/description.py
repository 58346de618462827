"""What pictures say of themselves: the model, and everything else that they follow from."""

from __future__ import annotations

import json
from collections.abc import Mapping

import tf_biggan
from tf_biggan.evaluation.features.generated_images import weights_sha256
from tf_biggan.store.opened_model import OpenedModel


def describe(opened: OpenedModel, settings: Mapping[str, object]) -> dict[str, object]:
    """JSON values by name: software, the model with the hash of its weights, then the settings."""
    model = opened.description
    return {
        "software": f"tf_biggan {tf_biggan.__version__}",
        "model": model["path"],
        **{name: model[name] for name in ("kind", "weights", "iteration") if name in model},
        "sha256": weights_sha256(opened.generator, model["path"]),
        **settings,
    }


def describe_latents(truncation: float | None, mode: str) -> dict[str, object]:
    """The entries of a description that say how z was drawn."""
    if truncation is None:
        return {"z": "N(0, I)"}
    return {"truncation": truncation, "truncation_mode": mode}


def as_text(description: Mapping[str, object]) -> dict[str, str]:
    """The description as text by keyword, as PNG and animations store it."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in description.items()
    }
