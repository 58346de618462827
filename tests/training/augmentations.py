"""Augmentations for tests, which name them tests.training.augmentations:NAME."""

import tensorflow as tf

from tf_biggan.generation.latents import uniform_for_each


def identity(images, seeds):
    return images


def stopped(images, seeds):
    return tf.stop_gradient(images)


def shifted(images, seeds):
    """Adds a random number to each channel of each image."""
    return images + tf.cast(uniform_for_each(seeds, (1, 1, 3)), images.dtype)
