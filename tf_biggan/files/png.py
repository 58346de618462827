"""Converts images to bytes and writes PNG files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, PngImagePlugin

from tf_biggan import checks
from tf_biggan.files.atomic import replaced


def to_uint8(images) -> np.ndarray:
    """Converts images in [-1, 1] to bytes: floor(127.5 * (x + 1) + 0.5), clipped to 0..255.

    The value b / 127.5 - 1 gives the byte b again. Values halfway between two bytes are rounded up.
    Code bases that truncate instead of rounding darken images by half a level.

    Args:
      images: Floats of any shape; values outside [-1, 1] are clipped.

    Returns:
      uint8 of the same shape.

    Raises:
      ValueError: A value is NaN.
    """
    values = np.asarray(images, dtype=np.float64)
    checks.require(
        not np.isnan(values).any(),
        "images must not contain NaN; check the weights of the network that generated them",
        shape=values.shape,
    )
    return np.clip(np.floor(127.5 * (values + 1.0) + 0.5), 0, 255).astype(np.uint8)


def save_png(image: Image.Image, path: str, text: Mapping[str, str] | None = None) -> None:
    """Writes a PNG file, completely or not at all.

    Args:
      image: Image in a mode that PNG supports.
      path: Path of the file, whose folder must exist.
      text: Texts to store in the file, by keyword. A keyword is Latin-1 of up to 79 characters.
    """
    info = PngImagePlugin.PngInfo()
    for keyword, value in (text or {}).items():
        info.add_text(keyword, value)
    with replaced(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=info)
