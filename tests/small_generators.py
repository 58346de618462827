"""Small generators that several tests use: with varied statistics, and behind a signature."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path


def varied_generator(num_classes: int, num_statistics: int = 3) -> Generator:
    """Returns a generator whose images have a wide spread and differ between truncations."""
    made = Generator(
        "biggan32",
        num_classes,
        base_channels=2,
        latent_dim=8,
        image_channels=1,
        num_statistics=num_statistics,
        initializer="n02",
        seed=0,
    )
    made.output_norm.gain.assign(30.0 * np.asarray(made.output_norm.gain))
    random = np.random.RandomState(0)
    for path, variable in variables_by_path(made).items():
        if path.endswith(("moving_mean", "moving_variance")):
            factors = 1 + 0.3 * random.uniform(size=variable.shape)
            variable.assign(factors * (np.asarray(variable) + 0.01))
    return made


def save_module(generator: Generator, path: str, images, truncation_shape=()) -> None:
    """Writes a SavedModel with the one signature of DeepMind's modules.

    Args:
      generator: Its variables are saved.
      path: Folder to write.
      images: Function of z, y and truncation that returns images.
      truncation_shape: () for one truncation of a batch, None for any shape.
    """
    module = tf.Module()
    module.held = [variable.value for variable in generator.variables]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, generator.latent_dim], tf.float32, "z"),
            tf.TensorSpec([None, generator.num_classes], tf.float32, "y"),
            tf.TensorSpec(truncation_shape, tf.float32, "truncation"),
        ]
    )
    def default(z, y, truncation):
        return {"default": images(z, y, truncation)}

    module.default = default
    tf.saved_model.save(module, path, signatures={"default": default})
