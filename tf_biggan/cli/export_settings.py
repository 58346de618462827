"""The settings of `python -m tf_biggan.export`; its flags have the same names. No TensorFlow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tf_biggan import checks
from tf_biggan.cli.train_settings import setting
from tf_biggan.files.home_folder import ONE_PATH

DTYPES = ("float32", "bfloat16", "float16")
COMPUTE_DTYPES = ("float32", "bfloat16")
AUTO, NONE = "auto", "none"
DEFAULT_ROWS = 51
ACTIONS = ("output", "describe", "serve")
DEFAULT_PORT = 8501
# Pixels of all images of one request: 256 of 128x128 need about 5 GB at ch 96.
MAX_PIXELS = 1 << 22
LARGEST_BATCH, SMALLEST_BATCH = 1024, 8
# The passes of standing statistics need about 8 GB for 16 images of 256x256 at ch 96.
STANDING_IMAGES, STANDING_PIXELS = 512, 3 << 18
LARGEST_STANDING, SMALLEST_STANDING = 32, 4


@dataclass(frozen=True)
class ExportConfig:
    """One export, or one look at an export."""

    model: str | None = setting(None, "a run or a converted model", path=ONE_PATH)
    output: str | None = setting(
        None, "folder to write, the last part being the version: models/birds/1", path=ONE_PATH
    )
    describe: str | None = setting(
        None, "instead of exporting: print what the SavedModel in this folder is", path=ONE_PATH
    )
    serve: str | None = setting(
        None,
        "instead of exporting: try the SavedModel in this folder by HTTP and in a browser",
        path=ONE_PATH,
    )
    port: int = setting(DEFAULT_PORT, "of `serve`", minimum=0, maximum=65535)
    raw: bool = setting(False, "of a run, the generator itself instead of its moving average")
    iteration: int | None = setting(None, "of a run, which checkpoint; default: the newest")
    truncation_mode: str = setting(
        "scale",
        "scale: t times a normal cut off at 2 (DeepMind); resample: a normal cut off at t (paper)",
        choices=("scale", "resample"),
    )
    truncation_grid: str = setting(
        AUTO,
        f"rows of the table of batch norm statistics over truncation: a number N for truncation"
        f" 0, 1/(N-1), ... 1; none for the running statistics at every truncation; auto for the"
        f" model's own table, or {DEFAULT_ROWS} rows",
    )
    standing_batches: int | None = setting(
        None,
        f"batches whose statistics are averaged, for every row of the table; default:"
        f" {STANDING_IMAGES} images, not evaluation's 6,400, as every row takes as many",
        minimum=1,
    )
    standing_batch_size: int | None = setting(
        None,
        f"images of each of these batches; default: {LARGEST_STANDING}, from images of 256x256 on"
        " fewer, for memory",
        minimum=2,
    )
    standing_seed: int = setting(
        0, "of their latents and labels, the same for all rows", minimum=0, maximum=2**30 - 1
    )
    dtype: str = setting("float32", "of the stored kernels", choices=DTYPES)
    compute_dtype: str = setting(
        "float32", "of convolutions and matrix products", choices=COMPUTE_DTYPES
    )
    num_classes_subset: str | None = setting(
        None, "only these classes, in this order: names, WordNet ids, indices or ranges, by commas"
    )
    with_discriminator: bool = setting(False, "also export the discriminator, as `discriminate`")
    max_batch: int | None = setting(
        None,
        f"most rows of one request; default: as many as make {MAX_PIXELS:,} pixels, from"
        f" {SMALLEST_BATCH} to {LARGEST_BATCH}",
        minimum=1,
    )
    licence_note: str | None = setting(None, "text for metadata and model card")

    def __post_init__(self):
        given = [name for name in ACTIONS if getattr(self, name) is not None]
        checks.require(
            len(given) == 1,
            "exactly one of --output, --describe and --serve must be given",
            given=given,
        )
        checks.require(
            (self.model is not None) == (self.output is not None),
            "--model and --output belong together",
            model=self.model,
            output=self.output,
        )
        self.table_rows()

    @classmethod
    def settings(cls) -> list[dataclasses.Field]:
        """All fields."""
        return list(dataclasses.fields(cls))

    @classmethod
    def from_flat(cls, values: dict) -> ExportConfig:
        """From values by field name; missing ones take their default."""
        return cls(**values)

    def table_rows(self) -> int | None:
        """Rows of the table that is asked for; None for "auto", 1 for the running statistics.

        Raises:
          ValueError: it is neither a number from 2 nor one of the words.
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
        """(batches, images of each) of a row of the table, for images of (height, width)."""
        fitting = STANDING_PIXELS // (image_size[0] * image_size[1])
        size = min(LARGEST_STANDING, max(SMALLEST_STANDING, fitting))
        size = size if self.standing_batch_size is None else self.standing_batch_size
        return self.standing_batches or -(-STANDING_IMAGES // size), size

    def batch_limit(self, image_size: tuple[int, int]) -> int:
        """Most rows of one request for images of (height, width)."""
        if self.max_batch is not None:
            return self.max_batch
        fitting = MAX_PIXELS // (image_size[0] * image_size[1])
        return min(LARGEST_BATCH, max(SMALLEST_BATCH, fitting))
