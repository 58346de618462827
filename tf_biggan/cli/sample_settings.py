"""Settings of `python -m tf_biggan.sample`. No TensorFlow is imported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from tf_biggan import checks
from tf_biggan.cli.seeds_and_truncations import (
    MOST_SEEDS,
    parse_seeds,
    parse_truncation,
    parse_truncations,
    require_truncations,
)
from tf_biggan.cli.settings import setting
from tf_biggan.cli.shared_settings import (
    MODEL_FLAGS,
    GenerationSettings,
    batch_norm_setting,
    classes_setting,
)
from tf_biggan.files import file_system
from tf_biggan.files.file_paths import ONE_PATH

NUM_PER_CLASS = 10
MOST_ROWS = 10
UNCONDITIONAL_IMAGES = 100
SECONDS_PER_FRAME = 0.5
ENDINGS = (".gif", ".webp", ".mp4")
SHEET, ARCHIVE, FOLDER, ANIMATION = "sheet", "archive", "folder", "animation"
# Maps a flag to the flags that have no effect if it is given.
WITHOUT_EFFECT = {
    "classes": ("class_mix",),
    "num_images": ("num_per_class",),
    "truncations": ("truncation", "num_per_class", "num_images", "progress", "seconds_per_frame"),
    "progress": ("iteration", "num_images"),
}


@dataclass(frozen=True)
class SampleConfig(GenerationSettings):
    """Which images to sample from a model, and the file or folder to write them to."""

    help_groups: ClassVar = {
        "Model": MODEL_FLAGS,
        "Which images": ("classes", "class_mix", "num_per_class", "num_images", "seeds"),
        "Truncation and batch norm": ("truncation", "truncations", "truncation_mode", "bn"),
        "Output": ("output", "progress", "seconds_per_frame"),
        "Computation": ("batch_size",),
    }

    classes: str | None = classes_setting(f"all classes; a sheet shows at most {MOST_ROWS} of them")
    class_mix: str | None = setting(
        None,
        "Mixture of classes, instead of --classes, such as tench:0.5,goldfish:0.5. Weights must"
        " be above 0. They are divided by their sum.",
    )
    num_per_class: int | None = setting(
        None,
        f"Number of images of every class. Default: {NUM_PER_CLASS}, or one image for each seed of"
        " --seeds.",
        minimum=1,
        maximum=MOST_SEEDS,
    )
    num_images: int | None = setting(
        None,
        "Total number of images, instead of --num_per_class. Every image has its own seed, and"
        " every class is equally frequent. Programs that compute scores usually expect 50000"
        " images.",
        minimum=1,
        maximum=MOST_SEEDS,
    )
    seeds: str | None = setting(
        None,
        "Seeds, such as 0,4-9. Every class is sampled with every seed. With --num_images or"
        " --num_per_class, give only the first seed. Default: consecutive seeds from 0. The rows"
        " of a sheet share them; in a folder or an .npz file, every image has its own seed.",
    )
    truncation: float | None = setting(
        None,
        "Truncation of the latents, a number above 0. Default: no truncation, so that latents are"
        " sampled from N(0, I) as in training. Published models are usually shown at 0.4 to 0.5.",
        parse=parse_truncation,
    )
    truncations: tuple[float, ...] | None = setting(
        None,
        "Write a sheet with one column for each of these truncations, such as 0.02,0.2,0.5,1. All"
        " images have the same seed: the seed in --seeds, or 0.",
        parse=parse_truncations,
    )
    progress: bool = setting(
        False,
        "Write an animation that shows the same images at every checkpoint of a run, from the"
        " oldest to the newest.",
    )
    seconds_per_frame: float | None = setting(
        None,
        f"Duration of each frame of the animation in seconds. Default: {SECONDS_PER_FRAME}.",
        minimum=0.02,
    )
    bn: str = batch_norm_setting("table", ("table", "running", "batch", "standing"))
    batch_size: int = setting(
        16, "Batch size. Images do not depend on it, except with --bn=batch.", minimum=1
    )
    output: str | None = setting(
        None,
        "File or folder to write: a .png file (one sheet, classes as rows), an .npz file (uint8"
        " images and labels), or a folder (one .png file for each image). With --progress, an"
        f" animation ({', '.join(ENDINGS)}). Default: samples.png, truncations.png with"
        " --truncations, or progress.gif with --progress.",
        path=ONE_PATH,
    )

    def __post_init__(self):
        super().__post_init__()
        require_truncations(self.truncations or (), self.truncation_mode, "truncations")
        for name, others in WITHOUT_EFFECT.items():
            without_effect = self.changed(others) if self.changed([name]) else {}
            checks.require(
                not without_effect,
                f"these flags have no effect with --{name}; leave them out",
                **without_effect,
            )
        seeds = self.seed_list()
        alone = self.num_per_class or self.num_images or self.truncations
        checks.require(
            seeds is None or not alone or len(seeds) == 1,
            "`seeds` must be one number (the first seed) if --num_per_class, --num_images or"
            " --truncations is given",
            seeds=self.seeds,
        )
        checks.require(
            self.progress or self.seconds_per_frame is None,
            "`seconds_per_frame` has no effect without --progress; leave it out",
            seconds_per_frame=self.seconds_per_frame,
        )
        self.output_kind()

    def _is_truncated(self):
        return super()._is_truncated() or self.truncations is not None

    def seed_list(self) -> tuple[int, ...] | None:
        """Returns the seeds that were given, or None."""
        return None if self.seeds is None else parse_seeds(self.seeds)

    def output_path(self) -> str:
        """Returns the path of the file or folder to write."""
        if self.output is not None:
            return self.output
        if self.progress:
            return "progress.gif"
        return "samples.png" if self.truncations is None else "truncations.png"

    def output_kind(self) -> str:
        """Returns the kind of output: SHEET, ARCHIVE, FOLDER or ANIMATION.

        Raises:
          ValueError: The ending of the output does not fit the requested images.
        """
        path = self.output_path()
        ending = os.path.splitext(path)[1].lower()
        kinds = {".png": SHEET, ".npz": ARCHIVE, **dict.fromkeys(ENDINGS, ANIMATION)}
        is_folder = not ending or path.endswith(os.sep) or file_system.isdir(path)
        kind = FOLDER if is_folder else kinds.get(ending)
        wanted = (SHEET, ARCHIVE, FOLDER)
        rule = "end in .png or .npz, or be a folder without an ending"
        if self.progress:
            wanted, rule = (ANIMATION,), f"end in {', '.join(ENDINGS)}, because it is an animation"
        elif self.truncations is not None:
            wanted, rule = (SHEET,), "end in .png, because it is a sheet"
        checks.require(kind in wanted, f"`output` must {rule}", output=path)
        return kind

    def truncation_columns(self) -> tuple[float, ...] | None:
        """Returns the truncations of a truncation sheet, or None if no such sheet is requested."""
        return self.truncations
