"""Parses predict requests from JSON into arrays, and encodes output arrays as JSON.

The JSON format and its mapping to dtypes are those of TensorFlow Serving's REST API. Numbers beyond
the range of the input's dtype, and integers that the dtype cannot hold exactly, are refused.
Fractions are rounded to the dtype.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tf_biggan.serving.request_errors import RequestError, bad_request
from tf_biggan.serving.served_model import Signature, TensorSpec

BINARY = "b64"
# A string output whose name has this ending holds bytes, which JSON carries as base64.
BINARY_SUFFIX = "_bytes"
DEFAULT_SIGNATURE = "serving_default"
# Keys of the inputs in row format (a list with one element per row) and in column format (one list
# per input).
ROW, COLUMN = "instances", "inputs"
MAX_RANK = 16
_SHOWN_CHARACTERS = 40


def is_binary(value) -> bool:
    """Returns whether a JSON value has the form {"b64": "..."}, which stands for bytes."""
    return isinstance(value, dict) and set(value) == {BINARY} and isinstance(value[BINARY], str)


def array_of(value, spec: TensorSpec, name: str) -> np.ndarray:
    """Converts a JSON value to an array.

    Args:
      value: Nested lists of equal lengths at every level, or a single element. An empty list
        becomes an array with 0 rows and the input's other dimensions.
      spec: Dtype and shape of the input.
      name: Name of the input, for error messages.

    Raises:
      RequestError: Lists have unequal lengths. Or an element has the wrong type or does not fit the
        dtype of the input.
    """
    shape = _shape_of(value, name)
    elements = [value]
    for size in shape:
        elements = _flattened(elements, size, name)
    if any(isinstance(element, list) for element in elements):
        raise _ragged(name)
    if shape == (0,) and spec.shape is not None:
        shape = (0, *(size or 0 for size in spec.shape[1:]))
    return _converted(elements, spec.dtype, name).reshape(shape)


def encoded(part, name: str) -> str:
    """Returns the JSON text of an output.

    Args:
      part: Array of the output, or part of it. A single element of a string array is `bytes`.
      name: Name of the output. Strings are written as base64 if the name ends with "_bytes".
    """
    if isinstance(part, bytes) or part.dtype == object:
        as_json = _binary if name.endswith(BINARY_SUFFIX) else _text
        return json.dumps(_mapped(part if isinstance(part, bytes) else part.tolist(), as_json))
    if part.dtype.kind not in "fiub":
        # Types such as bfloat16, which NumPy does not treat as numbers.
        part = part.astype(np.float32)
    return _numbers(part)


def _numbers(part: np.ndarray) -> str:
    """Returns the JSON text of an array of numbers.

    The text of the flattened array is made first, and brackets are then added to it. Nested lists
    of a whole image would be so many Python objects that garbage collection would take most of the
    time, because it also scans all objects of TensorFlow.
    """
    if not part.size:
        return json.dumps(part.tolist())
    texts = json.dumps(part.ravel().tolist())[1:-1].split(", ")
    for size in reversed(part.shape):
        starts = range(0, len(texts), size)
        texts = [f"[{', '.join(texts[start : start + size])}]" for start in starts]
    return texts[0]


def _shape_of(value, name: str) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MAX_RANK:
            raise bad_request(f"{name!r} is nested too deeply.")
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _flattened(lists: list, size: int, name: str) -> list:
    if not all(isinstance(part, list) and len(part) == size for part in lists):
        raise _ragged(name)
    return [element for part in lists for element in part]


def _ragged(name: str) -> RequestError:
    return bad_request(f"The lists of {name!r} must have equal lengths at every level.")


def _converted(elements: list, dtype: tf.DType, name: str) -> np.ndarray:
    if dtype == tf.string:
        return np.array([_bytes(element, name) for element in elements], dtype=object)
    if dtype == tf.bool:
        _check_types(elements, (bool,), "true or false", name)
        return np.array(elements, dtype=bool)
    if dtype.is_integer:
        return _integers(elements, dtype, name)
    if dtype.is_floating:
        return _floats(elements, dtype, name)
    raise bad_request(f"{name!r} has the type {dtype.name}, which cannot be read from JSON.")


def _integers(elements: list, dtype: tf.DType, name: str) -> np.ndarray:
    _check_types(elements, (int,), "integers", name)
    for element in (min(elements, default=0), max(elements, default=0)):
        if not dtype.min <= element <= dtype.max:
            limits = f"{dtype.name}, from {dtype.min} to {dtype.max}"
            raise bad_request(f"{name!r} must be {limits}. Received: {_shown(element)}.")
    return np.array(elements, dtype=dtype.as_numpy_dtype)


def _floats(elements: list, dtype: tf.DType, name: str) -> np.ndarray:
    _check_types(elements, (int, float), "numbers", name)
    largest = float(dtype.max)
    for element in elements:
        too_large = largest < abs(element) != float("inf")
        if too_large or (
            isinstance(element, int) and int(dtype.as_numpy_dtype(element)) != element
        ):
            raise bad_request(f"{name!r} is {dtype.name}, which cannot hold {_shown(element)}.")
    return np.array(elements, dtype=np.float64).astype(dtype.as_numpy_dtype)


def _check_types(elements: list, accepted: tuple[type, ...], words: str, name: str) -> None:
    # `type` instead of `isinstance`, because a bool is an instance of int.
    if not set(map(type, elements)) <= set(accepted):
        wrong = next(element for element in elements if type(element) not in accepted)
        raise bad_request(f"{name!r} must hold {words}. Received: {_shown(wrong)}.")


def _bytes(element, name: str) -> bytes:
    try:
        if is_binary(element):
            return base64.b64decode(element[BINARY], validate=True)
        if isinstance(element, str):
            return element.encode("utf-8")
    except (binascii.Error, ValueError):
        kind = "base64" if is_binary(element) else "UTF-8"
        raise bad_request(f"{name!r} holds a string that is not {kind}.") from None
    raise bad_request(
        f'{name!r} must hold strings, or {{"{BINARY}": "..."}}. Received: {_shown(element)}.'
    )


def _shown(element) -> str:
    # Lists and objects are not written out: the parser accepts deeper nesting than json.dumps does.
    if isinstance(element, list | dict):
        return {list: "a list", dict: "an object"}[type(element)]
    # The text is cut, because a malicious integer may have thousands of digits.
    text = json.dumps(element)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _mapped(value, function: Callable):
    if isinstance(value, list):
        return [_mapped(part, function) for part in value]
    return function(value)


def _binary(value: bytes) -> dict[str, str]:
    return {BINARY: base64.b64encode(value).decode("ascii")}


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """A predict request of a client.

    Attributes:
      signature: Signature to run.
      inputs: One array for each input of the signature.
      rows: Size of the inputs' first dimension, or None if all inputs are scalars.
      format: `ROW` or `COLUMN`. The answer has the same format as the request.
      is_mergeable: Whether the request can be merged with others along the first dimension.
    """

    signature: Signature
    inputs: Mapping[str, np.ndarray]
    rows: int | None
    format: str

    @property
    def is_mergeable(self) -> bool:
        return self.signature.is_mergeable and all(array.ndim for array in self.inputs.values())


def parse_json(body: bytes) -> dict:
    """Returns the JSON object in the body of a request.

    NaN and Infinity are accepted as numbers, as in TensorFlow Serving.

    Raises:
      RequestError: The body is not JSON in UTF-8, is not an object, or is nested too deeply.
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
    """Parses a predict request.

    Args:
      document: JSON object of the request's body.
      signatures: Signatures of the model, by name.

    Raises:
      RequestError: The signature is unknown, inputs are missing or unknown, or values do not have
        the dtypes and shapes of the signature.
    """
    signature = _signature(document, signatures)
    known = {"signature_name", ROW, COLUMN}
    unknown = sorted(set(document) - known)
    if unknown:
        raise bad_request(
            f"Unknown key {unknown[0]!r} in the request; the keys are {', '.join(sorted(known))}."
        )
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
    # An empty name means the default signature, as in TensorFlow Serving.
    name = name or DEFAULT_SIGNATURE
    if name not in signatures:
        raise bad_request(f"The model has no signature {name!r}; it has {', '.join(signatures)}.")
    return signatures[name]


def _columns_from_rows(rows, signature: Signature) -> dict[str, list]:
    if not isinstance(rows, list):
        raise bad_request(f"{ROW!r} must be a list with one element per row.")
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
                f"{problem} input {names[0]!r} in {place}; the signature {signature.name!r}"
                f" takes {_accepted(signature)}."
            )


def _accepted(signature: Signature) -> str:
    return ", ".join(signature.inputs) or "no inputs"


def _check_shape(name: str, shape: tuple[int, ...], spec: TensorSpec) -> None:
    if spec.shape is None:
        return
    same_rank = len(shape) == len(spec.shape)
    if same_rank and all(b in (None, a) for a, b in zip(shape, spec.shape, strict=True)):
        return
    # An empty list has no elements whose shape could be compared.
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
