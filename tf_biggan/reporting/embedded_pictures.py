"""Pictures inside the page, as data URLs that together stay within a limit."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from tf_biggan import checks
from tf_biggan.files import input_bounds

# Limit for all pictures of a page together. Base64 makes them a third larger.
TOTAL_BYTES = 5_000_000
QUALITY = 85
SHRINK = 0.75
SMALLEST_SIDE = 64


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture for the page.

    Attributes:
      caption: Text below it.
      url: Data URL; None if the file cannot be read, as the caption tells then.
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
      limit: Highest number of bytes of the encoded picture. A larger file is converted to JPEG, and
        its picture is reduced in size if needed.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(input_bounds.IMAGE_PIXELS)
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            pixels = image.width * image.height
            checks.require(pixels <= input_bounds.IMAGE_PIXELS, "too many pixels", pixels=pixels)
            image.load()
            return _encoded(image, caption, limit, content)
    # PIL raises what its decoders meet in damaged files.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return Picture(f"{caption}: {path} cannot be read.")


def picture_of(image: Image.Image, caption: str, limit: int) -> Picture:
    """Returns an image as a picture for the page; arguments as of `picture_of_file`."""
    made = io.BytesIO()
    image.save(made, format="PNG")
    return _encoded(image, caption, limit, made.getvalue())


def evenly_chosen(sheets: Mapping[int, str], most: int) -> dict[int, str]:
    """Returns up to `most` sheets by iteration, evenly spread, with the first and the last."""
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
