"""The model that the settings of a drawing command name."""

from __future__ import annotations

from tf_biggan import checks
from tf_biggan.cli.shared_settings import GenerationSettings
from tf_biggan.store.opened_model import OpenedModel, open_model


def open_drawing_model(settings: GenerationSettings, iteration: int | None = None) -> OpenedModel:
    """The model of the settings.

    Args:
      iteration: of a run, a checkpoint instead of the settings' own.

    Raises:
      ValueError: as `open_model`; or a truncation is given in another mode than that of the
        statistics that an exported SavedModel holds.
    """
    iteration = settings.iteration if iteration is None else iteration
    opened = open_model(settings.model, raw=settings.raw, iteration=iteration)
    metadata = getattr(opened.generator, "metadata", {})
    mode = metadata.get("truncation_mode", settings.truncation_mode)
    checks.require(
        settings.truncation is None or mode == settings.truncation_mode,
        f"the statistics of this SavedModel are of --truncation_mode={mode}, which would be"
        " accepted",
        model=settings.model,
        truncation_mode=settings.truncation_mode,
    )
    return opened
