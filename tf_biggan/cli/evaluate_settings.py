"""Settings of `python -m tf_biggan.evaluate`. No TensorFlow is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tf_biggan import checks
from tf_biggan.cli.image_sizes import resolution_parser
from tf_biggan.cli.seeds_and_truncations import MAX_SEED, parse_truncation_curve
from tf_biggan.cli.settings import setting
from tf_biggan.cli.shared_settings import (
    BATCH_NORM_STATISTICS,
    EXTRACTOR_FLAGS,
    MODEL_FLAGS,
    REFERENCE_FLAGS,
    TRUNCATION_FLAGS,
    DeviceSettings,
    ExtractorSettings,
    ModelSettings,
    ReferenceSettings,
    TruncationSettings,
    batch_norm_setting,
)
from tf_biggan.files.file_paths import ONE_PATH

OTHER_IMAGES = 5_000
STATISTICS_ENDING = ".npz"
WRITTEN_BESIDE_OUTPUT = (".csv", ".png")
GENERATION_FLAGS = ("raw", "iteration", "bn", "label_sampling", *TRUNCATION_FLAGS, "valid_score")
FOLDER_FLAGS = ("resolution", "image_channels")
SINGLE_SCORE_FLAGS = ("bootstrap", "save_statistics")
CURVE_FLAGS = ("valid_score",)


@dataclass(frozen=True)
class EvaluateConfig(
    ModelSettings, TruncationSettings, ReferenceSettings, ExtractorSettings, DeviceSettings
):
    """The images to score, the real images to compare with, and the metrics."""

    help_groups: ClassVar = {
        "Model": MODEL_FLAGS,
        "Images instead of a model": ("images", *FOLDER_FLAGS),
        "Generated images": ("num_images", "seed", "label_sampling", *TRUNCATION_FLAGS, "bn"),
        "Real images": (*REFERENCE_FLAGS, "reference_images"),
        "Scores": ("metrics", "protocol", "bootstrap", "valid_score"),
        "Features": EXTRACTOR_FLAGS,
        "Output": ("output", "save_statistics"),
        "Computation": ("batch_size", "strategy", "tpu", "cpu_replicas"),
    }

    images: str | None = setting(
        None,
        "Images to score instead of a model: a folder of images, or an .npz file with uint8"
        " images.",
        path=ONE_PATH,
    )
    reference: str | None = setting(
        None,
        "Real images to compare with: digits, tfds:NAME, folder:PATH, tfrecord:PATH, or an .npz"
        " file of statistics (written by --save_statistics, or with the arrays mu and sigma)."
        " Default: the data that the model was trained on, if the model is a run.",
        path=ONE_PATH,
    )
    reference_split: str | None = setting(
        None,
        "Split of a tfds data set, or sub-folder of PATH. Default: the split that the protocol"
        " sets for tfds data sets. If it sets none: the split that the run was trained on or,"
        " with --reference, train for a tfds data set and PATH itself for other data.",
    )
    reference_images: int | None = setting(
        None,
        "Number of real images to use, spread evenly over the data set. Default: all.",
        minimum=1,
    )
    metrics: str | None = setting(
        None,
        "Metrics, separated by commas: fid, is, kid, precision_recall, density_coverage,"
        " fid_infinity, intra_fid, accuracy. Default with Inception: fid,is,kid. Default with"
        " other extractors: fid,accuracy. Default for a truncation curve: fid,is.",
    )
    protocol: str = setting(
        "tf_biggan",
        "Evaluation protocol, which sets the number of images, the sampling of labels, the split"
        " of the reference and details of the metrics as in a paper or a code base: tf_biggan"
        " (this package), paper (BigGAN), torch_fidelity, stylegan or mmagic.",
    )
    num_images: int | None = setting(
        None,
        "Number of images to generate. With --images, the maximum number of images to take from"
        f" there. Default: 50,000 for Inception and {OTHER_IMAGES:,} for other extractors; with"
        " --images, all.",
        minimum=1,
    )
    seed: int = setting(0, "Seed of latents and labels.", minimum=0, maximum=MAX_SEED)
    truncation: tuple[float, ...] | None = setting(
        None,
        "Truncation of the latents: a number above 0, or FROM:TO:STEP for a truncation curve."
        " Default: no truncation.",
        parse=parse_truncation_curve,
    )
    valid_score: float | None = setting(
        None,
        "For a truncation curve: Inception Score of validation images. The command prints the FID"
        " at the truncation that gives this score, as in the paper's Table 2. Default: the"
        " Inception Score of the reference images.",
    )
    bn: str = batch_norm_setting("table", tuple(BATCH_NORM_STATISTICS))
    label_sampling: str | None = setting(
        None,
        "How the classes of generated images are sampled: uniform (random, all classes equally"
        " likely), balanced (each class equally often) or data (as frequent as in the reference)."
        " Default: set by the protocol.",
        choices=("uniform", "balanced", "data"),
    )
    resolution: int | str | None = setting(
        None,
        "Size in pixels to which the images of a folder are cropped and resized: the side of a"
        " square, or HEIGHTxWIDTH such as 128x192. Default: images keep their size.",
        parse=resolution_parser(minimum=1),
    )
    image_channels: int = setting(
        3, "Channels of the images in a folder: 1 for grey, 3 for RGB.", minimum=1, maximum=3
    )
    bootstrap: int = setting(
        0,
        "Number of bootstrap resamples for confidence intervals of FID, KID and IS. 0 computes no"
        " intervals.",
        minimum=0,
    )
    batch_size: int = setting(64, "Batch size of each replica.", minimum=1)
    save_statistics: str | None = setting(
        None,
        "Also write the statistics of the reference to this .npz file, which --reference accepts.",
        path=ONE_PATH,
    )
    output: str | None = setting(
        None,
        "JSON file for the scores. A CSV file is written beside it. Default: scores.json in the"
        " folder of a run, where earlier scores are kept as scores-1.json and so on; no file for"
        " other models and for --images.",
        path=ONE_PATH,
    )

    def __post_init__(self):
        super().__post_init__()
        checks.require(
            (self.model is None) != (self.images is None),
            "give either --model or --images, and not both",
            model=self.model,
            images=self.images,
        )
        if self.images is not None:
            self._refuse(GENERATION_FLAGS, "--images, which are not generated")
        if self.images is None or self.images.endswith(STATISTICS_ENDING):
            self._refuse(FOLDER_FLAGS, "images that are not in a folder")
        if len(self.truncations()) > 1:
            self._refuse(SINGLE_SCORE_FLAGS, "a truncation curve")
        else:
            self._refuse(CURVE_FLAGS, "scores without a truncation curve")
        checks.require(
            self.bootstrap != 1,
            "`bootstrap` must be 0 or at least 2 resamples",
            bootstrap=self.bootstrap,
        )
        checks.require(
            not (self.output or "").endswith(WRITTEN_BESIDE_OUTPUT),
            "`output` is the JSON file and must not end in .csv or .png, because files with"
            " these endings are written beside it",
            output=self.output,
        )
        checks.require(
            (self.save_statistics or STATISTICS_ENDING).endswith(STATISTICS_ENDING),
            "`save_statistics` must end in .npz",
            save_statistics=self.save_statistics,
        )

    def _refuse(self, names: tuple[str, ...], of: str) -> None:
        """Raises a ValueError if a flag in `names` is given, because it has no effect on `of`."""
        given = self.changed(names)
        checks.require(not given, f"these flags have no effect on {of}; leave them out", **given)

    def metric_names(self) -> tuple[str, ...] | None:
        """Returns the names of the requested metrics, or None for the default."""
        if self.metrics is None:
            return None
        return tuple(name.strip() for name in self.metrics.split(",") if name.strip())

    def truncations(self) -> tuple[float | None, ...]:
        """Returns the truncations of the curve, or one truncation. None means no truncation."""
        return self.truncation or (None,)
