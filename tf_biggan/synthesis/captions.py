"""Images with lines of text below them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tf_biggan.images import BACKGROUND, INK

LINE_HEIGHT = 13
SMALLEST_CELL = 72
ELLIPSIS = ".."


def captioned(
    images: np.ndarray, captions: Sequence[Sequence[str]], smallest_cell: int = SMALLEST_CELL
) -> np.ndarray:
    """Images that are enlarged by a whole factor, with their lines below, on white.

    Args:
      images: uint8 [N, H, W, C], with C 1 or 3.
      captions: the lines of each image, as many for all; what is too wide is cut.
      smallest_cell: pixels that the shorter side of an image has at least.

    Returns:
      uint8 [N, height, width, C].
    """
    factor = max(1, -(-smallest_cell // min(images.shape[1:3])))
    large = images.repeat(factor, axis=1).repeat(factor, axis=2)
    strip = LINE_HEIGHT * len(captions[0])
    return np.concatenate([large, _strips(captions, (strip, *large.shape[2:]))], axis=1)


def _strips(captions, shape) -> np.ndarray:
    height, width, channels = shape
    font = ImageFont.load_default()
    made = []
    for lines in captions:
        page = Image.new("L", (width, height), BACKGROUND)
        draw = ImageDraw.Draw(page)
        for number, line in enumerate(lines):
            place = (width / 2, (number + 0.5) * LINE_HEIGHT)
            draw.text(place, _fitted(line, font, width), fill=INK, font=font, anchor="mm")
        made.append(np.asarray(page)[..., None])
    return np.repeat(np.stack(made), channels, axis=-1)


def _fitted(line: str, font, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + ELLIPSIS) > width:
        line = line[:-1]
    return line + ELLIPSIS
