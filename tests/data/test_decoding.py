"""Decoding, cropping and resizing, compared with PIL and with torchvision's crop formula."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_biggan.data import decoding as images

# PIL rounds to 8 bits after the horizontal pass and again after the vertical one. TensorFlow rounds
# once.
RESIZE_LEVELS = 1
PIL_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def smooth(height, width, channels=3):
    """Returns a natural-looking test image of waves with periods of at least ten pixels."""
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
    """Crops the long edge centrally and resizes, as torchvision does with PIL images."""
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
    # The two libraries use different builds of libjpeg. The transforms agree, and chroma upsampling
    # differs by up to one level.
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
    # Truncation instead of rounding would make the image half a level darker on average.
    assert abs(difference.mean()) < 0.1


def test_resize_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = images.crop_and_resize(tf.constant(stripes), 16, 16).numpy()
    # Without antialiasing, the result would have stripes of 0 and 255, or one of these values.
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

    with pytest.raises(ValueError, match=r"Cannot read the image 'a <föld>er/image 7\.png'"):
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


# For every form of PNG: colour type, samples per pixel, and the bits that a sample may have.
PNG_FORMS = {
    "grey": (0, 1, (1, 2, 4, 8, 16)),
    "RGB": (2, 3, (8, 16)),
    "palette": (3, 1, (1, 2, 4, 8)),
    "grey, alpha": (4, 2, (8, 16)),
    "RGB, alpha": (6, 4, (8, 16)),
}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
ADAM7 += [(1, 0, 2, 1)]


def png_file(colour, bits, samples, chunks=(), interlaced=False):
    """Returns a PNG file of samples [H, W, C]. PIL cannot write all of these forms."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    def scanline(row):
        digits = (row.reshape(-1, 1) >> np.arange(bits - 1, -1, -1)) & 1
        return b"\0" + np.packbits(digits.astype(np.uint8)).tobytes()

    parts = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [samples]
    rows = b"".join(scanline(row) for part in parts if part.size for row in part)
    height, width, _ = samples.shape
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    listed = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in listed)


def png_of(form, bits, transparent, interlaced, random):
    """Returns (file, RGBA values of its pixels according to the specification)."""
    colour, count, _ = PNG_FORMS[form]
    samples = random.integers(0, 2**bits, (9, 11, count))
    levels = samples >> 8 if bits == 16 else samples * 255 // (2**bits - 1)
    alpha, chunks = np.full((9, 11, 1), 255), []
    if form == "palette":
        palette, opacity = (random.integers(0, 256, (2**bits, n)) for n in (3, 1))
        levels = palette[samples[..., 0]]
        chunks = [(b"PLTE", palette.astype(np.uint8).tobytes())]
        if transparent:
            chunks.append((b"tRNS", opacity.astype(np.uint8).tobytes()))
            alpha = opacity[samples[..., 0]]
    elif count in (2, 4):
        levels, alpha = levels[..., :-1], levels[..., -1:]
    elif transparent:
        key = samples[4, 5]
        chunks = [(b"tRNS", key.astype(">u2").tobytes())]
        alpha = np.where((samples == key).all(-1, keepdims=True), 0, 255)
    rgb = levels if levels.shape[-1] == 3 else levels.repeat(3, -1)
    made = np.concatenate([rgb, alpha], -1).astype(np.uint8)
    return png_file(colour, bits, samples, chunks, interlaced), made


PNG_CASES = [
    pytest.param(form, bits, transparent, id=f"{form} {bits}{' tRNS' if transparent else ''}")
    for form, (_, count, depths) in PNG_FORMS.items()
    for bits in depths
    for transparent in ((False,) if count in (2, 4) else (False, True))
]


@pytest.mark.parametrize("form, bits, transparent", PNG_CASES)
def test_png_of_every_depth_and_colour_type_has_its_own_alpha(form, bits, transparent):
    random = np.random.default_rng(bits)
    for interlaced in (False, True):
        contents, rgba = png_of(form, bits, transparent, interlaced, random)
        # PIL clips 16-bit grey and misreads tRNS for fewer than 8 bits.
        if bits <= 8 and not transparent:
            of_pil = Image.open(io.BytesIO(contents)).convert("RGBA")
            np.testing.assert_array_equal(of_pil, rgba)
        for channels, mode in PIL_MODES.items():
            expected = np.asarray(Image.fromarray(rgba).convert(mode)).reshape(9, 11, channels)
            decoded = images.decode(tf.constant(contents), channels)
            np.testing.assert_array_equal(decoded, expected, err_msg=f"{mode} {interlaced}")
