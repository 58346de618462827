"""Augmentation of the images that the discriminator sees, real and generated ones alike.

An augmentation is a function `augment(images, seeds)` of images [N, H, W, C] in [-1, 1] and of one
seed [2] (int32) per image. It returns images of the same shape and dtype. It must be differentiable
in the images, draw nothing but from the seeds, and treat each image by itself: then a run does not
depend on the number of replicas, and resumes exactly. Numbers from the seeds are drawn by
`tf_biggan.generation.latents.uniform_for_each`.
"""

from __future__ import annotations

from collections.abc import Callable

from tf_biggan.cli.settings import load_object


def get_augmentation(name: str | None) -> Callable | None:
    """Returns a function of the user's own module; None if there is no augmentation.

    Args:
      name: MODULE:ATTRIBUTE or None.

    Raises:
      ValueError: There is no such function.
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
