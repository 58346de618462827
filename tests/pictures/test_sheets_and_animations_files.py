"""Animations are read back with Pillow: pixels, durations, loops and texts."""

from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest
from PIL import Image

from tf_biggan.pictures.sheets_and_animations import ENDINGS, save_animation

TEXT = {"seeds": "0-9", "classes": "chat, château"}


def frames_of(mode, count=3, size=(20, 31)):
    random = np.random.RandomState(0)
    shape = (*size, len(Image.new(mode, (1, 1)).getbands()))
    # The frames are smooth like pictures. Noise would have more colours than any palette.
    rows, columns = np.mgrid[: size[0], : size[1]]
    slope = (6 * rows + 2 * columns)[..., None] * random.uniform(0, 1, (count, 1, 1, shape[2]))
    return [Image.fromarray(page.astype(np.uint8).squeeze(), mode) for page in slope + 7]


def read(path):
    """Returns (frames as RGB arrays, milliseconds of each, loop count, texts in the file)."""
    with Image.open(path) as file:
        pages, times = [], []
        for number in range(file.n_frames):
            file.seek(number)
            pages.append(np.asarray(file.convert("RGB")))
            times.append(file.info["duration"])
        return pages, times, file.info["loop"], file


@pytest.mark.parametrize("mode, error", [("L", 0), ("RGB", 8)])
def test_gif(tmp_path, mode, error):
    frames, path = frames_of(mode), str(tmp_path / "a.gif")
    save_animation(frames, path, 0.25, TEXT)
    pages, times, loop, file = read(path)
    assert times == [250] * 3 and loop == 0 and json.loads(file.info["comment"]) == TEXT
    for page, frame in zip(pages, frames, strict=True):
        difference = np.abs(page.astype(int) - np.asarray(frame.convert("RGB")))
        assert difference.max() <= 4 * error and difference.mean() <= error / 4
    assert os.listdir(tmp_path) == ["a.gif"]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_webp_keeps_every_pixel(tmp_path, mode):
    frames, path = frames_of(mode), str(tmp_path / "a.webp")
    save_animation(frames, path, 0.1, TEXT)
    with Image.open(path) as file:
        assert file.n_frames == 3 and file.info["loop"] == 0
        assert json.loads(file.getexif()[0x010E]) == TEXT
        for number, frame in enumerate(frames):
            file.seek(number)
            ours = np.asarray(frame.convert("RGBA")).astype(int)
            shown = np.asarray(file.convert("RGBA")).astype(int)
            np.testing.assert_array_equal(shown[..., 3], ours[..., 3])
            seen = ours[..., 3] > 0
            np.testing.assert_array_equal(shown[seen], ours[seen])


def test_transparent_parts_of_a_gif_are_white(tmp_path):
    path = str(tmp_path / "a.gif")
    clear = [Image.new("LA", (4, 4), (level, 0)) for level in (0, 90)]
    half = [Image.new("LA", (4, 4), (101, 128))]
    save_animation([*clear[:1], *half], path, 1)
    pages, _, _, _ = read(path)
    assert (pages[0] == 255).all() and abs(int(pages[1][0, 0, 0]) - 178) <= 1


FAKE = """#!/usr/bin/env python3
import json, sys
if {fails}:
    sys.exit("Unknown encoder 'libx264'")
data = sys.stdin.buffer.read()
open(sys.argv[-1], "wb").write(json.dumps([sys.argv, len(data), data[:3].hex()]).encode())
"""


def with_ffmpeg(tmp_path, monkeypatch, fails=False):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ffmpeg"
    program.write_text(FAKE.format(fails=fails))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_mp4_is_given_to_ffmpeg_in_even_sizes(tmp_path, monkeypatch):
    with_ffmpeg(tmp_path, monkeypatch)
    frames, path = frames_of("L"), str(tmp_path / "a.mp4")
    save_animation(frames, path, 0.05, TEXT)
    arguments, size, first = json.loads(open(path).read())
    line = " ".join(arguments)
    assert "-s 32x20 -r 20.000000 -i -" in line and "-pix_fmt yuv420p" in line
    assert size == 3 * 32 * 20 * 3 and first == 3 * first[:2]
    assert json.loads(arguments[arguments.index("-metadata") + 1].partition("=")[2]) == TEXT


def test_ffmpegs_failure_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    with_ffmpeg(tmp_path, monkeypatch, fails=True)
    with pytest.raises(ValueError, match=r"write H\.264.*exit_code=1.*Unknown encoder"):
        save_animation(frames_of("L"), str(tmp_path / "a.mp4"), 0.05)
    assert os.listdir(tmp_path) == ["bin"]


def test_without_ffmpeg_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="without the program ffmpeg, which is not on the PATH"):
        save_animation(frames_of("L"), str(tmp_path / "a.mp4"), 0.05)


@pytest.mark.parametrize(
    "frames, name, seconds, message",
    [
        (frames_of("L"), "a.avi", 1, r"must end in one of \.gif, \.webp, \.mp4"),
        ([], "a.gif", 1, "must have the same size and mode"),
        ([*frames_of("L"), *frames_of("RGB")], "a.gif", 1, "the same size and mode"),
        (frames_of("L"), "a.gif", 0.001, "must be at least 0.02, because"),
        (frames_of("L"), "a.gif", float("nan"), "must be at least 0.02, because"),
    ],
)
def test_what_is_no_animation(tmp_path, frames, name, seconds, message):
    with pytest.raises(ValueError, match=message):
        save_animation(frames, str(tmp_path / name), seconds)
    assert not os.listdir(tmp_path) and ENDINGS == (".gif", ".webp", ".mp4")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = str(tmp_path / "none" / "a.gif")
    with pytest.raises(OSError, match=r"No such file or directory: '.*none/a\.gif'$"):
        save_animation(frames_of("L"), path, 1)
