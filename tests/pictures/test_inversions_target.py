"""Images to invert are cropped and resized like training data, and a line says how."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tf_biggan.data import decoding as images
from tf_biggan.pictures.inversions import read_target


@pytest.fixture(scope="module")
def colour():
    return np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8)


def test_another_size_is_cropped_and_resized_as_in_training(tmp_path, colour):
    path = str(tmp_path / "a.png")
    Image.fromarray(colour).save(path)
    pixels, done = read_target(path, (8, 8), 3)
    np.testing.assert_array_equal(pixels, images.crop_and_resize(colour, 8, 8))
    assert done == f"{path}: 20x30, cropped to its centre, resized to 8x8"


def test_colour_and_grey(tmp_path, colour):
    path = str(tmp_path / "a.png")
    Image.fromarray(colour[:8, :8]).save(path)
    pixels, done = read_target(path, (8, 8), 1)
    luma = np.asarray(Image.fromarray(colour[:8, :8]).convert("L"))
    np.testing.assert_array_equal(pixels[..., 0], luma)
    assert done == f"{path}: 8x8, made grey"
    Image.fromarray(luma).save(path)
    pixels, done = read_target(path, (8, 8), 3)
    np.testing.assert_array_equal(pixels, np.repeat(luma[..., None], 3, axis=2))
    assert done == f"{path}: 8x8, grey in all channels"
    assert read_target(path, (8, 8), 1)[1] == f"{path}: 8x8"


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(ValueError, match=r"Cannot read the image .*a\.png.*JPEG, PNG, BMP or WebP"):
        read_target(str(tmp_path / "a.png"), (8, 8), 3)
    with pytest.raises(ValueError, match="The image does not exist"):
        read_target(str(tmp_path / "b.png"), (8, 8), 3)


def test_a_name_that_is_no_utf_8_is_told_in_one_line(tmp_path):
    path = tmp_path / "\udce9.png"  # The byte E9, a Latin-1 letter, as Python represents it.
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(ValueError, match=r"must be UTF-8; rename .*\\xe9\.png"):
        read_target(str(path), (4, 4), 3)
