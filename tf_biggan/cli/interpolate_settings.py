"""Settings of `python -m tf_biggan.interpolate`. No TensorFlow is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tf_biggan import checks
from tf_biggan.cli.seeds_and_truncations import parse_truncation_path
from tf_biggan.cli.settings import setting
from tf_biggan.cli.shared_settings import MODEL_FLAGS, GenerationSettings, classes_setting
from tf_biggan.files.file_paths import LISTED_PATHS, ONE_PATH

NUM_ROWS = 8
# The same number as on the sheets of BigGAN-PyTorch.
SHEET_MIDPOINTS = 8
ANIMATION_MIDPOINTS = 23
SECONDS_PER_FRAME = 0.08
SHEET_ENDING = ".png"
RANDOM_END_FLAGS = ("classes", "seeds", "num_rows")


@dataclass(frozen=True)
class InterpolateConfig(GenerationSettings):
    """The end points and path of an interpolation, and the output."""

    help_groups: ClassVar = {
        "Model": MODEL_FLAGS,
        "End points": ("endpoints", *RANDOM_END_FLAGS),
        "Path": ("num_midpoints", "fix_z", "fix_y", "z_path", "loop"),
        "Truncation and batch norm": ("truncation", "truncation_mode", "bn"),
        "Output": ("output", "seconds_per_frame"),
        "Computation": ("batch_size",),
    }

    endpoints: str | None = setting(
        None,
        "End points of the path in order, separated by commas. Each is CLASS@SEED, as in"
        " tench@3,7@0 (@SEED for a model without classes), or an .npz file that invert wrote."
        " Default: random end points.",
        path=LISTED_PATHS,
    )
    classes: str | None = classes_setting("random classes. Only without --endpoints")
    seeds: str | None = setting(
        None,
        "Seeds of the random end points, such as 0,4-9: two seeds for each row, or one with"
        " --fix_z. Default: consecutive seeds from 0.",
    )
    num_rows: int | None = setting(
        None,
        f"Number of rows with random end points. Default: {NUM_ROWS}, or as many rows as --seeds"
        " fills.",
        minimum=1,
    )
    num_midpoints: int | None = setting(
        None,
        f"Number of images between two end points. Default: {SHEET_MIDPOINTS} on a sheet,"
        f" {ANIMATION_MIDPOINTS} in an animation.",
        minimum=0,
    )
    fix_z: bool = setting(
        False,
        "Keep the latent vector of the first image in every row, so that only the class changes.",
    )
    fix_y: bool = setting(
        False,
        "Keep the class of the first image in every row, so that only the latent vector changes.",
    )
    z_path: str = setting(
        "slerp",
        "Interpolation of latent vectors. slerp (spherical) keeps their typical length; lerp"
        " (linear) is what BigGAN-PyTorch does. Class embeddings are always interpolated"
        " linearly.",
        choices=("slerp", "lerp"),
    )
    truncation: tuple[float, ...] | None = setting(
        None,
        "Truncation of the latents: a number above 0, or FROM:TO to change it along every path."
        " Default: no truncation.",
        parse=parse_truncation_path,
    )
    loop: bool = setting(
        False, "Return to the first end point and to the first truncation at the end of the path."
    )
    output: str = setting(
        "interpolation.png",
        "File to write: a sheet (.png) with one row from each end point to the next, or an"
        " animation (.gif, .webp, .mp4).",
        path=ONE_PATH,
    )
    seconds_per_frame: float | None = setting(
        None,
        f"Duration of each frame of an animation in seconds. Default: {SECONDS_PER_FRAME}.",
        minimum=0.02,
    )

    def __post_init__(self):
        super().__post_init__()
        checks.require(
            not (self.fix_z and self.fix_y),
            "give only one of --fix_z and --fix_y; with both, nothing would change",
            fix_z=self.fix_z,
            fix_y=self.fix_y,
        )
        given = self.changed(RANDOM_END_FLAGS)
        checks.require(
            self.endpoints is None or not given,
            "these flags choose random end points and have no effect with --endpoints; leave"
            " them out",
            **given,
        )
        checks.require(
            self.animates or self.seconds_per_frame is None,
            "`seconds_per_frame` has no effect on a sheet; leave it out, or give an animation as"
            " `output`",
            seconds_per_frame=self.seconds_per_frame,
            output=self.output,
        )

    @property
    def animates(self) -> bool:
        """Whether the output is an animation."""
        return not self.output.lower().endswith(SHEET_ENDING)

    def truncation_ends(self) -> tuple[float | None, float | None]:
        """Returns the truncation at the start and at the end of every path."""
        return self.truncation or (None, None)
