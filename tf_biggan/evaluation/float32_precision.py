"""Products of float32 numbers at their full precision, on every processor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def full_float32_products() -> Iterator[None]:
    """A context without TensorFloat-32 and, on a TPU, without its products in bfloat16.

    TensorFlow rounds factors to 10 bits on newer GPUs and to 7 bits on a TPU unless it is told not
    to. A network trains as well with it, but features change in their third digit.
    """
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled)
