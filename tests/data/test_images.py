"""Decoding, cropping and resizing against PIL, and against torchvision's formulas for the crop."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_biggan.data import images

# PIL rounds to 8 bits between its horizontal and its vertical pass; TensorFlow rounds once.
RESIZE_LEVELS = 1
PIL_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def smooth(height, width, channels=3):
    """A natural-looking test image: waves of every frequency up to a tenth of the size."""
    y, x = np.mgrid[:height, :width].astype(float)
    planes = [np.sin(x / (9 + c)) * np.cos(y / (13 - 2 * c)) + (x + c * y) / 500 for c in range(4)]
    planes = np.stack(planes[:channels], -1)
    planes = (planes - planes.min()) / (planes.max() - planes.min())
    return np.round(255 * planes).astype(np.uint8)


def encoded(pixels, form, mode=None, **options):
    stored = io.BytesIO()
    image = Image.fromarray(np.squeeze(pixels))
    (image if mode is None else image.convert(mode)).save(stored, form, **options)
    return stored.getvalue()


def published_preprocessing(image, side):
    """Centre crop of the long edge and resize, as torchvision does them on PIL images."""
    short = min(image.size)
    left = round((image.size[0] - short) / 2.0)
    top = round((image.size[1] - short) / 2.0)
    cropped = image.crop((left, top, left + short, top + short))
    return np.asarray(cropped.resize((side, side), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("L", 3), ("L", 1), ("LA", 2), ("RGB", 1), ("RGB", 4), ("RGBA", 2), ("RGBA", 3), ("P", 3)],
)
def test_png_of_every_mode_decodes_like_pil(mode, channels):
    contents = encoded(smooth(20, 31, 4), "PNG", mode)
    expected = np.asarray(Image.open(io.BytesIO(contents)).convert("RGBA"))
    expected = np.asarray(Image.fromarray(expected).convert(PIL_MODES[channels]))
    decoded = images.decode(tf.constant(contents), channels).numpy()
    np.testing.assert_array_equal(decoded, expected.reshape(20, 31, channels))


@pytest.mark.parametrize(("mode", "channels"), [("L", 3), ("RGB", 1), ("RGB", 3), ("RGB", 4)])
def test_jpeg_decodes_like_pil(mode, channels):
    contents = encoded(smooth(40, 33), "JPEG", mode, quality=90)
    image = Image.open(io.BytesIO(contents)).convert("RGB").convert(PIL_MODES[channels])
    decoded = images.decode(tf.constant(contents), channels).numpy().astype(int)
    difference = np.abs(decoded - np.asarray(image, int).reshape(decoded.shape))
    # Two builds of libjpeg: the accurate transform agrees, chroma upsampling by up to one level.
    assert difference.max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("form", ["BMP", "WEBP"])
def test_bmp_and_lossless_webp_decode_like_pil(form, mode):
    if form == "WEBP" and not hasattr(tf.io, "decode_webp"):
        pytest.skip("this TensorFlow has no decoder for WebP")
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    pixels = smooth(9, 14, 4)
    contents = encoded(pixels, form, mode, **options)
    decoded = images.decode(tf.constant(contents), 3).numpy()
    np.testing.assert_array_equal(decoded, Image.fromarray(pixels).convert(mode).convert("RGB"))


@pytest.mark.parametrize(
    ("width", "height", "side"),
    [(100, 60, 32), (61, 100, 32), (333, 250, 64), (47, 48, 16), (20, 13, 40), (64, 64, 64)],
)
def test_crop_and_resize_equal_the_published_preprocessing(width, height, side):
    pixels = smooth(height, width)
    expected = published_preprocessing(Image.fromarray(pixels), side).astype(int)
    got = images.crop_and_resize(tf.constant(pixels), side, side)
    assert got.dtype == tf.uint8
    difference = got.numpy() - expected
    assert np.abs(difference).max() <= RESIZE_LEVELS
    # Cutting off instead of rounding would be half a level darker on average.
    assert abs(difference.mean()) < 0.1


def test_resize_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = images.crop_and_resize(tf.constant(stripes), 16, 16).numpy()
    # Point sampling and plain bilinear would give stripes of 0 and 255 or their phase's value.
    assert abs(shrunk[4:-4, 4:-4].astype(int) - 128).max() <= 4


@pytest.mark.parametrize(("target", "kept"), [((10, 20), (15, 30)), ((20, 10), (20, 10))])
def test_other_aspect_ratios_are_cropped_centrally(target, kept):
    pixels = smooth(20, 30)
    top, left = (20 - kept[0]) // 2, (30 - kept[1]) // 2
    if kept[0] == 15:
        top = round(2.5)
    box = (left, top, left + kept[1], top + kept[0])
    expected = Image.fromarray(pixels).crop(box).resize(target[::-1], Image.Resampling.BILINEAR)
    got = images.crop_and_resize(tf.constant(pixels), *target).numpy().astype(int)
    assert np.abs(got - np.asarray(expected, int)).max() <= RESIZE_LEVELS


def test_images_of_the_right_size_pass_unchanged():
    pixels = np.random.default_rng(3).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(images.crop_and_resize(tf.constant(pixels), 16, 16), pixels)


def test_model_range_reaches_both_ends():
    levels = images.to_model_range(tf.constant([0, 51, 255], tf.uint8)).numpy()
    np.testing.assert_array_equal(levels, np.float32([-1.0, -0.6, 1.0]))


def test_flip_where_mirrors_only_what_it_is_told():
    pixels = np.arange(2 * 3 * 4 * 1).reshape(2, 3, 4, 1).astype(np.uint8)
    flipped = images.flip_where(tf.constant(pixels), tf.constant([True, False])).numpy()
    np.testing.assert_array_equal(flipped[0], np.fliplr(pixels[0]))
    np.testing.assert_array_equal(flipped[1], pixels[1])


@pytest.mark.parametrize(
    "damage",
    {
        "cut short": lambda whole: whole[: len(whole) // 2],
        "empty": lambda whole: b"",
        "another file": lambda whole: b"<html>not found</html>",
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_unreadable_images_are_named(form, damage):
    contents = tf.data.Dataset.from_tensors(damage[1](encoded(smooth(40, 40), form)))

    @tf.function
    def load():
        return images.decode_named(contents, tf.constant("a <föld>er/image 7.png"), 3)

    with pytest.raises(ValueError, match=r"Received: 'a <föld>er/image 7\.png'"):
        with images.naming_unreadable():
            load()


@pytest.mark.skipif(not hasattr(tf.io, "decode_webp"), reason="no decoder for WebP")
def test_animated_webp_never_reaches_the_decoder():
    frame = Image.fromarray(smooth(20, 20))
    stored = io.BytesIO()
    frame.save(stored, "WEBP", save_all=True, append_images=[Image.fromarray(smooth(20, 20)[::-1])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="animated WebP"):
        images.decode(tf.constant(stored.getvalue()), 3)


@pytest.mark.parametrize("wrong", [0, -4, 1.5, (32, 0), "32"])
def test_wrong_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match="image_size"):
        images.size_of(wrong)
