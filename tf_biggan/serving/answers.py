"""A predict answer's JSON, in TensorFlow Serving's row and column formats, piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from tf_biggan.serving.json_values import encoded
from tf_biggan.serving.predict_request import COLUMN, ROW
from tf_biggan.serving.request_errors import bad_request


def answer_pieces(outputs: Mapping[str, np.ndarray], form: str) -> Iterator[str]:
    """The JSON text of an answer, in pieces of one row, so that no large text is held.

    Args:
      outputs: arrays by name.
      form: `ROW` or `COLUMN`.

    Raises:
      RequestError: the outputs have no common rows and row format was asked for.
    """
    rows = {array.shape[:1] for array in outputs.values()}
    if form == ROW and (len(rows) != 1 or () in rows):
        raise bad_request(f"The outputs have no common rows; send {COLUMN!r} instead of {ROW!r}.")
    return _PIECES[form](outputs)


def _row_pieces(outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    yield '{"predictions": ['
    for index in range(len(next(iter(outputs.values())))):
        row = {name: encoded(array[index], name) for name, array in outputs.items()}
        yield (", " if index else "") + _unless_single(row)
    yield "]}"


def _column_pieces(outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    yield '{"outputs": '
    is_object = len(outputs) != 1
    for number, (name, array) in enumerate(outputs.items()):
        if is_object:
            yield f"{', ' if number else '{'}{json.dumps(name)}: "
        if array.ndim == 0:
            yield encoded(array, name)
            continue
        for index, part in enumerate(array):
            yield f"{', ' if index else '['}{encoded(part, name)}"
        yield "]" if len(array) else "[]"
    yield "}}" if is_object else "}"


_PIECES: dict[str, Callable] = {ROW: _row_pieces, COLUMN: _column_pieces}


def _unless_single(row: Mapping[str, str]) -> str:
    if len(row) == 1:
        return next(iter(row.values()))
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in row.items()) + "}"
