"""An image file as a model's image, with the preprocessing of training."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.data import images

GREY_CHANNELS, COLOUR_CHANNELS = (1, 2), 3


def read_target(path: str, image_size: tuple[int, int], channels: int) -> tuple[np.ndarray, str]:
    """The pixels of a file, cropped and resized, and a line that says what was done.

    Returns:
      (uint8 [height, width, channels], the line).

    Raises:
      ValueError: it is no complete JPEG, PNG, BMP or WebP file, or its name is no UTF-8.
    """
    checks.require_utf8(path)
    checks.require_existing("image", path, "a JPEG, PNG, BMP or WebP file")
    checks.require(os.path.isfile(path), "`image` must be a file", image=path)
    with open(path, "rb") as file:
        contents = tf.data.Dataset.from_tensors(file.read())
    with images.naming_unreadable():
        pixels = images.decode_named(contents, tf.constant(path), channels)
        colour = images.decode_named(contents, tf.constant(path), COLOUR_CHANNELS).numpy()
    made = images.crop_and_resize(pixels, *image_size).numpy()
    return made, f"{path}: {_done(colour, image_size, channels)}"


def _done(colour: np.ndarray, image_size, channels) -> str:
    height, width = colour.shape[:2]
    steps = [f"{width}x{height}"]
    if width * image_size[0] != height * image_size[1]:
        steps.append("cropped to its centre")
    if (height, width) != tuple(image_size):
        steps.append(f"resized to {image_size[1]}x{image_size[0]}")
    was_grey = bool(np.all(colour == colour[..., :1]))
    if channels in GREY_CHANNELS and not was_grey:
        steps.append("made grey")
    if channels not in GREY_CHANNELS and was_grey:
        steps.append("grey in all channels")
    return ", ".join(steps)
