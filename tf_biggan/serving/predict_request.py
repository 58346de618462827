"""A predict request's JSON, in TensorFlow Serving's row and column formats, as arrays."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping

import numpy as np

from tf_biggan.serving.json_values import array_of, is_binary
from tf_biggan.serving.request_errors import bad_request
from tf_biggan.serving.saved_model import Signature, TensorSpec

DEFAULT_SIGNATURE = "serving_default"
ROW, COLUMN = "instances", "inputs"


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """What a client asks for.

    Attributes:
      signature: to run.
      inputs: an array for every input of the signature.
      rows: first dimension of the inputs; None where all of them are scalars.
      format: `ROW` or `COLUMN`, of the request and so of the answer.
      is_mergeable: whether other requests' rows can be put after these.
    """

    signature: Signature
    inputs: Mapping[str, np.ndarray]
    rows: int | None
    format: str

    @property
    def is_mergeable(self) -> bool:
        return self.signature.is_mergeable and all(array.ndim for array in self.inputs.values())


def parse_json(body: bytes) -> dict:
    """The object in a request's body.

    NaN and Infinity are numbers, as for TensorFlow Serving.

    Raises:
      RequestError: it is not JSON in UTF-8, not an object, or nested too deeply.
    """
    try:
        document = json.loads(body.decode("utf-8"), parse_float=_float)
    except RecursionError:
        raise bad_request("The JSON in the body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise bad_request("The body must be JSON in UTF-8.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise bad_request(f"The body must be JSON: {error.msg} at {place}.") from None
    except ValueError as error:
        raise bad_request(f"The body has a number that is too large: {error}.") from None
    if not isinstance(document, dict):
        raise bad_request('The body must be a JSON object such as {"instances": [...]}.')
    return document


def read_request(document: dict, signatures: Mapping[str, Signature]) -> PredictRequest:
    """The request that a JSON object stands for.

    Raises:
      RequestError: an unknown signature, missing or unknown inputs, or values that are not of the
        signature's dtypes and shapes.
    """
    signature = _signature(document, signatures)
    known = {"signature_name", ROW, COLUMN}
    unknown = sorted(set(document) - known)
    if unknown:
        raise bad_request(f"Unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}.")
    if (ROW in document) == (COLUMN in document):
        raise bad_request(f"The body must have either {ROW!r} (rows) or {COLUMN!r} (columns).")
    form = ROW if ROW in document else COLUMN
    columns = _COLUMNS[form](document[form], signature)
    inputs = {name: array_of(columns[name], spec, name) for name, spec in signature.inputs.items()}
    for name, array in inputs.items():
        _check_shape(name, array.shape, signature.inputs[name])
    return PredictRequest(signature, inputs, _rows(inputs), form)


def _signature(document: dict, signatures: Mapping[str, Signature]) -> Signature:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise bad_request("'signature_name' must be a string.")
    # TensorFlow Serving takes an empty name for the default as well.
    name = name or DEFAULT_SIGNATURE
    if name not in signatures:
        raise bad_request(f"No signature {name!r}; there are: {', '.join(signatures)}.")
    return signatures[name]


def _columns_from_rows(rows, signature: Signature) -> dict[str, list]:
    if not isinstance(rows, list):
        raise bad_request(f"{ROW!r} must be a list with one element a row.")
    if not rows:
        raise bad_request(f"{ROW!r} must have at least one row.")
    if len(signature.inputs) == 1 and not any(_is_object(row) for row in rows):
        return {next(iter(signature.inputs)): rows}
    for index, row in enumerate(rows):
        if not _is_object(row):
            raise bad_request(f"Row {index} must be an object with {_accepted(signature)}.")
        _check_names(row, signature, f"row {index}")
    return {name: [row[name] for row in rows] for name in signature.inputs}


def _columns(columns, signature: Signature) -> dict:
    if not _is_object(columns):
        if len(signature.inputs) != 1:
            raise bad_request(f"{COLUMN!r} must be an object with {_accepted(signature)}.")
        return {next(iter(signature.inputs)): columns}
    _check_names(columns, signature, repr(COLUMN))
    return columns


_COLUMNS = {ROW: _columns_from_rows, COLUMN: _columns}


def _is_object(value) -> bool:
    return isinstance(value, dict) and not is_binary(value)


def _check_names(given: dict, signature: Signature, place: str) -> None:
    for problem, names in (
        ("Missing", sorted(set(signature.inputs) - set(given))),
        ("Unknown", sorted(set(given) - set(signature.inputs))),
    ):
        if names:
            raise bad_request(
                f"{problem} input {names[0]!r} in {place}; the signature {signature.name!r} takes"
                f" {_accepted(signature)}."
            )


def _accepted(signature: Signature) -> str:
    return ", ".join(signature.inputs) or "no inputs"


def _check_shape(name: str, shape: tuple[int, ...], spec: TensorSpec) -> None:
    if spec.shape is None:
        return
    same_rank = len(shape) == len(spec.shape)
    if same_rank and all(b in (None, a) for a, b in zip(shape, spec.shape, strict=True)):
        return
    # The elements of an empty list have no shape to compare.
    if shape == (0,) and spec.shape[:1] == (None,):
        return
    expected = ", ".join("any" if size is None else str(size) for size in spec.shape)
    raise bad_request(f"{name!r} must have the shape [{expected}]. Received: {list(shape)}.")


def _rows(inputs: Mapping[str, np.ndarray]) -> int | None:
    sizes = {name: array.shape[0] for name, array in inputs.items() if array.ndim}
    if len(set(sizes.values())) > 1:
        received = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise bad_request(f"All inputs must have the same number of rows. Received: {received}.")
    return next(iter(sizes.values()), None)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text[:32])
    return value
