"""Augmentation of the images that the discriminator sees, both real and generated images.

A user's own augmentation is a function `augment(images, seeds)`. It takes images [N, H, W, C] in
[-1, 1] and seeds [N, 2] (int32, one row for each image), and returns images of the same shape and
dtype. The function must be differentiable with respect to the images and treat each image by
itself. It must compute all random numbers from the seeds, for example with
`tf_biggan.generation.latents.uniform_for_each`. Runs with such a function do not depend on the
number of replicas, and resume exactly.

The augmentations of this module are differentiable, too: random colour, translation and cutout (as
in DiffAugment), and mirroring. Each function takes images [N, H, W, C] and K random numbers for
each image: [N, K], from 0 to below 1. All shapes are static, so that XLA can compile the functions.

Source: Zhao, Liu, Lin, Zhu, Han, "Differentiable Augmentation for Data-Efficient GAN Training",
NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tf_biggan.cli.settings import load_object
from tf_biggan.generation.latents import uniform_for_each

# Largest shift, and the side of the square that is cut out, as fractions of the image's side.
SHIFT_RATIO = 1 / 8
CUTOUT_RATIO = 1 / 2


def get_augmentation(name: str | None) -> Callable | None:
    """Returns the augmentation function of the user's own module; None if `name` is None.

    Args:
      name: MODULE:ATTRIBUTE or None.

    Raises:
      ValueError: The user's module cannot be imported, or has no function with this name.
    """
    if name is None:
        return None
    function = load_object(name, "augmentation")
    if not callable(function):
        raise ValueError(
            f"Cannot use --augmentation={name}: it is not a function. Name a function"
            " augment(images, seeds)."
        )
    return function


def augment(images: tf.Tensor, seeds: tf.Tensor, names: str) -> tf.Tensor:
    """Returns images with augmentations applied in the order of their names.

    Args:
      images: Images [N, H, W, C] in [-1, 1], float32 or float64. Results may exceed this range.
      seeds: One seed for each image, int32 [N, 2].
      names: Keys of `AUGMENTATIONS`, separated by commas, each at most once.
    """
    columns = tf.split(uniform_for_each(seeds, (sum(_COUNTS),)), _COUNTS, axis=1)
    numbers = dict(zip(AUGMENTATIONS, columns, strict=True))
    for name in names.split(","):
        function, _ = AUGMENTATIONS[name]
        images = function(images, tf.cast(numbers[name], images.dtype))
    return images


def change_color(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Returns images with random brightness, saturation and contrast, changed in this order.

    Brightness: a number from -0.5 to 0.5 is added. Saturation: the difference of each channel from
    the mean of its pixel is multiplied by a number from 0 to 2. This does not change images with
    one channel. Contrast: the difference of each value from the mean of its image is multiplied by
    a number from 0.5 to 1.5.
    """
    brightness, saturation, contrast = tf.unstack(numbers[:, :, None, None, None], axis=1)
    images += brightness - 0.5
    images = _scaled_about_mean(images, 2.0 * saturation, axes=[3])
    return _scaled_about_mean(images, contrast + 0.5, axes=[1, 2, 3])


def _scaled_about_mean(images, factors, axes):
    mean = tf.reduce_mean(images, axis=axes, keepdims=True)
    return (images - mean) * factors + mean


def translate(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Returns images shifted by whole pixels, by up to 1/8 of each side. Uncovered pixels are 0."""
    height, width, channels = images.shape[1:]
    down, right = (
        _integers(numbers[:, axis], 2 * limit + 1) - limit
        for axis, limit in enumerate(_rounded(side * SHIFT_RATIO) for side in (height, width))
    )
    rows, columns = (
        tf.range(side) - shift[:, None] for side, shift in ((height, down), (width, right))
    )
    inside = _is_inside(rows, height)[:, :, None] & _is_inside(columns, width)[:, None, :]
    places = (
        tf.clip_by_value(rows, 0, height - 1)[:, :, None] * width
        + tf.clip_by_value(columns, 0, width - 1)[:, None, :]
    )
    flat = tf.reshape(images, (-1, height * width, channels))
    moved = tf.gather(flat, tf.reshape(places, (-1, height * width)), axis=1, batch_dims=1)
    moved = tf.reshape(moved, (-1, height, width, channels))
    return moved * tf.cast(inside, images.dtype)[..., None]


def cut_out(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Returns images in which a rectangle of half the height and half the width is 0.

    The centre of the rectangle is anywhere in the image, so that a part of it may lie outside.
    """
    inside = []
    for axis, side in enumerate(images.shape[1:3]):
        length = _rounded(side * CUTOUT_RATIO)
        # A square of even length has no middle pixel. One more place for its centre treats both
        # borders of the image alike.
        centre = _integers(numbers[:, axis], side + 1 - length % 2)
        inside.append(_is_inside(tf.range(side) - (centre - length // 2)[:, None], length))
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return images * tf.cast(~hole, images.dtype)[..., None]


def flip(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Returns images, each of which is mirrored horizontally with probability 1/2."""
    return tf.where(numbers[:, :, None, None] < 0.5, images[:, :, ::-1], images)


def _integers(numbers, count):
    """Returns integers (int32) from 0 to count - 1 for numbers from 0 to below 1."""
    return tf.cast(tf.floor(numbers * count), tf.int32)


def _is_inside(places, side):
    return (places >= 0) & (places < side)


def _rounded(length: float) -> int:
    return int(length + 0.5)


# Function of each augmentation, and how many random numbers it takes for each image.
AUGMENTATIONS: dict[str, tuple[Callable[[tf.Tensor, tf.Tensor], tf.Tensor], int]] = {
    "color": (change_color, 3),
    "translation": (translate, 2),
    "cutout": (cut_out, 2),
    "flip": (flip, 1),
}
_COUNTS = [count for _, count in AUGMENTATIONS.values()]
