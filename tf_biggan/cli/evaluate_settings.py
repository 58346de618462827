"""The settings of `python -m tf_biggan.evaluate`; its flags have the same names. No TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from tf_biggan import checks
from tf_biggan.cli.train_settings import STRATEGIES, setting
from tf_biggan.files.home_folder import ONE_PATH

OTHER_IMAGES = 5_000
STATISTICS_ENDING = ".npz"
OF_OUTPUT = (".csv", ".png")
# Flags that say how images of a model are made, and those about a folder of images.
OF_MODELS = (
    "raw",
    "iteration",
    "bn",
    "label_sampling",
    "truncation",
    "truncation_mode",
    "valid_score",
)
OF_FOLDERS = ("resolution", "image_channels")
OF_ONE_SCORE = ("bootstrap", "save_statistics")
OF_CURVES = ("valid_score",)


@dataclass(frozen=True)
class EvaluateConfig:
    """One evaluation: what is scored, against what, by what, and how."""

    model: str | None = setting(
        None, "a run, a converted model or an exported SavedModel", path=ONE_PATH
    )
    images: str | None = setting(
        None, "instead of a model: a folder of images, or an .npz of uint8 images", path=ONE_PATH
    )
    raw: bool = setting(False, "of a run, the generator itself instead of its moving average")
    iteration: int | None = setting(None, "of a run, which checkpoint; default: the newest")
    reference: str | None = setting(
        None,
        "digits, tfds:NAME, folder:PATH, tfrecord:PATH, or an .npz of statistics (ours, or mu and"
        " sigma); default: the data of the run",
        path=ONE_PATH,
    )
    reference_split: str | None = setting(
        None, "split of tfds data, or sub-folder of a PATH; default: the protocol's or the run's"
    )
    reference_images: int | None = setting(
        None, "how many images of the reference, evenly over it; default: all", minimum=1
    )
    data_dir: str | None = setting(None, "where prepared tfds data sets lie", path=ONE_PATH)
    download: bool = setting(False, "download a tfds data set that is not there")
    metrics: str | None = setting(
        None,
        "with commas, of fid, is, kid, precision_recall, density_coverage, fid_infinity, intra_fid,"
        " accuracy; default: fid, is and kid by Inception, else fid and accuracy; for a curve fid"
        " and is",
    )
    extractor: str | None = setting(
        None,
        "classifier, inception, inception_bfloat16 (faster where the processor has it, not quite"
        " FID), a .keras file or the folder of a SavedModel; default: inception where there are"
        " inception_weights, else classifier",
        path=ONE_PATH,
    )
    layer: str | None = setting(
        None, "of an extractor of your own: layer of a .keras file, output of a SavedModel"
    )
    inception_weights: str | None = setting(
        None,
        "the frozen graph of 2015 (.pb or .tgz), pytorch-fid's .pth or TF-GAN's TF-Hub module",
        path=ONE_PATH,
    )
    protocol: str = setting(
        "tf_biggan",
        "whose choices: tf_biggan, paper, torch_fidelity, stylegan or mmagic",
    )
    num_images: int | None = setting(
        None,
        f"images to generate, by default 50,000 for Inception and {OTHER_IMAGES:,} else; of"
        " `images` the most to take, by default all",
        minimum=1,
    )
    seed: int = setting(0, "of latents and labels", minimum=0, maximum=2**30 - 1)
    truncation: str | None = setting(
        None, "of latents: a number, or FROM:TO:STEP for a curve; default: none"
    )
    truncation_mode: str = setting(
        "scale",
        "scale: t times a normal cut off at 2 (DeepMind); resample: a normal cut off at t (paper)",
        choices=("scale", "resample"),
    )
    valid_score: float | None = setting(
        None,
        "of a curve: the inception score of validation images, at which the paper gives a FID;"
        " default: that of the reference's images",
    )
    bn: str = setting(
        "running",
        "statistics of the batch norms; standing: means over batches at the truncation",
        choices=("running", "batch", "standing"),
    )
    label_sampling: str | None = setting(
        None,
        "classes of generated images; default: the protocol's",
        choices=("uniform", "balanced", "data"),
    )
    resolution: int | None = setting(
        None, "size that a folder of images is cropped and resized to; default: as they are"
    )
    image_channels: int = setting(3, "of a folder of images: 1 grey, 3 RGB", minimum=1, maximum=3)
    bootstrap: int = setting(
        0, "resamples for confidence intervals of FID, KID and IS; 0 for none", minimum=0
    )
    batch_size: int = setting(64, "images of one replica at a time", minimum=1)
    strategy: str = setting("auto", "how to distribute", choices=STRATEGIES)
    tpu: str | None = setting(None, "name or address of a TPU")
    feature_cache: str = setting(
        "default",
        "folder of features and classifiers; `default` is $TF_BIGGAN_CACHE or ~/.cache/tf_biggan;"
        " `none` keeps nothing",
        path=ONE_PATH,
    )
    save_statistics: str | None = setting(
        None,
        "where to write the statistics of the reference, an .npz for `reference`",
        path=ONE_PATH,
    )
    output: str | None = setting(
        None,
        "JSON file of the scores, with a CSV file beside it; default: scores.json in the folder of"
        " a run; earlier scores there are kept as scores-1.json and so on",
        path=ONE_PATH,
    )

    def __post_init__(self):
        checks.require(
            (self.model is None) != (self.images is None),
            "either --model or --images must be given",
            model=self.model,
            images=self.images,
        )
        if self.images is not None:
            self._refuse(OF_MODELS, "--images, which are made already")
        if self.images is None or self.images.endswith(STATISTICS_ENDING):
            self._refuse(OF_FOLDERS, "anything but a folder of images")
        truncations = self.truncations()
        if len(truncations) > 1:
            self._refuse(OF_ONE_SCORE, "a truncation curve")
        else:
            self._refuse(OF_CURVES, "anything but a truncation curve")
        checks.require(
            self.bootstrap != 1,
            "`bootstrap` must be 0 or at least 2 resamples",
            bootstrap=self.bootstrap,
        )
        checks.require(
            not (self.output or "").endswith(OF_OUTPUT),
            "`output` is the JSON file; files that end in .csv and .png are written beside it",
            output=self.output,
        )
        checks.require(
            (self.save_statistics or STATISTICS_ENDING).endswith(STATISTICS_ENDING),
            "`save_statistics` must end in .npz",
            save_statistics=self.save_statistics,
        )

    def _refuse(self, names: tuple[str, ...], of: str) -> None:
        """Raises ValueError if one of the flags, which would have no effect, is given."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = {n: getattr(self, n) for n in names if getattr(self, n) != defaults[n]}
        checks.require(not given, f"these flags have no effect on {of}; leave them out", **given)

    @classmethod
    def settings(cls) -> list[dataclasses.Field]:
        """All fields."""
        return list(dataclasses.fields(cls))

    @classmethod
    def from_flat(cls, values: dict) -> EvaluateConfig:
        """From values by field name; missing ones take their default."""
        return cls(**values)

    def metric_names(self) -> tuple[str, ...] | None:
        """The metrics asked for; None where none were."""
        if self.metrics is None:
            return None
        return tuple(name.strip() for name in self.metrics.split(",") if name.strip())

    def truncations(self) -> tuple[float | None, ...]:
        """The truncations of the curve, or the only one.

        Raises:
          ValueError: it is neither a number nor FROM:TO:STEP, or only its mode is given.
        """
        if self.truncation is None:
            checks.require(
                self.truncation_mode == "scale",
                "`truncation_mode` says what a truncation means; give one too, or leave it out",
                truncation_mode=self.truncation_mode,
            )
            return (None,)
        parts = self.truncation.split(":")
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = []
        numbers = numbers if all(map(math.isfinite, numbers)) else []
        checks.require(
            len(numbers) == 1
            or (len(numbers) == 3 and 0 < numbers[0] < numbers[1] and numbers[2] > 0),
            "`truncation` must be a number or FROM:TO:STEP with 0 < FROM < TO",
            truncation=self.truncation,
        )
        largest = numbers[min(1, len(numbers) - 1)]
        checks.require(
            numbers[0] > 0 and (largest <= 1 or self.truncation_mode != "scale"),
            "`truncation` must be above 0 and, where the mode is 'scale', at most 1",
            truncation=self.truncation,
        )
        if len(numbers) == 1:
            return (numbers[0],)
        first, last, step = numbers
        # Rounding keeps 0.02 * 7 the number that a table of statistics has a row for.
        count = int((last - first) / step + 1e-6) + 1
        return tuple(round(first + step * place, 10) for place in range(count))
