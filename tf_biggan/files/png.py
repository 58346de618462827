"""Images as bytes, and PNG files that appear whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, PngImagePlugin

from tf_biggan import checks
from tf_biggan.files.atomic import replaced


def to_uint8(images) -> np.ndarray:
    """Bytes of images in [-1, 1]: floor(127.5 * (x + 1) + 0.5), clipped to 0..255.

    A half goes up, so that every byte b comes back from b / 127.5 - 1. Codes that truncate instead
    darken images by half a level.

    Args:
      images: floats of any shape; values outside [-1, 1] are clipped.

    Returns:
      uint8 of the same shape.

    Raises:
      ValueError: a value is not a number.
    """
    values = np.asarray(images, dtype=np.float64)
    checks.require(not np.isnan(values).any(), "images must not contain NaN", shape=values.shape)
    return np.clip(np.floor(127.5 * (values + 1.0) + 0.5), 0, 255).astype(np.uint8)


def save_png(image: Image.Image, path: str, text: Mapping[str, str] | None = None) -> None:
    """Writes a PNG under a temporary name, then renames it: `path` is never half a file.

    Args:
      image: any mode that PNG knows.
      path: where; its folder must exist.
      text: keywords (Latin-1, up to 79 characters) and texts to store in the file.
    """
    info = PngImagePlugin.PngInfo()
    for keyword, value in (text or {}).items():
        info.add_text(keyword, value)
    with replaced(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=info)
