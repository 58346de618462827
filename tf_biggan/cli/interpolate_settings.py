"""The settings of `python -m tf_biggan.interpolate`, flags of the same names. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from tf_biggan import checks
from tf_biggan.cli.generation_settings import DrawingSettings
from tf_biggan.cli.train_settings import setting
from tf_biggan.files.home_folder import LISTED_PATHS, ONE_PATH

NUM_ROWS = 8
# What BigGAN-PyTorch's sheets have.
SHEET_MIDPOINTS = 8
ANIMATION_MIDPOINTS = 23
SECONDS_PER_FRAME = 0.08
SHEET_ENDING = ".png"
OF_ROWS = ("classes", "seeds", "num_rows")


@dataclass(frozen=True)
class InterpolateConfig(DrawingSettings):
    """One picture of paths between images: which ends, which path, how it is shown."""

    endpoints: str | None = setting(
        None,
        "ends of the paths in order, with commas between: class@seed as in tench@3,7@0 (@seed of a"
        " model without classes), or an .npz that invert wrote; default: random ones",
        path=LISTED_PATHS,
    )
    classes: str | None = setting(
        None, "classes of random ends in turn: indices, names, WordNet ids, all; default: random"
    )
    seeds: str | None = setting(
        None, "seeds of random ends, two a row (one with fix_z), as in 0,4-9; default: from 0"
    )
    num_rows: int | None = setting(
        None, f"rows of random ends; default: {NUM_ROWS}, or what `seeds` fill", minimum=1
    )
    num_midpoints: int | None = setting(
        None,
        f"images between two ends; default: {SHEET_MIDPOINTS} on a sheet, {ANIMATION_MIDPOINTS} in"
        " an animation",
        minimum=0,
    )
    fix_z: bool = setting(False, "a row has one z, that of its start; the class alone changes")
    fix_y: bool = setting(False, "a row has one class, that of its start; z alone changes")
    z_path: str = setting(
        "slerp",
        "path between two z; slerp keeps their typical length, lerp is BigGAN-PyTorch's; class"
        " embeddings take lerp always",
        choices=("slerp", "lerp"),
    )
    truncation: str | None = setting(
        None, "of latents: a number, or FROM:TO along every path; default: none"
    )
    loop: bool = setting(False, "paths go back to their start; truncation there and back")
    output: str = setting(
        "interpolation.png",
        "a sheet of one row for every two ends (.png), or an animation (.gif, .webp, .mp4)",
        path=ONE_PATH,
    )
    seconds_per_frame: float | None = setting(
        None, f"of an animation; default: {SECONDS_PER_FRAME}", minimum=0.02
    )

    def __post_init__(self):
        super().__post_init__()
        checks.require(
            not (self.fix_z and self.fix_y),
            "only one of --fix_z and --fix_y may be given; with both nothing would change",
            fix_z=self.fix_z,
            fix_y=self.fix_y,
        )
        given = {n: getattr(self, n) for n in OF_ROWS if getattr(self, n) is not None}
        checks.require(
            self.endpoints is None or not given,
            "--endpoints names every end; leave out what chooses random ones",
            **given,
        )
        checks.require(
            self.animates or self.seconds_per_frame is None,
            "`seconds_per_frame` is of animations; leave it out, or name an animation as `output`",
            seconds_per_frame=self.seconds_per_frame,
            output=self.output,
        )

    @property
    def animates(self) -> bool:
        """Whether an animation is asked for."""
        return not self.output.lower().endswith(SHEET_ENDING)

    def truncation_ends(self) -> tuple[float | None, float | None]:
        """Truncations at the start and at the end of every path.

        Raises:
          ValueError: it is neither a number nor FROM:TO, or out of its mode's range.
        """
        numbers = self._truncations("a number or FROM:TO, each", most=2)
        return numbers[0], numbers[-1]
