"""Encodes the pictures of a report as data URLs, and finds the real images nearest to samples.

The size of all pictures together is limited. The nearest real images are found by their pixels,
without opening the model of the run.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import math
import os
import shlex
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from PIL import Image

from tf_biggan import checks
from tf_biggan.data.schemes import open_source
from tf_biggan.data.source import DataIdentity, Source
from tf_biggan.evaluation.features.extraction import ArrayCache, FeatureExtraction
from tf_biggan.evaluation.features.extractors import pixel_extractor
from tf_biggan.evaluation.features.image_sets import ArrayImages, SourceImages
from tf_biggan.files import file_system, input_bounds
from tf_biggan.pictures.nearest_images import find_neighbours, medians, neighbours_sheet
from tf_biggan.pictures.sheets_and_animations import cells
from tf_biggan.reporting.run_record import RunRecord
from tf_biggan.store.run_directory import image_size_from
from tf_biggan.training.sample_sheets import COLUMNS

STORED = "neighbours.png"
# Data sets with more pixels are not searched: this would take longer than the rest of the report.
MOST_PIXELS = 64_000_000
NEIGHBOURS = 6
BATCH_SIZE = 256
# Limit for all pictures of a page together, before base64 makes them a third larger.
TOTAL_BYTES = 5_000_000
QUALITY = 85
SHRINK = 0.75
SMALLEST_SIDE = 64


def nearest_reals(run: RunRecord, limit: int) -> Picture:
    """Returns a picture of samples beside the real images that are nearest to them.

    If there is a file RUN/neighbours.png, which `python -m tf_biggan.neighbours --output` writes,
    the picture is this file. Otherwise, if the data set is small, its images are compared by pixels
    with the first sample of each row of the run's last sheet. If neither is possible, there is only
    a caption with the reason and the command that writes the file.

    Args:
      run: The run.
      limit: Maximum size of the encoded picture in bytes.
    """
    stored = os.path.join(run.path, STORED)
    if file_system.exists(stored):
        caption = f"{STORED} of the run (each row: a sample, then the real images nearest to it)"
        return picture_of_file(stored, caption, limit)
    reason = _why_not_searched(run)
    if reason is None:
        try:
            return _searched(run, limit)
        except (ValueError, OSError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
    command = shlex.join(
        ["python", "-m", "tf_biggan.neighbours", f"--model={run.path}", f"--output={stored}"]
    )
    return Picture(f"Not searched: {reason} This command writes {STORED} for the report: {command}")


def _why_not_searched(run: RunRecord) -> str | None:
    if not run.sheets:
        return "The run has no sheet of samples."
    if run.identity is None:
        return "The run did not record the identity of its data."
    if run.identity.num_images * math.prod(image_size_from(run.config.model)) > MOST_PIXELS:
        return f"The data set has {run.identity.num_images:,} images."
    return None


def _searched(run: RunRecord, limit: int) -> Picture:
    source = _source_of(run)
    iteration, path = list(run.sheets.items())[-1]
    with Image.open(path) as page:
        pixels = cells(page, COLUMNS, image_size_from(run.config.model))[::COLUMNS]
    reference = SourceImages(source, pixels.shape[1:3], pixels.shape[3])
    samples = ArrayImages("samples", pixels)
    samples.cached = False
    strategy = tf.distribute.get_strategy()
    extraction = FeatureExtraction(pixel_extractor(), strategy, BATCH_SIZE, ArrayCache(None))
    found = find_neighbours(samples, reference, extraction, NEIGHBOURS)
    names = [""] * len(pixels)
    from_samples, from_reals = medians(found).values()
    page = neighbours_sheet(samples, names, reference, found)
    caption = (
        f"Each row: a sample of iteration {iteration:,}, then the real images nearest to it by"
        " pixels. Captions: distance (root mean square difference, from 0 to 255) and class."
    )
    if None not in (from_samples, from_reals):
        caption += (
            f" The median distance to the nearest real image is {from_samples:.3g} from these"
            f" samples and {from_reals:.3g} from real images."
        )
    return picture_of(page, caption, limit)


def _source_of(run: RunRecord) -> Source:
    """Opens the data of a run.

    Raises:
      ValueError: The data are no longer there, or have changed.
    """
    data = run.config.data
    source = open_source(data.dataset, split=data.split, data_dir=data.data_dir)
    checks.require(
        DataIdentity.of(source).num_images == run.identity.num_images,
        "the data have changed since the run",
        dataset=data.dataset,
    )
    return source


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture for the page.

    Attributes:
      caption: Text below the picture.
      url: Data URL; None if there is no picture. The caption then gives the reason.
      width, height: Size in pixels.
    """

    caption: str
    url: str | None = None
    width: int = 0
    height: int = 0


def picture_of_file(path: str, caption: str, limit: int) -> Picture:
    """Returns the picture in a PNG file. If it cannot be read, the caption says so.

    Args:
      path: The file.
      caption: Text below the picture.
      limit: Maximum size of the encoded picture in bytes. A larger file is converted to JPEG, and
        the picture is scaled down if needed.
    """
    try:
        with file_system.open_file(path, "rb") as file:
            content = file.read(input_bounds.IMAGE_PIXELS)
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            pixels = image.width * image.height
            checks.require(pixels <= input_bounds.IMAGE_PIXELS, "too many pixels", pixels=pixels)
            image.load()
            return _encoded(image, caption, limit, content)
    # PIL passes on the errors of its decoders, which are of several kinds for damaged files.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return Picture(f"{caption}: {path} cannot be read.")


def picture_of(image: Image.Image, caption: str, limit: int) -> Picture:
    """Returns an image as a picture for the page; see `picture_of_file` for caption and limit."""
    made = io.BytesIO()
    image.save(made, format="PNG")
    return _encoded(image, caption, limit, made.getvalue())


def evenly_chosen(sheets: Mapping[int, str], most: int) -> dict[int, str]:
    """Returns up to `most` sheets by iteration: the first, the last, and evenly spread others."""
    iterations = list(sheets)
    places = np.unique(np.linspace(0, len(iterations) - 1, min(most, len(iterations))).round())
    return {iterations[int(place)]: sheets[iterations[int(place)]] for place in places}


def _encoded(image: Image.Image, caption: str, limit: int, png: bytes) -> Picture:
    if len(png) <= limit:
        return _picture(caption, "png", png, image.size)
    page = image if image.mode in ("L", "RGB") else _on_white(image)
    content = _jpeg(page)
    while len(content) > limit and min(page.size) * SHRINK >= SMALLEST_SIDE:
        page = page.resize([round(side * SHRINK) for side in page.size], Image.Resampling.LANCZOS)
        content = _jpeg(page)
    return _picture(caption, "jpeg", content, page.size)


def _picture(caption, kind, content, size) -> Picture:
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(caption, url, *size)


def _jpeg(image: Image.Image) -> bytes:
    made = io.BytesIO()
    image.save(made, format="JPEG", quality=QUALITY, optimize=True)
    return made.getvalue()


def _on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image)
    return page.convert("RGB")
