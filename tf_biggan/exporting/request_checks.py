"""Checks the inputs of exported signatures inside the graph.

A failed check raises InvalidArgumentError with one sentence. Each check returns its input, and the
following operations use that result. They therefore run after the check, and cannot fail first with
a less clear error.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from tf_biggan.cli.seeds_and_truncations import MAX_SEED

MIN_STEPS, MAX_STEPS = 2, 64


def checked_inputs(
    inputs: Mapping[str, tf.Tensor], num_classes: int, mode: str, max_batch: int
) -> dict[str, tf.Tensor]:
    """Returns the inputs of a signature after checking their values and numbers of rows.

    Args:
      inputs: Inputs by name. The first dimension is the batch, except that `truncation` may be a
        scalar. Inputs that are None are left out.
      num_classes: Number of classes of the model.
      mode: Truncation mode. With "scale", the truncation must be at most 1.
      max_batch: Maximum number of rows of a request.
    """
    inputs = {name: value for name, value in inputs.items() if value is not None}
    inputs = _same_rows(inputs, max_batch)
    return {name: _checked_value(name, value, num_classes, mode) for name, value in inputs.items()}


def checked(value: tf.Tensor, rule: str, holds: tf.Tensor, received: tf.Tensor) -> tf.Tensor:
    """Returns `value` after checking that every element of `holds` is true.

    Args:
      value: Tensor to return.
      rule: Sentence without full stop that says what is accepted, for the error message.
      holds: Boolean tensor of any shape.
      received: Tensor to show in the error message.
    """
    told = tf.debugging.Assert(tf.reduce_all(holds), [f"{rule}. Received:", received])
    with tf.control_dependencies([told]):
        return tf.identity(value)


def _checked_value(name, value, num_classes, mode):
    if name.endswith("label"):
        return _between(name, value, 0, num_classes - 1)
    if name.endswith("seed"):
        return _between(name, value, 0, MAX_SEED)
    if name == "steps":
        return _between(name, value, MIN_STEPS, MAX_STEPS)
    if name == "truncation":
        return _truncation(value, mode)
    return _finite(name, value) if value.dtype.is_floating else value


def _between(name, value, minimum, maximum):
    holds = (value >= minimum) & (value <= maximum)
    return checked(value, f"`{name}` must lie from {minimum} to {maximum}", holds, value)


def _truncation(value, mode):
    holds = tf.math.is_finite(value) & (value > 0)
    rule = "`truncation` must be a finite number above 0"
    if mode == "scale":
        holds, rule = holds & (value <= 1), "`truncation` must be above 0 and at most 1"
    return checked(value, rule, holds, value)


def _finite(name, value):
    faults = tf.reduce_sum(tf.cast(~tf.math.is_finite(value), tf.int32))
    rule = f"`{name}` must hold finite numbers only"
    return checked(value, rule, tf.equal(faults, 0), tf.strings.format("{} that are not", faults))


def _same_rows(inputs, max_batch):
    names = ", ".join(f"`{name}`" for name in inputs)
    counts = tf.stack([_rows(name, value) for name, value in inputs.items()])
    first = tf.reduce_max(counts)
    same = tf.reduce_all((counts == first) | (counts < 0))
    rules = (
        tf.debugging.Assert(same, [f"{names} must have as many rows. Received:", counts]),
        tf.debugging.Assert(
            first <= max_batch, [f"A request may have at most {max_batch} rows. Received:", first]
        ),
    )
    with tf.control_dependencies(rules):
        return {name: tf.identity(value) for name, value in inputs.items()}


def _rows(name, value):
    """Returns the number of rows of a tensor, or -1 for a scalar.

    Only a tensor of unknown rank can be a scalar.
    """
    if value.shape.rank is not None:
        return tf.shape(value)[0]
    rank = tf.rank(value)
    rule = tf.debugging.Assert(
        rank <= 1, [f"`{name}` must be a scalar or [N]. Received rank:", rank]
    )
    with tf.control_dependencies([rule]):
        return tf.where(tf.equal(rank, 0), -1, tf.size(value))
