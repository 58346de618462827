"""Many images decoded in one call: the pixels of single decoding, and the name of a bad file."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.test_decoding import encoded, smooth
from tf_biggan.data import decoding
from tf_biggan.data.decoding import decode_all

NAMES = tf.constant([f"image {number}" for number in range(5)])
FILES = {
    "png": [encoded(smooth(12, 16), "PNG") for _ in range(5)],
    "jpeg": [encoded(smooth(12, 16), "JPEG") for _ in range(5)],
    "jpegs of two sizes": [encoded(smooth(12 + side, 16), "JPEG") for side in range(5)],
    "pngs of two sizes": [encoded(smooth(12 + side, 16), "PNG") for side in range(5)],
    "mixed": [encoded(smooth(12, 16), form) for form in ("PNG", "JPEG", "BMP", "PNG", "JPEG")],
}


@tf.function(reduce_retracing=True)
def decoded(files, channels=3):
    return decode_all(files, NAMES, 12, 16, channels)


@pytest.mark.parametrize("kind", FILES)
def test_pixels_are_those_of_single_images(kind):
    singles = [
        decoding.crop_and_resize(decoding.decode(tf.constant(file), 3), 12, 16)
        for file in FILES[kind]
    ]
    np.testing.assert_array_equal(decoded(tf.constant(FILES[kind])), np.stack(singles))


def test_other_numbers_of_channels():
    singles = [decoding.decode(tf.constant(file), 1) for file in FILES["png"]]
    np.testing.assert_array_equal(decoded(tf.constant(FILES["png"]), 1), np.stack(singles))


@pytest.mark.parametrize("damaged", [0, 2, 4])
@pytest.mark.parametrize("kind", ["png", "jpeg", "mixed"])
def test_the_first_unreadable_image_is_named(kind, damaged):
    files = list(FILES[kind])
    files[damaged] = files[damaged][: len(files[damaged]) // 2]
    files[-1] = b""
    with pytest.raises(ValueError, match=f"Cannot read the image 'image {damaged}'"):
        with decoding.naming_unreadable():
            decoded(tf.constant(files))
