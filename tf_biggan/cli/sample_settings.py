"""The settings of `python -m tf_biggan.sample`; its flags have the same names. No TensorFlow."""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass

from tf_biggan import checks
from tf_biggan.cli.generation_settings import SCALE_LIMIT, DrawingSettings
from tf_biggan.cli.seeds import MOST_SEEDS, parse_seeds
from tf_biggan.cli.train_settings import setting
from tf_biggan.files.home_folder import ONE_PATH

NUM_PER_CLASS = 10
MOST_ROWS = 10
UNCONDITIONAL_IMAGES = 100
SECONDS_PER_FRAME = 0.5
ENDINGS = (".gif", ".webp", ".mp4")
SHEET, ARCHIVE, FOLDER, ANIMATION = "sheet", "archive", "folder", "animation"
# Flags that each other flag makes meaningless.
WITHOUT_EFFECT = {
    "classes": ("class_mix",),
    "num_images": ("num_per_class",),
    "truncations": ("truncation", "num_per_class", "num_images", "progress", "seconds_per_frame"),
    "progress": ("iteration", "num_images"),
}


@dataclass(frozen=True)
class SampleConfig(DrawingSettings):
    """Which images of a model, and what they are written as."""

    classes: str | None = setting(
        None,
        "indices, names, WordNet ids, ranges or all, with commas between; default: all, of which a"
        f" picture shows {MOST_ROWS} at most",
    )
    class_mix: str | None = setting(
        None,
        "instead of classes: one mixture, as in tench:0.5,goldfish:0.5; weights above 0, which are"
        " divided by their sum",
    )
    num_per_class: int | None = setting(
        None,
        f"images of every class; default: {NUM_PER_CLASS}, or the seeds",
        minimum=1,
        maximum=MOST_SEEDS,
    )
    num_images: int | None = setting(
        None,
        "instead: images in all, each with a seed of its own, all classes as often; evaluators"
        " want 50000",
        minimum=1,
        maximum=MOST_SEEDS,
    )
    seeds: str | None = setting(
        None,
        "every one with every class, as in 0,4-9; beside num_images or num_per_class the first"
        " seed; default: from 0, the same in every row of a picture, another for every image of a"
        " folder or an .npz",
    )
    truncation: str | None = setting(
        None,
        "of latents: a number; default: none, N(0, I), as in training and in scores; published"
        " models are usually shown at 0.4 to 0.5",
    )
    truncations: str | None = setting(
        None, "a sheet with a column for each of these, as in 0.02,0.2,0.5,1, all of one seed"
    )
    progress: bool = setting(
        False, "an animation of the same images at every checkpoint of a run, oldest first"
    )
    seconds_per_frame: float | None = setting(
        None, f"of the animation; default: {SECONDS_PER_FRAME}", minimum=0.02
    )
    bn: str = setting(
        "table",
        "statistics of the batch norms: table, of the truncation where the model has a table;"
        " running, of truncation 1; batch, of each batch of images; standing, means over 100"
        " batches at the truncation",
        choices=("table", "running", "batch", "standing"),
    )
    batch_size: int = setting(16, "images at a time; changes none unless bn is batch", minimum=1)
    output: str | None = setting(
        None,
        "a .png (one picture, classes as rows), an .npz of uint8 images and labels, or a folder"
        f" of a .png for each image; with progress {', '.join(ENDINGS)}; default: samples.png,"
        " truncations.png or progress.gif",
        path=ONE_PATH,
    )

    def __post_init__(self):
        super().__post_init__()
        for name, others in WITHOUT_EFFECT.items():
            self._refuse(name, others)
        seeds = self.seed_list()
        alone = self.num_per_class or self.num_images or self.truncations
        checks.require(
            seeds is None or not alone or len(seeds) == 1,
            "beside --num_per_class, --num_images or --truncations, `seeds` must be one number",
            seeds=self.seeds,
        )
        checks.require(
            self.progress or self.seconds_per_frame is None,
            "`seconds_per_frame` is of --progress; leave it out",
            seconds_per_frame=self.seconds_per_frame,
        )
        self.truncation_columns()
        self.output_kind()

    def _is_truncated(self):
        return super()._is_truncated() or self.truncations is not None

    def _refuse(self, name: str, others: tuple[str, ...]) -> None:
        """Raises ValueError if a flag is given beside one that leaves it no meaning."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = {n: getattr(self, n) for n in others if getattr(self, n) != defaults[n]}
        checks.require(
            getattr(self, name) == defaults[name] or not given,
            f"these flags have no meaning beside --{name}; leave them out",
            **given,
        )

    def seed_list(self) -> tuple[int, ...] | None:
        """The seeds that are named; None where none are."""
        return None if self.seeds is None else parse_seeds(self.seeds)

    def output_path(self) -> str:
        """Where the images go."""
        if self.output is not None:
            return self.output
        if self.progress:
            return "progress.gif"
        return "samples.png" if self.truncations is None else "truncations.png"

    def output_kind(self) -> str:
        """SHEET, ARCHIVE, FOLDER or ANIMATION.

        Raises:
          ValueError: the ending is another, or not one of what is asked for.
        """
        path = self.output_path()
        ending = os.path.splitext(path)[1].lower()
        kinds = {".png": SHEET, ".npz": ARCHIVE, **dict.fromkeys(ENDINGS, ANIMATION)}
        is_folder = not ending or path.endswith(os.sep) or os.path.isdir(path)
        kind = FOLDER if is_folder else kinds.get(ending)
        wanted, rule = (SHEET, ARCHIVE, FOLDER), "in .png, .npz or, for a folder, in nothing"
        if self.progress:
            wanted, rule = (ANIMATION,), f"in {', '.join(ENDINGS)}, being an animation"
        elif self.truncations is not None:
            wanted, rule = (SHEET,), "in .png, being a sheet"
        checks.require(kind in wanted, f"`output` must end {rule}", output=path)
        return kind

    def truncation_columns(self) -> tuple[float, ...] | None:
        """The truncations of a truncation sheet; None where none is asked for.

        Raises:
          ValueError: they are not numbers in the mode's range.
        """
        if self.truncations is None:
            return None
        try:
            numbers = tuple(float(part) for part in self.truncations.split(","))
        except ValueError:
            numbers = ()
        limit = SCALE_LIMIT if self.truncation_mode == "scale" else math.inf
        checks.require(
            bool(numbers) and all(0 < t <= limit and t < math.inf for t in numbers),
            "`truncations` must be numbers with commas between, each above 0 and, where the mode is"
            " 'scale', at most 1",
            truncations=self.truncations,
            truncation_mode=self.truncation_mode,
        )
        return numbers
