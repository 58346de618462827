"""Images as files: bytes from [-1, 1], sheets with labelled rows, PNG with text. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from tf_biggan import checks
from tf_biggan.replaced_file import replaced

SMALLEST_CELL = 48
LABEL_GAP = 6
LABEL_STRIP = 16
BACKGROUND = 255
INK = 0
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


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


def sheet(
    images: np.ndarray,
    columns: int,
    row_labels: Sequence[str] | None = None,
    *,
    column_labels: Sequence[str] | None = None,
    padding: int = 2,
    smallest_cell: int = SMALLEST_CELL,
) -> Image.Image:
    """All images in rows of `columns`, in reading order, on white.

    Images smaller than `smallest_cell` are enlarged by the smallest whole factor that reaches it,
    without interpolation.

    Args:
      images: uint8 [N, H, W, C], with C 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA).
      columns: images in a row; the last row may be shorter.
      row_labels: one text for each row, drawn to its left.
      column_labels: one text for each column, drawn above it.
      padding: pixels between images and around them.
      smallest_cell: pixels that the shorter side of an image has at least.

    Raises:
      ValueError: the images are no uint8 [N, H, W, C], or the labels are not one for each row
        or column.
    """
    _check_sheet(images, columns, row_labels, column_labels)
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    factor = max(1, -(-smallest_cell // min(height, width)))
    height, width = height * factor, width * factor
    font = ImageFont.load_default()
    left = _margin(row_labels, font)
    top = LABEL_STRIP if column_labels else 0
    size = (left + columns * (width + padding) + padding, top + rows * (height + padding) + padding)
    page = Image.new(MODES[channels], size, (BACKGROUND,) * channels)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        place = (column * (width + padding), row * (height + padding))
        page.paste(_enlarged(image, factor), (left + padding + place[0], top + padding + place[1]))
    middle = top + padding + height / 2
    rows_at = [(LABEL_GAP, middle + row * (height + padding)) for row in range(rows)]
    _draw_labels(page, row_labels, font, rows_at, "lm")
    middle = left + padding + width / 2
    columns_at = [(middle + n * (width + padding), LABEL_STRIP / 2 + 1) for n in range(columns)]
    _draw_labels(page, column_labels, font, columns_at, "mm")
    return page


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


def _check_sheet(images, columns, row_labels, column_labels):
    checks.require_integer("columns", columns, 1)
    checks.require(
        images.ndim == 4 and images.dtype == np.uint8 and images.shape[-1] in MODES and images.size,
        "`images` must be uint8 [N, H, W, C] with C from 1 to 4, and not empty",
        shape=images.shape,
        dtype=str(images.dtype),
    )
    rows = -(-len(images) // columns)
    checks.require(
        row_labels is None or len(row_labels) == rows,
        f"there must be one of `row_labels` for each of {rows} rows",
        labels=None if row_labels is None else len(row_labels),
    )
    checks.require(
        column_labels is None or len(column_labels) == columns,
        f"there must be one of `column_labels` for each of {columns} columns",
        labels=None if column_labels is None else len(column_labels),
    )


def _enlarged(image: np.ndarray, factor: int) -> Image.Image:
    large = image.repeat(factor, axis=0).repeat(factor, axis=1)
    return Image.fromarray(large[..., 0] if large.shape[-1] == 1 else large)


def _margin(row_labels, font) -> int:
    if not row_labels:
        return 0
    return int(np.ceil(max(font.getlength(label) for label in row_labels))) + 2 * LABEL_GAP


def _draw_labels(page, labels, font, places, anchor):
    draw = ImageDraw.Draw(page)
    ink = {1: INK, 2: (INK, 255), 3: (INK,) * 3, 4: (INK,) * 3 + (255,)}[len(page.getbands())]
    for label, place in zip(labels or (), places, strict=False):
        draw.text(place, label, fill=ink, font=font, anchor=anchor)
