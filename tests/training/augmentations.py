"""Augmentations that tests name as tests.training.augmentations:NAME."""

import tensorflow as tf

from tf_biggan.generation.latents import uniform_for_each


def identity(images, seeds):
    return images


def stopped(images, seeds):
    return tf.stop_gradient(images)


def shifted(images, seeds):
    """Adds a number of its own to every channel of every image."""
    return images + tf.cast(uniform_for_each(seeds, (1, 1, 3)), images.dtype)
