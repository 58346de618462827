"""Looping animations: GIF and WebP with Pillow, MP4 with ffmpeg. No TensorFlow is imported."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from PIL import Image

from tf_biggan import checks
from tf_biggan.cli.sample_settings import ENDINGS
from tf_biggan.files.atomic import replaced

FFMPEG = "ffmpeg"
BACKGROUND = (255, 255, 255, 255)
PALETTE_COLOURS = 256
IMAGE_DESCRIPTION = 0x010E
# GIF counts hundredths of a second, and browsers slow down frames shorter than two of them.
SHORTEST_SECONDS = 0.02


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
      ValueError: `check_animation_path` fails, there are no frames, their sizes or modes differ,
        they are too short, or ffmpeg fails.
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
    """Returns the frame as L or RGB; transparent pixels become white."""
    if "A" not in frame.getbands():
        return frame
    on_white = Image.alpha_composite(
        Image.new("RGBA", frame.size, BACKGROUND), frame.convert("RGBA")
    )
    return on_white.convert("L" if frame.mode == "LA" else "RGB")


def _with_palette(frame: Image.Image) -> Image.Image:
    if frame.mode == "L":
        return frame
    return frame.quantize(PALETTE_COLOURS, method=Image.Quantize.MEDIANCUT)


def _padded(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    page = Image.new("RGB", size, BACKGROUND[:3])
    page.paste(frame.convert("RGB"))
    return page


WRITERS = {".gif": _write_gif, ".webp": _write_webp, ".mp4": _write_mp4}
