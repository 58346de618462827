"""Groups of settings that several commands share: the model, truncation, real images, devices.

The settings of a command inherit the groups that the command needs. No TensorFlow is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tf_biggan import checks
from tf_biggan.cli.seeds_and_truncations import (
    SCALE,
    TRUNCATION_MODES,
    parse_truncation,
    require_truncations,
)
from tf_biggan.cli.settings import Settings, setting
from tf_biggan.files.file_paths import ONE_PATH

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
MODEL_FLAGS = ("model", "raw", "iteration")
TRUNCATION_FLAGS = ("truncation", "truncation_mode")
REFERENCE_FLAGS = ("reference", "reference_split", "data_dir", "download")
EXTRACTOR_FLAGS = ("extractor", "layer", "inception_weights", "feature_cache")
EXTRACTORS = (
    "classifier (trained on the reference images), inception, inception_bfloat16 (faster, but its"
    " FID is not exact), a .keras file or the folder of a SavedModel"
)
BATCH_NORM_STATISTICS = {
    "table": "table (the statistics in the model's table for the truncation, interpolated between"
    " its rows; without a table, as running)",
    "running": "running (the statistics of truncation 1; without a table, the running averages of"
    " training)",
    "batch": "batch (recomputed in every batch of images)",
    "standing": "standing (averaged over many batches at the given truncation)",
}


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The model to open: its path, and the weights and checkpoint if it is a run."""

    model: str | None = setting(
        None,
        "Folder of a run, a converted model or an exported SavedModel, or the handle of a model"
        " in a hub.",
        path=ONE_PATH,
    )
    raw: bool = setting(
        False,
        "Use the generator that was trained instead of its moving average. Only runs have both.",
    )
    iteration: int | None = setting(
        None,
        "Iteration of the checkpoint to open, if the model is a run. Default: the newest"
        " checkpoint.",
    )


@dataclass(frozen=True)
class TruncationModeSettings(Settings):
    """How latent vectors are truncated."""

    truncation_mode: str = setting(
        SCALE,
        "How a truncation t is applied to latents. scale cuts a normal distribution off at 2 and"
        " multiplies its samples by t, as DeepMind's TF-Hub modules do. resample cuts a normal"
        " distribution off at t, as the paper does.",
        choices=TRUNCATION_MODES,
    )


@dataclass(frozen=True)
class TruncationSettings(TruncationModeSettings):
    """Truncation of latent vectors; None for latents from N(0, I)."""

    truncation: float | None = setting(
        None,
        "Truncation of the latents, a number above 0. Default: no truncation.",
        parse=parse_truncation,
    )

    def __post_init__(self):
        super().__post_init__()
        checks.require(
            self.truncation_mode == SCALE or self._is_truncated(),
            "`truncation_mode` has no effect without a truncation; give a truncation too, or leave"
            " `truncation_mode` out",
            truncation_mode=self.truncation_mode,
        )
        require_truncations(self._all_truncations(), self.truncation_mode)

    def truncation_ends(self) -> tuple[float | None, float | None]:
        """Returns the truncation of the first and of the last image of a path."""
        return self.truncation, self.truncation

    def _is_truncated(self) -> bool:
        return self.truncation is not None

    def _all_truncations(self) -> tuple[float, ...]:
        if self.truncation is None:
            return ()
        return self.truncation if isinstance(self.truncation, tuple) else (self.truncation,)


def batch_norm_setting(default: str, choices: tuple[str, ...]) -> Any:
    """Returns the setting `bn` of a command that offers these kinds of batch-norm statistics."""
    words = ", ".join(BATCH_NORM_STATISTICS[choice] for choice in choices)
    return setting(default, f"Batch-norm statistics: {words}.", choices=choices)


def classes_setting(default: str) -> Any:
    """Returns the setting `classes` of a command.

    Args:
      default: What happens if no classes are given.
    """
    return setting(
        None,
        "Classes, separated by commas: indices, ranges such as 0-9, names, WordNet IDs, or all."
        f" Default: {default}.",
    )


@dataclass(frozen=True)
class GenerationSettings(ModelSettings, TruncationSettings):
    """Settings of commands that generate images: model, truncation, batch norm, batch size."""

    required: ClassVar[tuple[str, ...]] = ("model",)

    bn: str = batch_norm_setting("table", ("table", "running"))
    batch_size: int = setting(16, "Batch size. Images do not depend on it.", minimum=1)

    def __post_init__(self):
        super().__post_init__()
        self._check_model()

    def _check_model(self) -> None:
        checks.require(
            self.model is not None, "give the folder of a model by --model", model=self.model
        )


@dataclass(frozen=True)
class ReferenceSettings(Settings):
    """The real images that generated images are compared with."""

    reference: str | None = setting(
        None,
        "Real images to compare with: digits, tfds:NAME, folder:PATH or tfrecord:PATH. Default:"
        " the data that the model was trained on, if the model is a run.",
        path=ONE_PATH,
    )
    reference_split: str | None = setting(
        None,
        "Split of a tfds data set, or sub-folder of PATH. Default: the split that the run was"
        " trained on. With --reference, the default is train for a tfds data set, otherwise PATH"
        " itself.",
    )
    data_dir: str | None = setting(
        None,
        "Folder of prepared tfds data sets. Default: the --data_dir of the run, if its data are"
        " used, otherwise the folder that TensorFlow Datasets uses.",
        path=ONE_PATH,
    )
    download: bool = setting(False, "Download the tfds data set if it is not in data_dir.")


@dataclass(frozen=True)
class ExtractorSettings(Settings):
    """The network that extracts features from images."""

    extractor: str | None = setting(
        None,
        f"Feature extractor: {EXTRACTORS}. Default: inception if --inception_weights is given,"
        " otherwise classifier.",
        path=ONE_PATH,
    )
    layer: str | None = setting(
        None,
        "Layer of your own .keras file, or output of your own SavedModel, whose values are the"
        " features. Default: the output of the network. A SavedModel with several outputs needs"
        " this flag.",
    )
    inception_weights: str | None = setting(
        None,
        "Weights of the Inception network: the frozen graph of 2015 (.pb or .tgz), pytorch-fid's"
        " .pth file, or TF-GAN's TF-Hub module.",
        path=ONE_PATH,
    )
    feature_cache: str = setting(
        "default",
        "Folder that keeps features and trained classifiers for later calls. `default` is the"
        " folder $TF_BIGGAN_CACHE, or ~/.cache/tf_biggan if this variable is not set; `none`"
        " keeps nothing.",
        path=ONE_PATH,
    )


@dataclass(frozen=True)
class DeviceSettings(Settings):
    """The devices that a command computes on."""

    strategy: str = setting(
        "auto",
        "Distribution strategy. auto uses the first of these that is available: the TPU of --tpu,"
        " the machines of TF_CONFIG, all GPUs of this machine, one device.",
        choices=STRATEGIES,
        may_change=True,
    )
    tpu: str | None = setting(None, "Name or address of a TPU.", may_change=True)
    cpu_replicas: int | None = setting(
        None,
        "Number of replicas on the CPU, for trying several replicas without GPUs.",
        minimum=1,
        may_change=True,
    )
