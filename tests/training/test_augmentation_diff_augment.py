"""DiffAugment against loops over pixels, in finite differences, and under XLA."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.training import augmentation

SHAPES = [(8, 8, 3), (7, 12, 1), (5, 6, 4)]
ALL = "color,translation,cutout,flip"


def color_by_loops(image, numbers):
    image = image + (numbers[0] - 0.5)
    result = np.empty_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            grey = sum(image[row, column]) / image.shape[2]
            result[row, column] = grey + (image[row, column] - grey) * (2 * numbers[1])
    mean = result.sum() / result.size
    return mean + (result - mean) * (0.5 + numbers[2])


def translation_by_loops(image, numbers):
    limits = [int(side / 8 + 0.5) for side in image.shape[:2]]
    shifts = [int(n * (2 * limit + 1)) - limit for n, limit in zip(numbers, limits, strict=True)]
    result = np.zeros_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            to_row, to_column = row + shifts[0], column + shifts[1]
            if 0 <= to_row < image.shape[0] and 0 <= to_column < image.shape[1]:
                result[to_row, to_column] = image[row, column]
    return result


def cutout_by_loops(image, numbers):
    result = image.copy()
    ranges = []
    for number, side in zip(numbers, image.shape[:2], strict=True):
        length = int(side / 2 + 0.5)
        centre = int(number * (side + (1 if length % 2 == 0 else 0)))
        ranges.append(range(centre - length // 2, centre - length // 2 + length))
    for row in ranges[0]:
        for column in ranges[1]:
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                result[row, column] = 0
    return result


def flip_by_loops(image, numbers):
    return np.stack([row[::-1] for row in image]) if numbers[0] < 0.5 else image


BY_LOOPS = {
    "color": color_by_loops,
    "translation": translation_by_loops,
    "cutout": cutout_by_loops,
    "flip": flip_by_loops,
}


def images_of(shape, count=6, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, (count, *shape))


def seeds_of(count, first=0):
    return tf.stack([tf.range(first, first + count), tf.range(count) * 7 + 3], axis=1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", augmentation.AUGMENTATIONS)
def test_augmentations_are_those_of_loops_over_pixels(name, shape):
    function, count = augmentation.AUGMENTATIONS[name]
    numbers = np.random.RandomState(1).uniform(size=(6, count))
    numbers[0], numbers[1] = 0.0, 1 - 2.0**-24  # the smallest and the largest that are drawn
    images = images_of(shape)
    augmented = function(tf.constant(images), tf.constant(numbers))
    expected = [BY_LOOPS[name](*pair) for pair in zip(images, numbers, strict=True)]
    np.testing.assert_allclose(augmented, expected, rtol=0, atol=1e-12)


def test_a_pixel_by_hand():
    """Brightness + 0.25, saturation x 1.5; the contrast x 1.25 is about the mean of the image."""
    image = tf.constant([[[[0.0, 0.3, 0.6], [0.0, 0.0, 0.0]]]])
    augmented = augmentation.change_color(image, tf.constant([[0.75, 0.75, 0.75]]))
    # After brightness: 0.25 0.55 0.85 | 0.25; after saturation about 0.55: 0.1 0.55 1.0 | 0.25.
    # The mean of all six is 0.4.
    expected = [[0.4 - 0.375, 0.4 + 0.1875, 0.4 + 0.75], [0.4 - 0.1875] * 3]
    np.testing.assert_allclose(augmented[0, 0], expected, atol=1e-6)


def test_all_shifts_and_holes_of_the_paper_occur_equally_often():
    count = 3000
    numbers = tf.random.stateless_uniform((count, 2), (1, 2))
    ramp = tf.tile(tf.range(1.0, 17.0)[None, :, None, None], (count, 1, 16, 1))
    # The row in the middle tells the shift: up to 2 of 16 pixels.
    middles = augmentation.translate(ramp, numbers)[:, 8].numpy().max(axis=(1, 2))
    values, counts = np.unique(middles, return_counts=True)
    np.testing.assert_array_equal(values, [7, 8, 9, 10, 11])
    assert np.abs(counts / count - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / count)
    holes = 1 - augmentation.cut_out(tf.ones((count, 16, 16, 1)), numbers).numpy()
    rows = holes.max(axis=(2, 3)).sum(axis=1)
    # 17 centres of a hole of 8 rows: 9 are whole, the others lose up to 4 rows at one border.
    np.testing.assert_array_equal(np.unique(rows), [4, 5, 6, 7, 8])
    assert abs(np.mean(rows == 8) - 9 / 17) < 5 * np.sqrt(0.25 / count)


@pytest.mark.parametrize("names", [*augmentation.AUGMENTATIONS, ALL])
def test_gradients_in_finite_differences(names):
    images = tf.constant(images_of((8, 8, 3)))
    seeds, random = seeds_of(6), np.random.RandomState(2)
    weights, direction = (tf.constant(random.standard_normal(images.shape)) for _ in range(2))

    def value(x):
        return tf.reduce_sum(weights * augmentation.augment(x, seeds, names))

    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = value(images)
    slope = tf.reduce_sum(tape.gradient(loss, images) * direction)
    # The functions are linear up to a constant, so a large step is exact.
    difference = (value(images + direction) - value(images - direction)) / 2
    np.testing.assert_allclose(slope, difference, rtol=1e-9)


def test_an_image_depends_on_its_own_seed_alone_and_keeps_its_dtype():
    images, seeds = images_of((8, 8, 3)), seeds_of(6)
    whole = augmentation.augment(tf.constant(images, tf.float32), seeds, ALL)
    assert whole.dtype == tf.float32
    for index in range(6):
        part = slice(index, index + 1)
        alone = augmentation.augment(tf.constant(images[part], tf.float32), seeds[part], ALL)
        np.testing.assert_allclose(alone[0], whole[index], atol=1e-6)
    same = augmentation.augment(tf.tile(tf.constant(images[:1]), (6, 1, 1, 1)), seeds, ALL)
    assert len(np.unique(same.numpy().reshape(6, -1), axis=0)) == 6


def test_xla_compiles_images_and_gradients_of_all_augmentations():
    images, seeds = tf.constant(images_of((8, 8, 3)), tf.float32), seeds_of(6)

    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = augmentation.augment(x, seeds, ALL)
            loss = tf.reduce_sum(made**2)
        return made, tape.gradient(loss, x)

    compiled = tf.function(both, jit_compile=True)(images)
    for actual, expected in zip(compiled, both(images), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_the_largest_number_is_below_every_count_in_float32():
    counts = np.arange(1, 2000, dtype="float32")
    integers = augmentation._integers(tf.constant(1 - 2.0**-24, tf.float32), counts)
    np.testing.assert_array_equal(integers, counts - 1)
