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
# Maps each setting that has no effect on some formats to the formats on which it has one.
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
# Maximum pixels of all images in a request. 256 images of 128x128 need about 5 GB at 96 channels.
MAX_PIXELS = 1 << 22
LARGEST_BATCH, SMALLEST_BATCH = 1024, 8
# Standing statistics need about 8 GB for 16 images of 256x256 with 96 channels.
STANDING_IMAGES, STANDING_PIXELS = 512, 3 << 18
LARGEST_STANDING, SMALLEST_STANDING = 32, 4


@dataclass(frozen=True)
class ExportConfig(ModelSettings, TruncationModeSettings):
    """The model to export and the form of the export, or else an export to describe or serve."""

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
        "Folder of the run or converted model to export, or the handle of a model in a hub.",
        path=ONE_PATH,
    )
    output: str | None = setting(
        None,
        "Folder to write. For a SavedModel, the last part of the path is the version, as in"
        " models/birds/1.",
        path=ONE_PATH,
    )
    push_to: str | None = setting(
        None,
        "Instead of writing a folder, upload the model with a model card to the Hugging"
        " Face Hub: hf://OWNER/NAME.",
    )
    format: str = setting(
        "saved_model",
        "Content of the folder. saved_model is a SavedModel with all signatures. onnx, tflite and"
        " keras are a single file, such as generator.onnx. safetensors is a model folder that"
        " every command opens.",
        choices=FORMATS,
    )
    tflite_type: str = setting(
        "float32", "Data type of the weights in a TFLite file.", choices=TFLITE_TYPES
    )
    describe: str | None = setting(
        None, "Instead of exporting, describe the SavedModel in this folder.", path=ONE_PATH
    )
    serve: str | None = setting(
        None,
        "Instead of exporting, serve the SavedModel in this folder over HTTP, with a page for"
        " trying it in a browser.",
        path=ONE_PATH,
    )
    port: int = setting(DEFAULT_PORT, "Port for --serve.", minimum=0, maximum=65535)
    truncation_grid: str = setting(
        AUTO,
        "Number of rows in the table that holds batch-norm statistics for several truncations. N"
        " rows belong to the truncations 0, 1/(N-1), ..., 1. none uses the running statistics at"
        f" every truncation. auto uses the model's own table, or {DEFAULT_ROWS} rows if it has"
        " none.",
    )
    standing_batches: int | None = setting(
        None,
        "Number of batches over which the statistics of each row of the table are averaged."
        f" Default: enough for {STANDING_IMAGES} images.",
        minimum=1,
    )
    standing_batch_size: int | None = setting(
        None,
        f"Number of images in each batch of --standing_batches. Default: {LARGEST_STANDING}, or"
        f" fewer (at least {SMALLEST_STANDING}) for images of more than"
        f" {STANDING_PIXELS // LARGEST_STANDING:,} pixels, to save memory.",
        minimum=2,
    )
    standing_seed: int = setting(
        0,
        "Seed of the latents and labels in the batches of --standing_batches. All rows of the"
        " table use the same seed.",
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
        False,
        "Also export the discriminator: as the signature `discriminate` of a SavedModel, or"
        " as a file of a safetensors folder.",
    )
    max_batch: int | None = setting(
        None,
        "Maximum number of images in a request. Default: the number of images that together have"
        f" {MAX_PIXELS:,} pixels, but at least {SMALLEST_BATCH} and at most {LARGEST_BATCH}.",
        minimum=1,
    )
    licence_note: str | None = setting(
        None, "Note about the licence that is written into the metadata and the model card."
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
        """Returns the number of rows of the table of batch-norm statistics.

        It is None for "auto", and 1 for "none" (the running statistics).

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
        """Returns (number of batches, images in each batch) for a row of the table.

        Args:
          image_size: (height, width) of the images.
        """
        fitting = STANDING_PIXELS // (image_size[0] * image_size[1])
        size = min(LARGEST_STANDING, max(SMALLEST_STANDING, fitting))
        size = size if self.standing_batch_size is None else self.standing_batch_size
        return self.standing_batches or -(-STANDING_IMAGES // size), size

    def batch_limit(self, image_size: tuple[int, int]) -> int:
        """Returns the maximum number of images in a request.

        Args:
          image_size: (height, width) of the images.
        """
        if self.max_batch is not None:
            return self.max_batch
        fitting = MAX_PIXELS // (image_size[0] * image_size[1])
        return min(LARGEST_BATCH, max(SMALLEST_BATCH, fitting))
