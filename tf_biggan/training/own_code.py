"""Checks of the user's own loss, before a run does anything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_biggan.losses import get_loss
from tf_biggan.named_objects import is_object_name, reason

# Logits of both signs, small and large, and 0.
LOGITS = (-10.0, -1.5, -0.5, 0.0, 0.25, 1.0, 10.0)


class UnusableError(Exception):
    """What is wrong with a function of the user, in one line without a full stop."""


def check_loss(name: str, dtype: str = "float32") -> None:
    """Checks a loss that is not of `tf_biggan.losses.LOSSES`.

    Both functions must work in a graph and return a loss for every logit. Losses and gradients must
    be finite.

    Args:
      name: As for `tf_biggan.losses.get_loss`.
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


def logits_dtype(precision: str) -> str:
    """Returns the dtype of the logits of a run with that `precision`."""
    return "float64" if precision == "float64" else "float32"


def _check_function(name, function, arguments, num_losses) -> None:
    said, inputs = f"{name}({', '.join(arguments)})", list(arguments.values())
    outputs, gradients = _differentiated(said, function, inputs)
    losses = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
    if [_kind(loss) for loss in losses] != [_kind(inputs[0])] * num_losses:
        number = {1: "one loss", 2: "two losses"}[num_losses]
        returned = ", ".join(map(_kind, losses)) or "nothing"
        raise UnusableError(
            f"for logits of {_kind(inputs[0])}, {said} must return {number} of the same dtype and"
            f" shape, and returns {returned}"
        )
    _require_finite(said, losses)
    for argument, gradient in zip(arguments, gradients, strict=True):
        _require_gradient(f"{said} by {argument}", gradient)


def _kind(tensor: tf.Tensor) -> str:
    return f"{tensor.dtype.name} {list(tensor.shape)}"


def _differentiated(said: str, function: Callable, inputs: Sequence[tf.Tensor]):
    """Returns the outputs of a function and the gradients of their sum, None where it has none.

    Raises:
      UnusableError: The function fails, at once or while it is traced for a graph.
    """
    try:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = tf.nest.map_structure(tf.convert_to_tensor, function(*inputs))
            sums = [tf.reduce_sum(output) for output in tf.nest.flatten(outputs)]
        tf.function(function).get_concrete_function(
            *[tf.TensorSpec(x.shape, x.dtype) for x in inputs]
        )
    except Exception as error:
        raise UnusableError(f"{said} fails with {reason(error)}") from error
    return outputs, tape.gradient(sums, list(inputs))


def _require_finite(said: str, outputs: Sequence[tf.Tensor]) -> None:
    """Raises UnusableError unless every output is finite."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise UnusableError(f"{said} must return finite numbers, also for logits like {LOGITS}")


def _require_gradient(said: str, gradient: tf.Tensor | None) -> None:
    """Raises UnusableError unless a gradient is finite, and not 0 everywhere."""
    if gradient is None or not np.any(gradient):
        raise UnusableError(f"the gradient of {said} is 0 everywhere, so that nothing is trained")
    if not np.isfinite(gradient).all():
        raise UnusableError(f"the gradient of {said} must be finite")
