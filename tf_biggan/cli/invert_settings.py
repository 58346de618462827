"""The settings of `python -m tf_biggan.invert`, flags of the same names. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from tf_biggan import checks
from tf_biggan.cli.generation_settings import DrawingSettings
from tf_biggan.cli.reference_settings import ReferenceSettings
from tf_biggan.cli.train_settings import setting
from tf_biggan.files.home_folder import ONE_PATH

NO_FEATURES = "none"


@dataclass(frozen=True)
class InvertConfig(ReferenceSettings, DrawingSettings):
    """One image that a generator is to make again."""

    image: str | None = setting(None, "a JPEG, PNG, BMP or WebP file of any size", path=ONE_PATH)
    classes: str | None = setting(
        None,
        "the class that it is of, or several it may be of; default: unknown, and mixtures allowed",
    )
    num_steps: int = setting(500, "of the descent", minimum=1)
    num_starts: int = setting(16, "descents, all in one batch; the best is kept", minimum=1)
    seed: int = setting(0, "of the latents that are tried first", minimum=0, maximum=2**30 - 1)
    learning_rate: float = setting(0.1, "at the first step", minimum=0.0)
    feature_weight: float = setting(
        0.1, "of features beside pixels; 0 for pixels alone", minimum=0.0
    )
    extractor: str | None = setting(
        None,
        "features: classifier, inception, inception_bfloat16, a .keras file or the folder of a"
        " SavedModel, or none;"
        " default: inception where there are inception_weights, else the classifier of the run's"
        " data, else none",
        path=ONE_PATH,
    )
    output: str = setting(
        "inversion.npz",
        "z and class for --endpoints of interpolate; a picture is put beside it",
        path=ONE_PATH,
    )

    def __post_init__(self):
        super().__post_init__()
        checks.require(self.image is not None, "--image must be given", image=self.image)
        checks.require(
            self.extractor != NO_FEATURES or self.inception_weights is None,
            "--extractor=none takes no weights",
            inception_weights=self.inception_weights,
        )
