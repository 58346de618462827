"""Decodes images, crops them centrally, resizes them with antialiasing and scales their values.

This is the published preprocessing of ImageNet (BigGAN-PyTorch, utils.py): crop the long edge
centrally, resize with PIL's antialiased bilinear filter, round to uint8, scale to [-1, 1].

`decode_all` decodes many images in one call, and its error names the image that cannot be read. A
graph operation cannot catch an error, but a `tf.data` data set can drop the element that fails.
Opening a data set takes longer than decoding a small image, so one data set decodes many images.
"""

from __future__ import annotations

import contextlib
import functools
import re
import struct

import tensorflow as tf

from tf_biggan import checks
from tf_biggan.files import input_bounds

CROP_METHOD = "central, to the aspect ratio of the output"
RESIZE_METHOD = "bilinear, antialiased, rounded to uint8"
SUFFIXES = (".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".webp")
MAX_CHANNELS = 4
# The fast transform is off by up to several of 256 levels, and its result depends on the build.
JPEG_TRANSFORM = "INTEGER_ACCURATE"

# PIL's fixed-point weights of ITU-R 601 luma. They add up to 2**16, so grey pixels do not change.
_LUMA_WEIGHTS = (19595, 38470, 7471)
_OPAQUE = 255
# Byte offset of the first chunk's type in a WebP file, and this type in extended and in lossless
# files.
_WEBP_KIND, _WEBP_EXTENDED, _WEBP_LOSSLESS = 12, b"VP8X", b"VP8L"
_WEBP_ANIMATION_BIT = 2
_WEBP_SIDE = 1 << 14
# Byte offsets of the bit depth and the colour type in a PNG file, and the colour type of files with
# a palette.
_PNG_DEPTH, _PNG_COLOUR = 24, 25
_PALETTE = b"\x03"
_UNREADABLE = "unreadable image"
READABLE = (
    "a complete JPEG, PNG, BMP or WebP file of at most"
    f" {input_bounds.IMAGE_PIXELS // 10**6} million pixels"
)
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
# Width and height in the header of a PNG file.
_PNG_SIZE, _PNG_SIZE_FORM = 16, ">II"


def size_of(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Returns (height, width) in pixels from the side of a square or from a pair.

    Raises:
      ValueError: `image_size` is neither a positive integer nor a pair of positive integers.
    """
    height, width = image_size if isinstance(image_size, tuple | list) else (image_size, image_size)
    checks.require_integer("image_size", height, minimum=1)
    checks.require_integer("image_size", width, minimum=1)
    return height, width


def decode(contents: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or WebP file. The format is found from the content.

    Grey channels are repeated for RGB, and RGB images are converted to grey as ITU-R 601 luma. An
    alpha channel that is not requested is dropped. If alpha is requested and the file has none, the
    image becomes opaque. Rotation in EXIF is ignored, as in torchvision. BMP files with 8 bits per
    pixel are read as grey. Animated WebP files, other formats and images with more than
    `input_bounds.IMAGE_PIXELS` pixels raise an error.

    Args:
      contents: Bytes of the file, a string scalar.
      channels: 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).

    Returns:
      uint8 [height, width, channels].
    """
    depth = 4 if channels in (2, 4) else 3
    readers = [
        (_JPEG, 0, _jpeg_size, _decode_jpeg),
        (b"BM", 0, _bmp_size, _decode_bmp),
        (_PNG, 0, _png_size, _decode_png),
    ]
    if hasattr(tf.io, "decode_webp"):
        readers.append((b"WEBP", 8, _webp_size, _decode_webp))
    branches = [
        (_has(contents, signature, position), functools.partial(_decode_bounded, contents, *row))
        for signature, position, *row in ([*reader, depth] for reader in readers)
    ]
    pixels = tf.case(branches, default=_no_decoder)
    pixels = tf.ensure_shape(pixels, [None, None, depth])
    return pixels if channels >= 3 else _luma(pixels)


def decode_all(
    contents: tf.Tensor, names: tf.Tensor, height: int, width: int, channels: int
) -> tf.Tensor:
    """Decodes image files, crops them centrally and resizes them. Errors name unreadable images.

    Args:
      contents: Bytes of the files, string [N].
      names: Name of every file for the error message, string [N].
      height, width: Size of the result in pixels.
      channels: 1 to 4, as in `decode`.

    Returns:
      uint8 [N, height, width, channels].
    """

    def of_any_kind():
        return _one_by_one(
            lambda file: crop_and_resize(decode(file, channels), height, width),
            contents,
            names,
        )

    def of_one_kind(decoder):
        shape = tf.TensorSpec([height, width, channels], tf.uint8)
        fast = tf.data.Dataset.from_tensors(contents).map(
            lambda files: tf.map_fn(
                lambda file: tf.ensure_shape(decoder(file), shape.shape),
                files,
                fn_output_signature=shape,
            )
        )
        nothing = tf.data.Dataset.from_tensors(tf.zeros([0, *shape.shape], shape.dtype))
        pixels = fast.ignore_errors().concatenate(nothing).take(1).get_single_element()
        return tf.cond(tf.size(pixels) > 0, lambda: pixels, of_any_kind)

    def sized_jpeg(file):
        fits = tf.reduce_all(tf.image.extract_jpeg_shape(file)[:2] == [height, width])
        with tf.control_dependencies([tf.debugging.Assert(fits, ["another size"])]):
            return tf.io.decode_jpeg(tf.identity(file), 3, dct_method=JPEG_TRANSFORM)

    if channels != 3:
        return of_any_kind()
    # If all images have one format and the final size, as from `prepare`, they need no `decode`.
    size = struct.pack(_PNG_SIZE_FORM, width, height)
    is_png = _all_have(contents, _PNG, 0) & _all_have(contents, size, _PNG_SIZE)
    return tf.case(
        [
            (is_png, lambda: of_one_kind(lambda file: tf.io.decode_png(file, 3))),
            (_all_have(contents, _JPEG, 0), lambda: of_one_kind(sized_jpeg)),
        ],
        default=of_any_kind,
    )


def read_all(paths: tf.Tensor) -> tf.Tensor:
    """Returns the contents of files, string [N], for `decode_all`.

    If a file cannot be read, the error names it as an unreadable image.

    Args:
      paths: Paths of the files, string [N].
    """
    together = tf.data.Dataset.from_tensors(paths).map(
        lambda paths: tf.map_fn(tf.io.read_file, paths)
    )
    nothing = tf.data.Dataset.from_tensors(tf.zeros([0], tf.string))
    contents = together.ignore_errors().concatenate(nothing).take(1).get_single_element()
    return tf.cond(
        tf.size(contents) > 0,
        lambda: contents,
        lambda: _one_by_one(tf.io.read_file, paths, paths),
    )


def decode_named(encoded: tf.data.Dataset, name: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes an image so that the error of an unreadable image contains the image's name.

    Graph operations cannot catch an error, but a data set can drop the element that fails.

    Args:
      encoded: Data set with one element, the bytes of the file.
      name: Name of the image for the error message, a string scalar.
      channels: As in `decode`.

    Returns:
      uint8 [height, width, channels].
    """
    nothing = tf.data.Dataset.from_tensors(tf.zeros([0, 0, channels], tf.uint8))
    decoded = encoded.map(lambda contents: decode(contents, channels)).ignore_errors()
    pixels = decoded.concatenate(nothing).take(1).get_single_element()
    with tf.control_dependencies([require_readable(tf.size(pixels) > 0, name)]):
        return tf.identity(pixels)


def require_readable(readable: tf.Tensor, name: tf.Tensor) -> tf.Operation:
    """Returns an assertion that `readable` is true. Its error contains the image's name.

    `naming_unreadable` turns this error into one line.
    """
    return tf.debugging.Assert(readable, [tf.strings.join([f"{_UNREADABLE} <", name, ">"])])


@contextlib.contextmanager
def naming_unreadable():
    """Converts errors about unreadable images within a `with` block to a one-line ValueError."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(rf"{_UNREADABLE} <(.*?)>['\"\]]", error.message, re.DOTALL)
        if found is None:
            raise
        raise ValueError(
            f"Cannot read the image {found[1]!r}. Remove or replace it: an image must be"
            f" {READABLE}."
        ) from None


def from_grey(grey: tf.Tensor, channels: int) -> tf.Tensor:
    """Converts grey uint8 [height, width, 1] to [height, width, channels] with opaque alpha."""
    colour = grey if channels <= 2 else tf.repeat(grey, 3, axis=-1)
    return colour if channels in (1, 3) else _with_alpha(colour)


def crop_and_resize(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Crops an image centrally to the output's aspect ratio, then resizes it with antialiasing.

    An image that already has the size of the output is returned unchanged.

    Args:
      image: uint8 [H, W, C].

    Returns:
      uint8 [height, width, C].
    """
    shape = tf.shape(image)
    fits = tf.logical_and(shape[0] == height, shape[1] == width)
    image = tf.cond(
        fits, lambda: image, lambda: _resize(_central_crop(image, height, width), height, width)
    )
    return tf.ensure_shape(image, [height, width, image.shape[-1]])


def to_model_range(images: tf.Tensor) -> tf.Tensor:
    """Scales uint8 0..255 to float32 [-1, 1]: x / 127.5 - 1."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def flip_where(images: tf.Tensor, flips: tf.Tensor) -> tf.Tensor:
    """Flips image i of [N, H, W, C] horizontally if `flips[i]` is true. `flips` is bool [N]."""
    # TensorFlow is fast at mirroring tensors of rank 3 and at copying whole images.
    shape = tf.shape(images)
    rows = tf.reshape(images, [-1, shape[2], shape[3]])
    both = tf.concat([images, tf.reshape(tf.reverse(rows, [1]), shape)], 0)
    chosen = tf.range(shape[0]) + tf.where(flips, shape[0], 0)
    return tf.ensure_shape(tf.gather(both, chosen), images.shape)


def _has(contents: tf.Tensor, signature: bytes, position: int) -> tf.Tensor:
    return tf.strings.substr(contents, position, len(signature)) == signature


def _decode_bounded(contents: tf.Tensor, size_of_file, decoder, depth: int) -> tf.Tensor:
    """Decodes a file unless its header declares too many pixels."""
    height, width = size_of_file(contents)
    bounded = tf.debugging.Assert(height * width <= input_bounds.IMAGE_PIXELS, ["too many pixels"])
    with tf.control_dependencies([bounded]):
        return decoder(tf.identity(contents), depth)


def _no_decoder() -> tf.Tensor:
    unknown = tf.debugging.Assert(False, ["unknown format"])
    with tf.control_dependencies([unknown]):
        return tf.zeros([0, 0, 0], tf.uint8)


def _png_size(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    width, height = _PNG_SIZE, _PNG_SIZE + 4
    return _number(contents, height, 4, big=True), _number(contents, width, 4, big=True)


def _jpeg_size(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(contents, tf.int32))
    return tf.cast(height, tf.int64), tf.cast(width, tf.int64)


def _bmp_size(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # In files that begin with the top row, the height is negative, in two's complement.
    height, sign = _number(contents, 22, 4), tf.constant(1 << 31, tf.int64)
    return tf.where(height >= sign, 2 * sign - height, height), _number(contents, 18, 4)


def _webp_size(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (height, width) from the first chunk of an extended, lossless or lossy WebP file."""

    def canvas():
        return _number(contents, 27, 3) + 1, _number(contents, 24, 3) + 1

    def lossless():
        bits = _number(contents, 21, 4)
        return bits // _WEBP_SIDE % _WEBP_SIDE + 1, bits % _WEBP_SIDE + 1

    def lossy():
        return (
            _number(contents, 28, 2) % _WEBP_SIDE,
            _number(contents, 26, 2) % _WEBP_SIDE,
        )

    kinds = [
        (_has(contents, _WEBP_EXTENDED, _WEBP_KIND), canvas),
        (_has(contents, _WEBP_LOSSLESS, _WEBP_KIND), lossless),
    ]
    return tf.case(kinds, default=lossy)


def _number(contents: tf.Tensor, position: int, length: int, big: bool = False) -> tf.Tensor:
    """Returns an unsigned number in a file's header as int64."""
    digits = tf.io.decode_raw(tf.strings.substr(contents, position, length), tf.uint8)
    places = reversed(range(length)) if big else range(length)
    powers = tf.constant([256**place for place in places], tf.int64)
    return tf.reduce_sum(tf.cast(digits, tf.int64) * powers)


def _decode_png(contents: tf.Tensor, depth: int) -> tf.Tensor:
    if depth == 3:
        return tf.io.decode_png(contents, channels=3)
    # If alpha is requested, TensorFlow fills it with 1, 3 or 15 in files of 1, 2 or 4 bits without
    # alpha. If no number of channels is requested, palettes give 3 channels, or 4 with alpha.
    return tf.cond(
        _has(contents, _PALETTE, _PNG_COLOUR),
        lambda: _to_depth(tf.io.decode_png(contents, channels=0), depth),
        lambda: _grey_or_colour_png(contents, depth),
    )


def _grey_or_colour_png(contents: tf.Tensor, depth: int) -> tf.Tensor:
    pixels = tf.io.decode_png(contents, channels=depth)
    bits = tf.io.decode_raw(tf.strings.substr(contents, _PNG_DEPTH, 1), tf.uint8)[0]
    opaque = tf.constant(_OPAQUE, tf.uint8)
    # In files with fewer than 8 bits, real alpha is 0 or 255, so every other value is a filler.
    alpha = tf.where(tf.logical_and(bits < 8, pixels[..., 3:] > 0), opaque, pixels[..., 3:])
    return tf.concat([pixels[..., :3], alpha], -1)


def _decode_jpeg(contents: tf.Tensor, depth: int) -> tf.Tensor:
    pixels = tf.io.decode_jpeg(contents, channels=3, dct_method=JPEG_TRANSFORM)
    return _to_depth(pixels, depth)


def _decode_webp(contents: tf.Tensor, depth: int) -> tf.Tensor:
    # For some animations, TensorFlow's decoder writes past its buffer, so it gets no animations.
    extended = _has(contents, _WEBP_EXTENDED, _WEBP_KIND)
    flags = tf.io.decode_raw(tf.strings.substr(contents, 20, 1), tf.uint8)[0]
    animated = tf.logical_and(extended, tf.bitwise.bitwise_and(flags, _WEBP_ANIMATION_BIT) > 0)
    still = tf.debugging.Assert(tf.logical_not(animated), ["animated WebP"])
    with tf.control_dependencies([still]):
        return _to_depth(tf.io.decode_webp(contents, channels=0)[0], depth)


def _decode_bmp(contents: tf.Tensor, depth: int) -> tf.Tensor:
    return _to_depth(tf.io.decode_bmp(contents, channels=0), depth)


def _to_depth(pixels: tf.Tensor, depth: int) -> tf.Tensor:
    """Converts an image with 1, 3 or 4 channels to `depth` channels, 3 or 4.

    The number of channels of the image is known only when the graph runs.
    """
    stored = tf.shape(pixels)[-1]
    pixels = tf.cond(stored == 1, lambda: tf.repeat(pixels, 3, axis=-1), lambda: pixels)
    pixels = tf.cond(stored == 4, lambda: pixels, lambda: _with_alpha(pixels))
    return pixels[..., :depth]


def _with_alpha(colour: tf.Tensor) -> tf.Tensor:
    opaque = tf.fill(tf.shape(colour[..., :1]), tf.constant(_OPAQUE, tf.uint8))
    return tf.concat([colour, opaque], -1)


def _luma(pixels: tf.Tensor) -> tf.Tensor:
    weighted = tf.cast(pixels[..., :3], tf.int32) * tf.constant(_LUMA_WEIGHTS)
    half = 1 << 15
    luma = tf.bitwise.right_shift(tf.reduce_sum(weighted, -1, keepdims=True) + half, 16)
    return tf.concat([tf.cast(luma, tf.uint8), pixels[..., 3:]], -1)


def _central_crop(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    stored = tf.shape(image)[:2]
    scale = tf.reduce_min(tf.cast(stored, tf.float64) / tf.constant([height, width], tf.float64))
    fitted = tf.cast(tf.round(tf.constant([height, width], tf.float64) * scale), tf.int32)
    kept = tf.clip_by_value(fitted, 1, stored)
    # Halves are rounded to even numbers, as in Python, so the published code has the same margins.
    start = tf.cast(tf.round(tf.cast(stored - kept, tf.float64) / 2), tf.int32)
    return image[start[0] : start[0] + kept[0], start[1] : start[1] + kept[1]]


def _resize(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    resized = tf.image.resize(image, (height, width), method="bilinear", antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def _one_by_one(function, files, names) -> tf.Tensor:
    """Returns the results of a function for all files. The error names the first bad file."""
    numbered = tf.data.Dataset.from_tensor_slices(files).enumerate()
    results = numbered.map(lambda number, file: (number, function(file))).ignore_errors()
    spec = results.element_spec[1]
    # The last element is a filler, because a data set without elements cannot be batched.
    filler = (tf.constant(-1, tf.int64), tf.zeros(spec.shape, spec.dtype))
    padded = results.concatenate(tf.data.Dataset.from_tensors(filler))
    numbers, pixels = padded.batch(tf.size(files, tf.int64) + 1).get_single_element()
    # The first place whose result has another number is the number of the first file that failed.
    places = tf.range(tf.size(numbers, tf.int64))
    first = tf.argmax(tf.cast(numbers != places, tf.int32))
    readable = first == tf.size(files, tf.int64)
    name = names[tf.minimum(first, tf.size(files, tf.int64) - 1)]
    with tf.control_dependencies([require_readable(readable, name)]):
        return tf.identity(pixels[:-1])


def _all_have(contents: tf.Tensor, signature: bytes, position: int) -> tf.Tensor:
    long_enough = tf.reduce_all(tf.strings.length(contents) >= position + len(signature))
    return tf.cond(
        long_enough,
        lambda: tf.reduce_all(tf.strings.substr(contents, position, len(signature)) == signature),
        lambda: tf.constant(False),
    )
