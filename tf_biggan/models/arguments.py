"""Checks of the arguments and inputs that both networks share."""

from __future__ import annotations

import keras

from tf_biggan import checks
from tf_biggan.layers.linear import is_soft

MAX_IMAGE_CHANNELS = 4


def default(value, published):
    """`value`, or the published one where none is given."""
    return published if value is None else value


def check_shared_arguments(model) -> None:
    """Checks classes, widths, depth and image form of a network.

    Raises:
      ValueError: one of them is out of range.
    """
    checks.require_integer("num_classes", model.num_classes, 0)
    checks.require_integer("base_channels", model.base_channels, 1)
    checks.require_integer("depth", model.depth, 1)
    checks.require_integer("image_channels", model.image_channels, 1, MAX_IMAGE_CHANNELS)
    checks.require(
        len(model.bottom_size) == 2
        and all(isinstance(side, int) and side > 0 for side in model.bottom_size),
        "`bottom_size` must be two positive integers (height, width)",
        bottom_size=model.bottom_size,
    )


def check_labels(labels, num_classes: int, batch_size) -> None:
    """Checks labels against the classes of a network.

    Args:
      labels: None, class indices [N] (integer) or class weights [N, num_classes] (float).
      num_classes: 0 for an unconditional network, which takes no labels.
      batch_size: N, or None where it is not known.

    Raises:
      ValueError: labels missing or superfluous, of another rank, width or count.
    """
    if labels is None or num_classes == 0:
        rule = (
            "an unconditional network takes no `labels`"
            if num_classes == 0
            else (f"`labels` are needed: class indices [N] or class weights [N, {num_classes}]")
        )
        checks.require((labels is None) == (num_classes == 0), rule, labels=labels)
        return
    shape, dtype = tuple(labels.shape), keras.backend.standardize_dtype(labels.dtype)
    wanted = (None, num_classes) if is_soft(labels) else (None,)
    checks.require(
        len(shape) == len(wanted) and shape[1:] in (wanted[1:], (None,) * len(wanted[1:])),
        f"`labels` must be class indices [N] (integer) or class weights [N, {num_classes}] (float)",
        shape=shape,
        dtype=dtype,
    )
    checks.require(
        None in (shape[0], batch_size) or shape[0] == batch_size,
        "there must be one label for every example",
        labels=shape[0],
        examples=batch_size,
    )
