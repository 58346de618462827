"""Checks of the inputs that the networks are called with: latents, images, labels, truncation."""

from __future__ import annotations

import numbers

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.networks.layers.linear import is_soft


def from_list(name: str, value):
    """Returns a list or tuple of numbers, possibly nested, as an int32 or float32 array.

    Any other value is returned unchanged.

    Raises:
      ValueError: The rows differ in length, or an entry is not a number.
    """
    if not isinstance(value, (list, tuple)):
        return value
    try:
        array = np.asarray(value)
    # NumPy raises these errors for rows of different lengths and for symbolic tensors.
    except (TypeError, ValueError, NotImplementedError):
        array = np.asarray(None)
    checks.require(
        array.dtype.kind in "iuf" and array.size > 0,
        f"`{name}` must hold numbers, and all rows of a list must have the same length",
        **{name: value},
    )
    return array.astype("float32" if array.dtype.kind == "f" else "int32")


def concrete(value):
    """Returns `value` as a NumPy array, or None if it is symbolic (inside a graph)."""
    if isinstance(value, (numbers.Number, np.ndarray)):
        return np.asarray(value)
    return value.numpy() if hasattr(value, "numpy") else None


def check_float(name: str, array, shape: tuple[int, ...], batch_size=None) -> None:
    """Checks that an input has a floating-point dtype and the shape [N, *shape].

    Args:
      name: The name of the input in the message.
      array: A tensor or array.
      shape: The shape of one example.
      batch_size: The number of rows that the input must have; None for any number.

    Raises:
      ValueError: The dtype, the shape or the number of rows is another.
    """
    wanted = ", ".join(map(str, ("N", *shape)))
    dtype = keras.backend.standardize_dtype(array.dtype)
    checks.require(
        "float" in dtype and len(array.shape) == 1 + len(shape) and array.shape[1:] == shape,
        f"`{name}` must have the shape [{wanted}] and a floating-point type",
        shape=tuple(array.shape),
        dtype=dtype,
    )
    checks.require(
        None in (array.shape[0], batch_size) or array.shape[0] == batch_size,
        f"`{name}` must have one row for each example of the batch",
        rows=array.shape[0],
        examples=batch_size,
    )


def check_truncation(truncation, batch_size) -> None:
    """Checks that a truncation is None, a scalar or [N], with values in (0, 1].

    Values are checked only in eager execution.

    Raises:
      ValueError: The shape or a value is another.
    """
    if truncation is None:
        return
    shape = tuple(getattr(truncation, "shape", ()))
    checks.require(
        shape == ()
        or (len(shape) == 1 and (None in (*shape, batch_size) or shape[0] == batch_size)),
        "`truncation` must be a scalar or hold one value for each example of the batch",
        shape=shape,
        examples=batch_size,
    )
    values = concrete(truncation)
    checks.require(
        values is None or bool(np.all((values > 0) & (values <= 1))),
        "`truncation` must be above 0 and at most 1",
        truncation=values,
    )


def check_labels(labels, num_classes: int, batch_size) -> None:
    """Checks labels against the number of classes and the batch size of a network.

    Args:
      labels: None, class indices [N] (integer) or class weights [N, num_classes] (float).
      num_classes: The network's classes; 0 for an unconditional network, which takes no labels.
      batch_size: N, or None if it is unknown.

    Raises:
      ValueError: Labels are missing or not allowed, or their shape or number is wrong. In eager
        execution, class indices out of range are an error as well. Inside a graph the values are
        unknown: an index out of range selects another class or fails, depending on the device.
    """
    if labels is None or num_classes == 0:
        rule = (
            "this network is unconditional (num_classes is 0), so `labels` must be None"
            if num_classes == 0
            else (
                "this network needs `labels`: class indices [N] or class weights [N,"
                f" {num_classes}]"
            )
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
        "`labels` must have one row for each example of the batch",
        labels=shape[0],
        examples=batch_size,
    )
    values = None if is_soft(labels) else concrete(labels)
    checks.require(
        values is None or values.size == 0 or (values.min() >= 0 and values.max() < num_classes),
        f"class indices must lie from 0 to {num_classes - 1}",
        labels=values,
    )
