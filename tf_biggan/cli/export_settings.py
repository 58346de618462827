"""Settings of `python -m tf_biggan.export`. No TensorFlow is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tf_biggan import checks
from tf_biggan.cli.seeds_and_truncations import MAX_SEED
from tf_biggan.cli.settings import setting
from tf_biggan.cli.shared_settings import MODEL_FLAGS, ModelSettings, TruncationModeSettings
from tf_biggan.files.file_paths import ONE_PATH

DTYPES = ("float32", "bfloat16", "float16")
COMPUTE_DTYPES = ("float32", "bfloat16")
FORMATS = ("saved_model", "onnx", "tflite", "keras", "safetensors")
TFLITE_TYPES = ("float32", "float16")
# Formats of a generator prepared for inference. The others hold the network as it was trained.
_PREPARED = ("saved_model", "onnx", "tflite")
# The formats in which a setting has an effect, for settings that do not matter to all of them.
EFFECTIVE_IN = {
    "num_classes_subset": _PREPARED,
    "truncation_grid": _PREPARED,
    "standing_batches": _PREPARED,
    "standing_batch_size": _PREPARED,
    "standing_seed": _PREPARED,
    "with_discriminator": ("saved_model", "safetensors"),
    "dtype": ("saved_model",),
    "compute_dtype": ("saved_model",),
    "max_batch": ("saved_model",),
    "tflite_type": ("tflite",),
}
AUTO, NONE = "auto", "none"
DEFAULT_ROWS = 51
ACTIONS = ("output", "push_to", "describe", "serve")
# Actions that need a model.
EXPORTS = ("output", "push_to")
DEFAULT_PORT = 8501
# Pixels of all images of one request: 256 images of 128x128 need about 5 GB with 96 channels.
MAX_PIXELS = 1 << 22
LARGEST_BATCH, SMALLEST_BATCH = 1024, 8
# Standing statistics need about 8 GB for 16 images of 256x256 with 96 channels.
STANDING_IMAGES, STANDING_PIXELS = 512, 3 << 18
LARGEST_STANDING, SMALLEST_STANDING = 32, 4


@dataclass(frozen=True)
class ExportConfig(ModelSettings, TruncationModeSettings):
    """What to export, or which export to describe or serve."""

    help_groups: ClassVar = {
        "Model": MODEL_FLAGS,
        "Output": ("output", "push_to", "format", "tflite_type", "licence_note"),
        "Content": ("num_classes_subset", "with_discriminator", "dtype", "compute_dtype"),
        "Truncation and batch norm": (
            "truncation_mode",
            "truncation_grid",
            "standing_batches",
            "standing_batch_size",
            "standing_seed",
        ),
        "Requests": ("max_batch",),
        "Use of an export": ("describe", "serve", "port"),
    }

    model: str | None = setting(
        None,
        "Folder of the run or converted model to export, or the handle of one in a hub.",
        path=ONE_PATH,
    )
    output: str | None = setting(
        None,
        "Folder to write. For a SavedModel its last part is the version, as in models/birds/1.",
        path=ONE_PATH,
    )
    push_to: str | None = setting(
        None,
        "Instead of writing a folder, upload the model with a model card to the Hugging"
        " Face Hub: hf://OWNER/NAME.",
    )
    format: str = setting(
        "saved_model",
        "What the folder holds: a SavedModel with all signatures; generator.onnx, generator.tflite"
        " or generator.keras; or, with safetensors, a model folder that every command opens.",
        choices=FORMATS,
    )
    tflite_type: str = setting(
        "float32", "Type of the weights of a TFLite file.", choices=TFLITE_TYPES
    )
    describe: str | None = setting(
        None, "Instead of exporting, describe the SavedModel in this folder.", path=ONE_PATH
    )
    serve: str | None = setting(
        None,
        "Instead of exporting, serve the SavedModel in this folder by HTTP, with a page to try it"
        " in a browser.",
        path=ONE_PATH,
    )
    port: int = setting(DEFAULT_PORT, "Port for --serve.", minimum=0, maximum=65535)
    truncation_grid: str = setting(
        AUTO,
        "Rows of the table of batch-norm statistics by truncation: a number N for the truncations"
        " 0, 1/(N-1), ... 1; none for running statistics at every truncation; auto for the model's"
        f" own table, or {DEFAULT_ROWS} rows if it has none.",
    )
    standing_batches: int | None = setting(
        None,
        "Number of batches whose statistics are averaged for each row of the table. Default:"
        f" enough for {STANDING_IMAGES} images.",
        minimum=1,
    )
    standing_batch_size: int | None = setting(
        None,
        f"Number of images in each of these batches. Default: {LARGEST_STANDING}, or fewer from a"
        " resolution of 256 to save memory.",
        minimum=2,
    )
    standing_seed: int = setting(
        0,
        "Seed of the latents and labels of the standing batches. Every row of the table uses the"
        " same ones.",
        minimum=0,
        maximum=MAX_SEED,
    )
    dtype: str = setting("float32", "Data type of the stored kernels.", choices=DTYPES)
    compute_dtype: str = setting(
        "float32", "Data type of convolutions and matrix products.", choices=COMPUTE_DTYPES
    )
    num_classes_subset: str | None = setting(
        None,
        "Export only these classes, in this order: indices, ranges such as 0-9, names or WordNet"
        " IDs, separated by commas.",
    )
    with_discriminator: bool = setting(
        False, "Also export the discriminator, as the signature `discriminate`."
    )
    max_batch: int | None = setting(
        None,
        "Maximum number of images of one request. Default: the number of images that together have"
        f" {MAX_PIXELS:,} pixels, at least {SMALLEST_BATCH} and at most {LARGEST_BATCH}.",
        minimum=1,
    )
    licence_note: str | None = setting(
        None, "Note about the licence, for the metadata and the model card."
    )

    def __post_init__(self):
        super().__post_init__()
        given = [name for name in ACTIONS if getattr(self, name) is not None]
        checks.require(
            len(given) == 1,
            "give exactly one of --output (to export), --push_to, --describe and --serve",
            given=given,
        )
        checks.require(
            (self.model is not None) == (given[0] in EXPORTS),
            "give --model together with --output or --push_to, and only with them",
            model=self.model,
            given=given,
        )
        self.table_rows()
        for name in self.changed(EFFECTIVE_IN):
            checks.require(
                self.format in EFFECTIVE_IN[name],
                f"--{name} has no effect on this format; leave it out, or use"
                f" --format={' or '.join(EFFECTIVE_IN[name])}",
                format=self.format,
            )

    def table_rows(self) -> int | None:
        """Returns the number of rows of the table: None for "auto", 1 for running statistics.

        Raises:
          ValueError: `truncation_grid` is neither "auto", "none" nor a number from 2 to 1001.
        """
        if self.truncation_grid in (AUTO, NONE):
            return {AUTO: None, NONE: 1}[self.truncation_grid]
        is_number = self.truncation_grid.isdecimal() and 2 <= int(self.truncation_grid) <= 1001
        checks.require(
            is_number,
            f"`truncation_grid` must be {AUTO}, {NONE} or a number of rows from 2 to 1001",
            truncation_grid=self.truncation_grid,
        )
        return int(self.truncation_grid)

    def standing_sizes(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Returns (batches, images of each) for a row of the table; image_size: height, width."""
        fitting = STANDING_PIXELS // (image_size[0] * image_size[1])
        size = min(LARGEST_STANDING, max(SMALLEST_STANDING, fitting))
        size = size if self.standing_batch_size is None else self.standing_batch_size
        return self.standing_batches or -(-STANDING_IMAGES // size), size

    def batch_limit(self, image_size: tuple[int, int]) -> int:
        """Returns the maximum number of images of one request; image_size: height, width."""
        if self.max_batch is not None:
            return self.max_batch
        fitting = MAX_PIXELS // (image_size[0] * image_size[1])
        return min(LARGEST_BATCH, max(SMALLEST_BATCH, fitting))
