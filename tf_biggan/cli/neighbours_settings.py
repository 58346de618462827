"""Settings of `python -m tf_biggan.neighbours`. No TensorFlow is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tf_biggan import checks
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

MOST_CLASSES = 10
MOST_IMAGES = 10
UNCONDITIONAL_SEEDS = "0-9"
SAMPLE_FLAGS = ("classes", "seeds", *TRUNCATION_FLAGS, "raw", "iteration")


@dataclass(frozen=True)
class NeighboursConfig(GenerationSettings, ReferenceSettings, ExtractorSettings):
    """The samples, the real images to search, and the distance between them."""

    required: ClassVar = ()
    help_groups: ClassVar = {
        "Model": MODEL_FLAGS,
        "Samples": ("classes", "seeds", *TRUNCATION_FLAGS, "bn"),
        "Images instead of samples": ("images", "num_images"),
        "Real images": (*REFERENCE_FLAGS, "reference_images", "same_class", "num_neighbours"),
        "Distance": EXTRACTOR_FLAGS,
        "Output": ("output",),
        "Computation": ("batch_size",),
    }

    images: str | None = setting(
        None,
        "Images to use instead of samples of a model: a folder of images, or an .npz file with"
        " uint8 images.",
        path=ONE_PATH,
    )
    num_images: int | None = setting(
        MOST_IMAGES,
        "Maximum number of images to take from --images, spread evenly over them. `none` takes"
        " all.",
        minimum=1,
    )
    classes: str | None = classes_setting(f"the first {MOST_CLASSES} classes")
    seeds: str | None = setting(
        None,
        "Seeds of the samples, such as 0,4-9. Every class is sampled with every seed."
        f" Default: 0, or {UNCONDITIONAL_SEEDS} for a model without classes.",
    )
    num_neighbours: int = setting(
        7, "Number of nearest real images to show beside each sample.", minimum=1
    )
    same_class: bool = setting(False, "Search only real images of the sample's class.")
    reference_images: int | None = setting(
        None,
        "Number of real images to search, spread evenly over the data set. Default: all.",
        minimum=1,
    )
    extractor: str | None = setting(
        None,
        f"Feature extractor whose features are compared: {EXTRACTORS}; or pixels, to compare the"
        " images without a network. Default: inception if --inception_weights is given, otherwise"
        " classifier.",
        path=ONE_PATH,
    )
    batch_size: int = setting(64, "Batch size. Images do not depend on it.", minimum=1)
    output: str = setting(
        "neighbours.png",
        "Sheet to write (.png). A .json file with the neighbours and their distances is written"
        " beside it.",
        path=ONE_PATH,
    )

    def __post_init__(self):
        super().__post_init__()
        given = self.changed(SAMPLE_FLAGS)
        checks.require(
            self.images is None or not given,
            "these flags choose samples of a model and have no effect on --images; leave them out",
            **given,
        )
        checks.require(
            self.images is not None or self.num_images == MOST_IMAGES,
            "`num_images` has no effect without --images; use --classes and --seeds to choose"
            " samples of a model",
            num_images=self.num_images,
        )

    def _check_model(self):
        checks.require(
            self.model is not None or (self.images is not None and self.reference is not None),
            "give --model, or give both --images and --reference",
            model=self.model,
            images=self.images,
            reference=self.reference,
        )
