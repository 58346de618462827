"""Decodes many images in one call and names the one that cannot be read.

A graph operation cannot catch an error, but a data set can drop the element that fails. Opening a
data set takes longer than decoding a small image, so there is one for many images.
"""

from __future__ import annotations

import struct

import tensorflow as tf

from tf_biggan.data import decoding

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
# Width and height in the header of a PNG file.
_PNG_SIZE, _PNG_SIZE_FORM = 16, ">II"


def decode_all(
    contents: tf.Tensor, names: tf.Tensor, height: int, width: int, channels: int
) -> tf.Tensor:
    """Decodes image files, crops them centrally and resizes them, as `decoding` describes.

    Args:
      contents: Bytes of the files, string [N].
      names: Name of every file for the error, string [N].
      height, width: Size of the result in pixels.
      channels: 1 to 4, as in `decoding.decode`.

    Returns:
      uint8 [N, height, width, channels].
    """

    def of_any_kind():
        return _one_by_one(
            lambda file: decoding.crop_and_resize(decoding.decode(file, channels), height, width),
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
            return tf.io.decode_jpeg(tf.identity(file), 3, dct_method=decoding.JPEG_TRANSFORM)

    if channels != 3:
        return of_any_kind()
    # Prepared images have one format and the final size, and need none of the other checks.
    size = struct.pack(_PNG_SIZE_FORM, width, height)
    is_png = _all_have(contents, _PNG, 0) & _all_have(contents, size, _PNG_SIZE)
    return tf.case(
        [
            (is_png, lambda: of_one_kind(lambda file: tf.io.decode_png(file, 3))),
            (_all_have(contents, _JPEG, 0), lambda: of_one_kind(sized_jpeg)),
        ],
        default=of_any_kind,
    )


def _one_by_one(function, files, names) -> tf.Tensor:
    """Returns the results of a function for every file; the error names the first that fails."""
    numbered = tf.data.Dataset.from_tensor_slices(files).enumerate()
    results = numbered.map(lambda number, file: (number, function(file))).ignore_errors()
    spec = results.element_spec[1]
    # The last element is a filler, because a data set without elements cannot be batched.
    filler = (tf.constant(-1, tf.int64), tf.zeros(spec.shape, spec.dtype))
    padded = results.concatenate(tf.data.Dataset.from_tensors(filler))
    numbers, pixels = padded.batch(tf.size(files, tf.int64) + 1).get_single_element()
    # The first number that is not its own place follows a file that failed.
    places = tf.range(tf.size(numbers, tf.int64))
    first = tf.argmax(tf.cast(numbers != places, tf.int32))
    readable = first == tf.size(files, tf.int64)
    name = names[tf.minimum(first, tf.size(files, tf.int64) - 1)]
    with tf.control_dependencies([decoding.require_readable(readable, name)]):
        return tf.identity(pixels[:-1])


def _all_have(contents: tf.Tensor, signature: bytes, position: int) -> tf.Tensor:
    long_enough = tf.reduce_all(tf.strings.length(contents) >= position + len(signature))
    return tf.cond(
        long_enough,
        lambda: tf.reduce_all(tf.strings.substr(contents, position, len(signature)) == signature),
        lambda: tf.constant(False),
    )
