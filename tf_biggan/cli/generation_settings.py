"""The settings that commands share which make images of a model. No TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from tf_biggan import checks
from tf_biggan.cli.train_settings import setting
from tf_biggan.files.home_folder import ONE_PATH

TRUNCATION_MODES = ("scale", "resample")
SCALE_LIMIT = 1.0


@dataclass(frozen=True)
class DrawingSettings:
    """Which generator, and how its latents are truncated."""

    model: str | None = setting(
        None, "a run, a converted model or an exported SavedModel", path=ONE_PATH
    )
    raw: bool = setting(False, "of a run, the generator itself instead of its moving average")
    iteration: int | None = setting(None, "of a run, which checkpoint; default: the newest")
    truncation: str | None = setting(None, "of latents: a number; default: none")
    truncation_mode: str = setting(
        TRUNCATION_MODES[0],
        "scale: t times a normal cut off at 2 (DeepMind); resample: a normal cut off at t (paper)",
        choices=TRUNCATION_MODES,
    )
    bn: str = setting(
        "table",
        "statistics of the batch norms: those of the truncation where the model has a table, or"
        " those of truncation 1",
        choices=("table", "running"),
    )
    batch_size: int = setting(16, "images at a time; changes no image", minimum=1)

    def __post_init__(self):
        self._check_model()
        checks.require(
            self.truncation_mode == TRUNCATION_MODES[0] or self._is_truncated(),
            "`truncation_mode` says what a truncation means; give one too, or leave it out",
            truncation_mode=self.truncation_mode,
        )
        self.truncation_ends()

    @classmethod
    def settings(cls) -> list[dataclasses.Field]:
        """All fields."""
        return list(dataclasses.fields(cls))

    @classmethod
    def from_flat(cls, values: dict):
        """From values by field name; missing ones take their default."""
        return cls(**values)

    def truncation_ends(self) -> tuple[float | None, float | None]:
        """The truncation, twice.

        Raises:
          ValueError: it is not a number in its mode's range.
        """
        return self._truncations("a number", most=1) * 2

    def _is_truncated(self) -> bool:
        return self.truncation is not None

    def _check_model(self) -> None:
        checks.require(self.model is not None, "--model must be given", model=self.model)

    def _truncations(self, form: str, most: int) -> tuple[float | None, ...]:
        """The numbers of `truncation`, with colons between; (None,) where it is not given."""
        if self.truncation is None:
            return (None,)
        try:
            numbers = tuple(float(part) for part in self.truncation.split(":"))
        except ValueError:
            numbers = ()
        limit = SCALE_LIMIT if self.truncation_mode == "scale" else math.inf
        checks.require(
            0 < len(numbers) <= most and all(0 < t <= limit and t < math.inf for t in numbers),
            f"`truncation` must be {form} above 0 and, where the mode is 'scale', at most 1",
            truncation=self.truncation,
            truncation_mode=self.truncation_mode,
        )
        return numbers
