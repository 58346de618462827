"""Keras's .keras files from elsewhere: measured before and while Keras builds the model."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import keras
import tensorflow as tf

from tf_biggan.checks import require
from tf_biggan.files import input_bounds
from tf_biggan.files.archives import Archive

CONFIG = "config.json"
LONGEST_REASON = 200


def load_keras(path: str) -> keras.Model:
    """The model of a .keras file, of layers that Keras knows and without code.

    Raises:
      ValueError: it is damaged, holds code, or a model that is larger than its weights.
    """
    try:
        with _bounded_variables(_stored_bytes(path)):
            return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        # Keras raises whatever its deserialisers meet in a damaged or foreign file.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            "A .keras file must be complete, of layers that Keras knows and without code."
            f" Received: {path} ({reason[:LONGEST_REASON]})."
        ) from error


def _stored_bytes(path: str) -> int:
    """Bytes of the entries beside the configuration; the archive's sizes are checked."""
    archive, limit = Archive(path), input_bounds.JSON_BYTES
    sizes = {name: archive.size(name) for name in archive.names}
    configuration = sizes.pop(CONFIG, 0)
    require(configuration <= limit, f"{CONFIG} may have {limit} bytes", bytes=configuration)
    return sum(sizes.values())


@contextlib.contextmanager
def _bounded_variables(stored_bytes: int) -> Iterator[None]:
    """Refuses variables that hold more numbers than the file has bytes, before they are made."""
    left = stored_bytes + input_bounds.MISSING_NUMBERS

    def create(next_creator, **settings):
        nonlocal left
        left -= _num_values(settings["initial_value"])
        require(left >= 0, "a model must have its weights in its file", stored_bytes=stored_bytes)
        return next_creator(**settings)

    with tf.variable_creator_scope(create):
        yield


def _num_values(initial_value) -> int:
    """Numbers of a variable, found in a graph that is never run."""
    if not callable(initial_value):
        return math.prod(tf.convert_to_tensor(initial_value).shape)
    with tf.Graph().as_default():
        return math.prod(initial_value().shape)
