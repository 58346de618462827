"""Settings of `python -m tf_biggan.invert`. No TensorFlow is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tf_biggan import checks
from tf_biggan.cli.seeds_and_truncations import MAX_SEED
from tf_biggan.cli.settings import setting
from tf_biggan.cli.shared_settings import (
    EXTRACTOR_FLAGS,
    EXTRACTORS,
    MODEL_FLAGS,
    REFERENCE_FLAGS,
    TRUNCATION_FLAGS,
    ExtractorSettings,
    GenerationSettings,
    ReferenceSettings,
    classes_setting,
)
from tf_biggan.files.file_paths import ONE_PATH

NO_FEATURES = "none"


@dataclass(frozen=True)
class InvertConfig(GenerationSettings, ReferenceSettings, ExtractorSettings):
    """The image to invert, and how its latent vector is optimised."""

    required: ClassVar = ("model", "image")
    # `class` is a keyword of Python and cannot name a field.
    aliases: ClassVar = {"class": "classes"}
    help_groups: ClassVar = {
        "Model": MODEL_FLAGS,
        "Image": ("image", "classes", "class"),
        "Optimisation": ("num_steps", "num_starts", "learning_rate", "feature_weight", "seed"),
        "Truncation and batch norm": (*TRUNCATION_FLAGS, "bn"),
        "Features": EXTRACTOR_FLAGS,
        "Real images for the classifier": REFERENCE_FLAGS,
        "Output": ("output",),
        "Computation": ("batch_size",),
    }

    image: str | None = setting(
        None, "Image to invert: a JPEG, PNG, BMP or WebP file of any size.", path=ONE_PATH
    )
    classes: str | None = classes_setting(
        "the class is unknown. It is optimised too and may become a mixture of classes"
    )
    num_steps: int = setting(500, "Number of optimisation steps.", minimum=1)
    num_starts: int = setting(
        16,
        "Number of initial latent vectors. They are optimised in one batch, and the best result"
        " is kept.",
        minimum=1,
    )
    seed: int = setting(0, "Seed of the initial latent vectors.", minimum=0, maximum=MAX_SEED)
    learning_rate: float = setting(
        0.1, "Learning rate of the first step. It decays to 0 until the last step.", minimum=0.0
    )
    feature_weight: float = setting(
        0.1,
        "Weight of the feature error in the loss. The pixel error has the weight 1. With 0, only"
        " pixels are compared.",
        minimum=0.0,
    )
    extractor: str | None = setting(
        None,
        f"Feature extractor: {EXTRACTORS}, or none. Default: inception if --inception_weights is"
        " given, otherwise classifier; none if there are no real images to train the classifier"
        " on.",
        path=ONE_PATH,
        none_is_a_value=True,
    )
    output: str = setting(
        "inversion.npz",
        "File for the latent vector and class that were found, which --endpoints of interpolate"
        " accepts. A .png file with the image and its reconstruction is written beside it.",
        path=ONE_PATH,
    )

    def __post_init__(self):
        super().__post_init__()
        checks.require(
            self.image is not None, "give the image to invert by --image", image=self.image
        )
        checks.require(
            self.extractor != NO_FEATURES or self.inception_weights is None,
            "`inception_weights` has no effect with --extractor=none; leave one of them out",
            inception_weights=self.inception_weights,
        )
