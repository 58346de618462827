"""Checks of inputs inside a graph: InvalidArgument with one sentence, before anything is computed.

Each returns its input, so that what follows depends on the check and no other error comes first.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from tf_biggan.generation.latents import MAX_SEED

MIN_STEPS, MAX_STEPS = 2, 64


def checked_inputs(
    inputs: Mapping[str, tf.Tensor], num_classes: int, mode: str, max_batch: int
) -> dict[str, tf.Tensor]:
    """The inputs of a signature, if they are what their names stand for.

    Args:
      inputs: by name; all have the batch first, but for a truncation that may be a scalar.
      num_classes: of the model.
      mode: what the truncation means; "scale" goes up to 1.
      max_batch: most rows.
    """
    inputs = {name: value for name, value in inputs.items() if value is not None}
    inputs = _same_rows(inputs, max_batch)
    return {name: _checked_value(name, value, num_classes, mode) for name, value in inputs.items()}


def checked(value: tf.Tensor, rule: str, holds: tf.Tensor, received: tf.Tensor) -> tf.Tensor:
    """`value`, if every element of `holds` is true; else the rule and `received` are the error."""
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
    """Rows of a tensor; -1 of a scalar, which only a tensor of unknown rank can be."""
    if value.shape.rank is not None:
        return tf.shape(value)[0]
    rank = tf.rank(value)
    rule = tf.debugging.Assert(
        rank <= 1, [f"`{name}` must be a scalar or [N]. Received rank:", rank]
    )
    with tf.control_dependencies([rule]):
        return tf.where(tf.equal(rank, 0), -1, tf.size(value))
