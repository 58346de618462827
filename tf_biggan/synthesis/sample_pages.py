"""Pages of samples: a sheet, a sheet of truncations, and the frames of a run's progress."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from tf_biggan import checks
from tf_biggan.images import MODES, SMALLEST_CELL, sheet
from tf_biggan.synthesis.captions import captioned
from tf_biggan.synthesis.sampler import Sampler
from tf_biggan.synthesis.wanted_images import WantedImages

# Beyond this, programs refuse to show a picture (Pillow warns from 89 million pixels).
MOST_PIXELS = 80_000_000


def check_page(wanted: WantedImages, columns: int, image_size: tuple[int, int]) -> None:
    """Raises ValueError if a page of that many columns for each row would be too large to show."""
    factor = max(1, -(-SMALLEST_CELL // min(image_size)))
    count = len(wanted.seeds) // wanted.columns * columns
    pixels = count * factor**2 * image_size[0] * image_size[1]
    checks.require(
        pixels <= MOST_PIXELS,
        f"a picture must have at most {MOST_PIXELS:,} pixels; name fewer classes or seeds, or write"
        " an .npz or a folder",
        images=count,
        pixels=pixels,
    )


def samples_page(sampler: Sampler, wanted: WantedImages, truncation: float | None) -> Image.Image:
    """Classes as rows, seeds as columns; or all images in reading order."""
    count = len(wanted.seeds)
    images = sampler.images(wanted.seeds, wanted.conditions(0, count), truncation)
    return sheet(images, wanted.columns, wanted.row_labels)


def truncations_page(
    sampler: Sampler, wanted: WantedImages, truncations: Sequence[float]
) -> Image.Image:
    """The images as rows, truncations as columns."""
    count = len(wanted.seeds)
    columns = [
        sampler.images(wanted.seeds, wanted.conditions(0, count), truncation, f"Truncation {name}")
        for truncation, name in ((t, f"{t:g}") for t in truncations)
    ]
    images = np.stack(columns, axis=1).reshape(-1, *columns[0].shape[1:])
    names = [f"{truncation:g}" for truncation in truncations]
    return sheet(images, len(truncations), wanted.row_labels, column_labels=names)


def with_iteration(page: Image.Image, iteration: int) -> Image.Image:
    """The page with the iteration below it."""
    pixels = np.asarray(page).reshape(1, page.height, page.width, -1)
    made = captioned(pixels, [[f"iteration {iteration:,}"]], smallest_cell=1)[0]
    return Image.fromarray(made[..., 0] if made.shape[-1] == 1 else made, MODES[made.shape[-1]])
