"""Checks the user's own loss and augmentation functions before a run starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_biggan.cli.settings import is_object_name, one_line_reason
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.generation.latents import FAKE_SEEDS, augmentation_seeds
from tf_biggan.store.run_directory import image_size_from
from tf_biggan.training.augmentation import get_augmentation
from tf_biggan.training.losses import get_loss

NUM_IMAGES = 3
# Logits of both signs, small and large, and 0.
LOGITS = (-10.0, -1.5, -0.5, 0.0, 0.25, 1.0, 10.0)

AUGMENT = "augment(images, seeds)"


class UnusableError(Exception):
    """A user's function cannot be used. The message is one line without a full stop."""


def check_loss(name: str, dtype: str = "float32") -> None:
    """Checks a loss of the user's own module; the losses of this package need no check.

    The loss's functions `discriminator` and `generator` must work in a graph and return one value
    for every logit. These values and their gradients must be finite, and no gradient may be 0 for
    all logits.

    Args:
      name: Name of the loss; see `tf_biggan.training.losses.get_loss`.
      dtype: The dtype of the logits.

    Raises:
      ValueError: The loss cannot be used. The message is one line.
    """
    if not is_object_name(name):
        return
    loss, logits = get_loss(name), tf.constant(LOGITS, dtype)
    try:
        _check_function("discriminator", loss.discriminator, {"real": logits, "fake": -logits}, 2)
        _check_function("generator", loss.generator, {"fake": logits}, 1)
    except UnusableError as error:
        raise ValueError(f"Cannot use --loss={name}: {error}.") from error


def check_augmentation(name: str | None, shape: tuple[int, int, int], dtype="float32") -> None:
    """Checks a user's augmentation function; `tf_biggan.training.augmentation` has its rules.

    Args:
      name: MODULE:ATTRIBUTE of the function; None if there is none to check.
      shape: (height, width, channels) of the images.
      dtype: The dtype of the images.

    Raises:
      ValueError: The function cannot be used. The message is one line.
    """
    augment = get_augmentation(name)
    if augment is None:
        return
    images = tf.random.stateless_uniform((NUM_IMAGES, *shape), (0, 0), -1, 1, dtype)
    seeds = augmentation_seeds(0, 0, NUM_IMAGES, FAKE_SEEDS)
    try:
        _check_augment(lambda some: augment(some, seeds), images)
        _check_repeatable(augment, images, seeds)
    except UnusableError as error:
        raise ValueError(f"Cannot use --augmentation={name}: {error}.") from error


def check_custom_functions(config: TrainConfig) -> None:
    """Checks a user's own loss and augmentation with the image size and precision of a run.

    Raises:
      ValueError: The loss or the augmentation cannot be used.
    """
    model, dtype = config.model, wide_dtype_of(config.model.precision)
    shape = (*image_size_from(model), model.image_channels)
    check_loss(config.step.loss, dtype)
    check_augmentation(config.step.augmentation, shape, dtype)


def _check_augment(function, images) -> None:
    outputs, (gradient,) = _differentiated(AUGMENT, function, [images])
    made = tf.nest.flatten(outputs)
    if [_kind(image) for image in made] != [_kind(images)]:
        returned = ", ".join(map(_kind, made)) or "nothing"
        raise UnusableError(f"{AUGMENT} must return images {_kind(images)}, but returns {returned}")
    _require_finite(AUGMENT, made)
    _require_gradient(f"{AUGMENT} with respect to images", gradient)


def _check_repeatable(augment, images, seeds) -> None:
    whole, again = (_called(AUGMENT, augment, images, seeds) for _ in range(2))
    if not np.array_equal(whole, again):
        raise UnusableError(
            f"{AUGMENT} must return equal images for equal seeds; take random numbers from"
            " tf_biggan.generation.latents.uniform_for_each(seeds)"
        )
    alone = _called(AUGMENT, augment, images[:1], seeds[:1])
    if not np.allclose(alone, whole[:1], rtol=1e-4, atol=1e-4):
        raise UnusableError(
            f"{AUGMENT} must treat each image by itself, but the result of an image depends"
            " on the other images of its batch"
        )


def wide_dtype_of(precision: str) -> str:
    """Returns the dtype of images and logits in a run with this `precision`."""
    return "float64" if precision == "float64" else "float32"


def _check_function(name, function, arguments, num_losses) -> None:
    call, inputs = f"{name}({', '.join(arguments)})", list(arguments.values())
    outputs, gradients = _differentiated(call, function, inputs)
    losses = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
    if [_kind(loss) for loss in losses] != [_kind(inputs[0])] * num_losses:
        number = {1: "one loss", 2: "two losses"}[num_losses]
        returned = ", ".join(map(_kind, losses)) or "nothing"
        raise UnusableError(
            f"for logits {_kind(inputs[0])}, {call} must return {number} of the same dtype"
            f" and shape, but returns {returned}"
        )
    _require_finite(call, losses)
    for argument, gradient in zip(arguments, gradients, strict=True):
        _require_gradient(f"{call} with respect to {argument}", gradient)


def _kind(tensor: tf.Tensor) -> str:
    return f"{tensor.dtype.name} {list(tensor.shape)}"


def _differentiated(call: str, function: Callable, inputs: Sequence[tf.Tensor]):
    """Returns the outputs of a function, and the gradients of a weighted sum of the outputs.

    A gradient is None if the outputs do not depend on that input.

    Raises:
      UnusableError: The function fails when it is called, or while it is traced for a graph.
    """
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = _called(call, function, *inputs)
        # The sum is weighted, because the plain sum of an output may be constant.
        sums = [
            tf.reduce_sum(x * tf.random.stateless_uniform(x.shape, (1, 2), 0.5, 1.5, x.dtype))
            for x in tf.nest.flatten(outputs)
            if x.dtype.is_floating
        ]
    graph = tf.function(function)
    _called(call, graph.get_concrete_function, *[tf.TensorSpec(x.shape, x.dtype) for x in inputs])
    return outputs, tape.gradient(sums, list(inputs)) if sums else [None] * len(inputs)


def _called(call: str, function: Callable, *arguments):
    try:
        made = function(*arguments)
        # The result of tracing is a function and not a tensor.
        return made if callable(made) else tf.nest.map_structure(tf.convert_to_tensor, made)
    except Exception as error:
        raise UnusableError(f"{call} fails with {one_line_reason(error)}") from error


def _require_finite(call: str, outputs: Sequence[tf.Tensor]) -> None:
    """Raises UnusableError unless every output is finite."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise UnusableError(f"{call} must return finite numbers")


def _require_gradient(call: str, gradient: tf.Tensor | None) -> None:
    """Raises UnusableError unless a gradient is finite, and not 0 everywhere."""
    if gradient is None or not np.any(gradient):
        raise UnusableError(f"the gradient of {call} is 0 everywhere, so that nothing is trained")
    if not np.isfinite(gradient).all():
        raise UnusableError(f"the gradient of {call} must be finite")
