"""Draws sheets of images in labelled rows and columns, and writes GIF, WebP and MP4 animations.

Pillow writes GIF and WebP, ffmpeg writes MP4. No TensorFlow is imported.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tf_biggan import checks
from tf_biggan.cli.sample_settings import ENDINGS
from tf_biggan.files.atomic import replaced

SMALLEST_CELL = 48
PADDING = 2
LABEL_GAP = 6
LABEL_STRIP = 16
BACKGROUND = 255
INK = 0
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
LINE_HEIGHT = 13
SMALLEST_CAPTIONED_CELL = 72
ELLIPSIS = ".."
FFMPEG = "ffmpeg"
OPAQUE_WHITE = (255, 255, 255, 255)
PALETTE_COLOURS = 256
IMAGE_DESCRIPTION = 0x010E
# GIF counts hundredths of a second, and browsers slow down frames of less than two hundredths.
SHORTEST_SECONDS = 0.02


def sheet(
    images: np.ndarray,
    columns: int,
    row_labels: Sequence[str] | None = None,
    *,
    column_labels: Sequence[str] | None = None,
    padding: int = PADDING,
    smallest_cell: int = SMALLEST_CELL,
) -> Image.Image:
    """Returns a picture with all images in rows, in reading order, on white.

    Images smaller than `smallest_cell` are enlarged by the smallest sufficient integer factor,
    without interpolation.

    Args:
      images: Images, uint8 [N, H, W, C], with C 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA).
      columns: Number of images in a row; the last row may have fewer.
      row_labels: Text to the left of each row.
      column_labels: Text above each column.
      padding: Pixels between and around images.
      smallest_cell: Minimum of the shorter side of an image in pixels.

    Raises:
      ValueError: The images have another type or shape, or the number of labels is wrong.
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
        f"`row_labels` must contain {rows} texts, one for each row",
        labels=None if row_labels is None else len(row_labels),
    )
    checks.require(
        column_labels is None or len(column_labels) == columns,
        f"`column_labels` must contain {columns} texts, one for each column",
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


def cells(page: Image.Image, columns: int, image_size: tuple[int, int]) -> np.ndarray:
    """Returns the images of a page that `sheet` made without column labels.

    Args:
      page: The page, with the default padding and smallest cell.
      columns: Number of images in a row.
      image_size: (height, width) of the images.

    Returns:
      uint8 [N, H, W, C], in reading order. Empty places of the last row are white images.

    Raises:
      ValueError: The page cannot have images of this size in so many columns.
    """
    padding, factor = PADDING, max(1, -(-SMALLEST_CELL // min(image_size)))
    height, width = (side * factor + padding for side in image_size)
    left = page.width - columns * width - padding
    rows, rest = divmod(page.height - padding, height)
    checks.require(
        left >= 0 and rest == 0 and page.mode in MODES.values(),
        f"the sheet must have {columns} columns of images of {image_size[0]}x{image_size[1]}",
        size=page.size,
    )
    grid = np.asarray(page).reshape(page.height, page.width, -1)[padding:, left + padding :]
    grid = grid.reshape(rows, height, columns, width, -1).swapaxes(1, 2)
    inner = grid[:, :, : height - padding : factor, : width - padding : factor]
    return inner.reshape(rows * columns, *image_size, -1)


def captioned(
    images: np.ndarray,
    captions: Sequence[Sequence[str]],
    smallest_cell: int = SMALLEST_CAPTIONED_CELL,
) -> np.ndarray:
    """Returns images with captions below them, on white.

    Args:
      images: Images, uint8 [N, H, W, C], with C 1 or 3.
      captions: Lines of text for each image. All images have the same number of lines. Long lines
        are shortened.
      smallest_cell: Minimum of the shorter side of an image in pixels. Smaller images are enlarged
        by an integer factor.

    Returns:
      Images with captions, uint8 [N, height, width, C].
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


def save_animation(
    frames: Sequence[Image.Image],
    path: str,
    seconds_per_frame: float,
    text: Mapping[str, str] | None = None,
) -> None:
    """Writes a looping animation. An interrupted write leaves no incomplete file.

    WebP is lossless. GIF is lossless for grey frames; each colour frame is reduced to 256 colours.
    MP4 (H.264) is lossy, and the player decides whether it loops. Transparent pixels become white,
    except in WebP.

    Args:
      frames: Images of the same size and mode (L, LA, RGB or RGBA).
      path: File to write, with one of `ENDINGS`; its folder must exist.
      seconds_per_frame: Duration of a frame, at least 0.02.
      text: Texts by keyword, stored as JSON in the comment (GIF, MP4) or the Exif image
        description (WebP).

    Raises:
      ValueError: `check_animation_path` fails, there are no frames, the frames differ in size or
        mode, `seconds_per_frame` is too small, or ffmpeg fails.
    """
    check_animation_path(path)
    checks.require(
        bool(frames) and len({(frame.size, frame.mode) for frame in frames}) == 1,
        "all frames of an animation must have the same size and mode",
        frames=sorted({f"{frame.size} {frame.mode}" for frame in frames}),
    )
    checks.require(
        seconds_per_frame >= SHORTEST_SECONDS,
        f"`seconds_per_frame` must be at least {SHORTEST_SECONDS}, because browsers slow down"
        " shorter frames",
        seconds_per_frame=seconds_per_frame,
    )
    comment = json.dumps(dict(text or {}))
    with replaced(path) as temporary:
        WRITERS[_ending(path)](frames, temporary, seconds_per_frame, comment)


def check_animation_path(path: str) -> None:
    """Raises ValueError unless the ending is one of `ENDINGS` and ffmpeg is found for .mp4."""
    checks.require(
        _ending(path) in ENDINGS,
        f"`output` of an animation must end in one of {', '.join(ENDINGS)}",
        output=path,
    )
    checks.require(
        _ending(path) != ".mp4" or shutil.which(FFMPEG) is not None,
        f"cannot write an .mp4 file without the program {FFMPEG}, which is not on the PATH; install"
        " it, or write a .gif or .webp file",
        output=path,
    )


def _ending(path):
    return os.path.splitext(path)[1].lower()


def _write_gif(frames, path, seconds, comment):
    pages = [_with_palette(_opaque(frame)) for frame in frames]
    _write_with_pillow(pages, path, seconds, format="GIF", comment=comment.encode(), optimize=False)


def _write_webp(frames, path, seconds, comment):
    exif = Image.Exif()
    exif[IMAGE_DESCRIPTION] = comment
    _write_with_pillow(frames, path, seconds, format="WEBP", lossless=True, exif=exif)


def _write_with_pillow(pages, path, seconds, **arguments):
    # Pillow hides why a write failed; the explicit write below reports, for example, a full disk.
    encoded = io.BytesIO()
    milliseconds = round(1000 * seconds)
    pages[0].save(
        encoded,
        save_all=True,
        append_images=pages[1:],
        duration=milliseconds,
        loop=0,
        **arguments,
    )
    with open(path, "wb") as file:
        file.write(encoded.getbuffer())


def _write_mp4(frames, path, seconds, comment):
    width, height = (side + side % 2 for side in frames[0].size)
    command = [FFMPEG, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", f"{1 / seconds:.6f}", "-i", "-"]
    # Many players only support this pixel format and even side lengths.
    command += ["-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    command += ["-metadata", f"comment={comment}", "-f", "mp4", path]
    pixels = b"".join(_padded(_opaque(frame), (width, height)).tobytes() for frame in frames)
    done = subprocess.run(command, input=pixels, stderr=subprocess.PIPE, check=False)
    checks.require(
        done.returncode == 0,
        f"{FFMPEG} failed to write H.264; install {FFMPEG} with libx264, or write a .gif or .webp"
        " file",
        exit_code=done.returncode,
        message=done.stderr.decode(errors="replace").strip()[-300:],
    )


def _opaque(frame: Image.Image) -> Image.Image:
    """Returns the frame in the mode L or RGB. Transparent pixels become white."""
    if "A" not in frame.getbands():
        return frame
    on_white = Image.alpha_composite(
        Image.new("RGBA", frame.size, OPAQUE_WHITE), frame.convert("RGBA")
    )
    return on_white.convert("L" if frame.mode == "LA" else "RGB")


def _with_palette(frame: Image.Image) -> Image.Image:
    if frame.mode == "L":
        return frame
    return frame.quantize(PALETTE_COLOURS, method=Image.Quantize.MEDIANCUT)


def _padded(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    page = Image.new("RGB", size, OPAQUE_WHITE[:3])
    page.paste(frame.convert("RGB"))
    return page


WRITERS = {".gif": _write_gif, ".webp": _write_webp, ".mp4": _write_mp4}
