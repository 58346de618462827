"""Loops whose body is traced once, however often it runs."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def repeat(count: int | tf.Tensor, body: Callable, carried):
    """Runs `carried = body(index, carried)` for every index below `count`.

    In a graph this is one loop with one copy of the body, so that neither the start-up time nor the
    memory depends on `count`. A count that is known to be 1 needs no loop.

    Args:
      count: number of runs, a Python integer or an int32 scalar.
      body: takes the index (an int32 scalar, or the integer 0 without a loop) and `carried`, and
        returns a value of the structure, shapes and dtypes of `carried`.
      carried: tensors, or values of all replicas, in any structure.

    Returns:
      What the last run of `body` returned; `carried` if there was none.
    """
    if not tf.is_tensor(count) and count == 1:
        return body(0, carried)
    # With parallel iterations a second run would start, and take memory, before the first ends.
    _, carried = tf.while_loop(
        lambda index, _: index < count,
        lambda index, value: (index + 1, body(index, value)),
        (tf.constant(0), carried),
        parallel_iterations=1,
    )
    return carried
