"""Conversion to bytes, sheets and PNG files, compared with values computed by hand."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from tf_biggan.files.png import save_png, to_uint8
from tf_biggan.pictures.sheets_and_animations import sheet


def test_bytes_of_known_values():
    # 127.5 * (x + 1) is 0, 255, 127.5, 63.75, 0.51 and 0.49.
    values = [-1.0, 1.0, 0.0, -0.5, 0.51 / 127.5 - 1, 0.49 / 127.5 - 1]
    assert to_uint8(values).tolist() == [0, 255, 128, 64, 1, 0]
    assert to_uint8([[-9.0, 9.0, np.inf]]).tolist() == [[0, 255, 255]]


def test_every_byte_comes_back():
    levels = np.arange(256)
    for dtype in ("float32", "float64"):
        images = (levels / 127.5 - 1).astype(dtype)
        assert np.array_equal(to_uint8(images), levels)
    assert to_uint8(images).dtype == np.uint8


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="must not contain NaN"):
        to_uint8([0.0, np.nan])


def test_sheet_places_images_in_reading_order():
    images = np.stack([np.full((2, 3, 3), value, np.uint8) for value in (10, 20, 30)])
    page = np.asarray(sheet(images, columns=2, padding=1, smallest_cell=1))
    assert page.shape == (2 * 3 + 1, 2 * 4 + 1, 3)
    expected = np.full((7, 9), 255)
    expected[1:3, 1:4], expected[1:3, 5:8], expected[4:6, 1:4] = 10, 20, 30
    assert np.array_equal(page, np.stack([expected] * 3, axis=-1))


@pytest.mark.parametrize(("side", "cell"), [(8, 48), (32, 64), (47, 94), (48, 48), (128, 128)])
def test_small_images_are_enlarged_by_whole_factors(side, cell):
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (1, side, side, 3), np.uint8)
    page = np.asarray(sheet(images, columns=1, padding=0))
    assert page.shape == (cell, cell, 3)
    assert np.array_equal(page[:: cell // side, :: cell // side], images[0])
    assert np.array_equal(page[cell // side - 1 :: cell // side, :: cell // side], images[0])


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_labels_stand_in_a_margin_beside_the_middle_of_their_row(channels, mode):
    images = np.zeros((4, 48, 48, channels), np.uint8)
    page = sheet(images, columns=2, row_labels=["one", "a much longer label"])
    assert page.mode == mode
    plain = sheet(images, columns=2)
    margin = page.width - plain.width
    assert page.crop((margin, 0, *page.size)).tobytes() == plain.tobytes()
    ink = np.asarray(page).reshape(page.height, page.width, channels)[:, :margin, 0] < 128
    rows, columns = np.nonzero(ink)
    assert 0 < columns.min() and columns.max() < margin - 1
    for middle in (2 + 24, 52 + 24):
        near = rows[np.abs(rows - middle) <= 24]
        assert len(near) and abs(near.mean() - middle) < 6
    assert columns[rows > 50].max() > 2 * columns[rows < 50].max()


def test_labels_stand_above_the_middle_of_their_column():
    images = np.zeros((4, 48, 48, 3), np.uint8)
    plain = sheet(images, columns=2, row_labels=["one", "two"])
    page = sheet(images, columns=2, row_labels=["one", "two"], column_labels=["0.02", "1"])
    strip = page.height - plain.height
    assert page.width == plain.width
    assert page.crop((0, strip, *page.size)).tobytes() == plain.tobytes()
    rows, columns = np.nonzero(np.asarray(page)[:strip, :, 0] < 128)
    assert 0 < rows.min() and rows.max() < strip - 1
    left = page.width - 2 * 50
    for middle in (left + 24, left + 74):
        near = columns[np.abs(columns - middle) <= 24]
        assert len(near) and abs(near.mean() - middle) < 4
    with pytest.raises(ValueError, match="must contain 2 texts, one for each column"):
        sheet(images, columns=2, column_labels=["one"])


@pytest.mark.parametrize(
    ("images", "columns", "labels", "message"),
    [
        (np.zeros((2, 4, 4), np.uint8), 1, None, r"uint8 \[N, H, W, C\]"),
        (np.zeros((2, 4, 4, 5), np.uint8), 1, None, "C from 1 to 4"),
        (np.zeros((2, 4, 4, 3), np.float32), 1, None, "dtype='float32'"),
        (np.zeros((0, 4, 4, 3), np.uint8), 1, None, "not empty"),
        (np.zeros((2, 4, 4, 3), np.uint8), 0, None, "`columns`"),
        (np.zeros((2, 4, 4, 3), np.uint8), 1, ["a"], "must contain 2 texts, one for each row"),
    ],
)
def test_wrong_sheets_are_refused(images, columns, labels, message):
    with pytest.raises(ValueError, match=message):
        sheet(images, columns, labels)


def test_png_keeps_pixels_and_text(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    path = str(tmp_path / "a.png")
    save_png(Image.fromarray(pixels), path, {"seed": "7", "classes": "chat, château"})
    with Image.open(path) as read:
        assert np.array_equal(np.asarray(read), pixels)
        assert read.text == {"seed": "7", "classes": "chat, château"}
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = str(tmp_path / "a.png")
    image = Image.new("L", (2, 2))
    save_png(image, path)
    before = open(path, "rb").read()

    def fail(self, file, **_):
        with open(file, "wb") as half:
            half.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_png(image, path)
    assert open(path, "rb").read() == before and os.listdir(tmp_path) == ["a.png"]
