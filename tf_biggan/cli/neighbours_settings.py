"""The settings of `python -m tf_biggan.neighbours`, flags of the same names. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from tf_biggan import checks
from tf_biggan.cli.generation_settings import DrawingSettings
from tf_biggan.cli.reference_settings import ReferenceSettings
from tf_biggan.cli.train_settings import setting
from tf_biggan.files.home_folder import ONE_PATH

MOST_CLASSES = 10
MOST_IMAGES = 10
UNCONDITIONAL_SEEDS = "0-9"
OF_SAMPLES = ("classes", "seeds", "truncation", "truncation_mode", "raw", "iteration")


@dataclass(frozen=True)
class NeighboursConfig(ReferenceSettings, DrawingSettings):
    """Whose nearest real images are looked for, among which, and by what distance."""

    images: str | None = setting(
        None,
        "instead of samples of the model: a folder of images, or an .npz of uint8 images",
        path=ONE_PATH,
    )
    num_images: int | None = setting(
        MOST_IMAGES, "of `images` the most to take, evenly; none for all", minimum=1
    )
    classes: str | None = setting(
        None,
        f"classes of samples: indices, names, WordNet ids, all; default: the first {MOST_CLASSES}",
    )
    seeds: str | None = setting(
        None, "seeds of samples, each with every class, as in 0,4-9; default: 0"
    )
    num_neighbours: int = setting(7, "real images beside each sample", minimum=1)
    same_class: bool = setting(False, "look only among real images of the sample's class")
    reference_images: int | None = setting(
        None, "how many images of the reference, evenly over it; default: all", minimum=1
    )
    extractor: str | None = setting(
        None,
        "distance by features of: classifier, inception, inception_bfloat16, a .keras file or the"
        " folder of a SavedModel; or by pixels; default: inception where there are"
        " inception_weights, else the classifier",
        path=ONE_PATH,
    )
    batch_size: int = setting(64, "images at a time; changes no image", minimum=1)
    output: str = setting(
        "neighbours.png",
        "the picture (.png); indices and distances go beside it (.json)",
        path=ONE_PATH,
    )

    def __post_init__(self):
        defaults = {field.name: field.default for field in self.settings()}
        given = {n: getattr(self, n) for n in OF_SAMPLES if getattr(self, n) != defaults[n]}
        checks.require(
            self.images is None or not given,
            "--images are made already; leave out what chooses samples of a model",
            **given,
        )
        checks.require(
            self.images is not None or self.num_images == MOST_IMAGES,
            "`num_images` is of --images; --classes and --seeds choose samples of a model",
            num_images=self.num_images,
        )
        super().__post_init__()

    def _check_model(self):
        checks.require(
            self.model is not None or (self.images is not None and self.reference is not None),
            "--model must be given, or --images and --reference",
            model=self.model,
            images=self.images,
            reference=self.reference,
        )
