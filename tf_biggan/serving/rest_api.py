"""Handlers of TensorFlow Serving's REST API: predict, model status and model metadata."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from aiohttp import web

from tf_biggan.serving.batching import Admission, Batcher
from tf_biggan.serving.predict_request import COLUMN, ROW, encoded, parse_json, read_request
from tf_biggan.serving.request_errors import Limits, RequestError, bad_request
from tf_biggan.serving.served_model import ServedModel

PREFIX = "/v1/"
_MODEL = PREFIX + "models/{name:[^/:]+}"
_VERSION = _MODEL + r"/versions/{version:\d{1,18}}"
RETRY_SECONDS = "1"
UNCOMPRESSED = "identity"
CHUNK_CHARACTERS = 2**18
_WORDS = {
    404: (
        "There is no such address. The server has /v1/models/NAME, /v1/models/NAME/metadata and"
        " /v1/models/NAME:predict, each also with /versions/NUMBER after NAME."
    ),
    405: "This address does not accept this method: use POST for predict and GET for the others.",
}


def answer_pieces(outputs: Mapping[str, np.ndarray], form: str) -> Iterator[str]:
    """Yields the JSON text of an answer row by row, so that the whole text is never in memory.

    Args:
      outputs: Arrays by name.
      form: Format of the answer, `ROW` or `COLUMN`.

    Raises:
      RequestError: Row format is requested, and the outputs differ in their number of rows.
    """
    rows = {array.shape[:1] for array in outputs.values()}
    if form == ROW and (len(rows) != 1 or () in rows):
        raise bad_request(
            f"The outputs have different numbers of rows; send {COLUMN!r} instead of {ROW!r}."
        )
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
    """Returns the JSON of one row: an object, or the bare value if there is a single output."""
    if len(row) == 1:
        return next(iter(row.values()))
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in row.items()) + "}"


class RestApi:
    """Handlers of the REST API for one model.

    Args:
      model: Model to serve.
      batcher: Runs the requests.
      limits: Limits on the size and number of requests.
    """

    def __init__(self, model: ServedModel, batcher: Batcher, limits: Limits):
        self._model, self._batcher, self._limits = model, batcher, limits
        self._admission = Admission(limits)

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes of the API: each address with and without a version number."""
        table = (
            (web.post, ":predict", self._predict),
            (web.get, "", self._status),
            (web.get, "/metadata", self._metadata),
        )
        return [
            route(prefix + suffix, handler)
            for prefix in (_MODEL, _VERSION)
            for route, suffix, handler in table
        ]

    async def _predict(self, request: web.Request) -> web.StreamResponse:
        with self._admission.request():
            model = await self._model.get(*_names(request))
            document = parse_json(await self._body(request))
            asked = read_request(document, model.signatures)
            with self._admission.rows(asked):
                outputs = await self._batcher.run(asked)
                pieces = answer_pieces(outputs, asked.format)
                return await _stream(request, pieces, self._limits.write_seconds)

    async def _body(self, request: web.Request) -> bytes:
        encoding = request.headers.get("Content-Encoding", UNCOMPRESSED)
        if encoding.lower() != UNCOMPRESSED:
            raise RequestError(
                415, f"The body of the request must not be compressed. Received: {encoding[:32]}."
            )
        if (request.content_length or 0) > self._limits.body_bytes:
            raise _too_large(self._limits)
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await request.read()
        except TimeoutError:
            seconds = f"{self._limits.body_seconds:g}"
            raise RequestError(
                408, f"The body of the request did not arrive within {seconds} s."
            ) from None
        except web.HTTPRequestEntityTooLarge:
            raise _too_large(self._limits) from None

    async def _status(self, request: web.Request) -> web.Response:
        name, version = _names(request)
        number = self._model.number(name, version)
        # The newest version comes first, as in TensorFlow Serving. If the address names no version,
        # all versions are listed.
        numbers = sorted(self._model.versions.folders, reverse=True)
        listed = numbers if version is None else [number]
        return _json_response({"model_version_status": [self._state(each) for each in listed]})

    def _state(self, number: int) -> dict:
        error = self._model.error(number)
        status = {"error_code": "NOT_FOUND" if error else "OK", "error_message": error or ""}
        return {
            "version": str(number),
            "state": "END" if error else "AVAILABLE",
            "status": status,
        }

    async def _metadata(self, request: web.Request) -> web.Response:
        name, version = _names(request)
        model = await self._model.get(name, version)
        number = str(self._model.number(name, version))
        spec = {"name": name, "signature_name": "", "version": number}
        definitions = {"signature_def": {"signature_def": model.signature_defs}}
        return _json_response({"model_spec": spec, "metadata": definitions})


@web.middleware
async def errors_as_json(request: web.Request, handler: Callable) -> web.StreamResponse:
    """Middleware that answers errors under the API's prefix with JSON: {"error": "..."}."""
    try:
        return await handler(request)
    except RequestError as error:
        return _error(error.status, error.message)
    except web.HTTPException as error:
        if error.status < 400 or not request.path.startswith(PREFIX):
            raise
        return _error(error.status, _WORDS.get(error.status, f"{error.reason}."), error.headers)
    except ConnectionError:
        raise
    except Exception:
        logging.getLogger(__name__).exception("A request failed")
        return _error(500, "The server failed on this request.")


def _names(request: web.Request) -> tuple[str, int | None]:
    """Returns the model's name and the version in an address. The version may be None."""
    version = request.match_info.get("version")
    return request.match_info["name"], None if version is None else int(version)


def _too_large(limits: Limits) -> RequestError:
    return RequestError(
        413, f"The body of the request must have at most {limits.body_bytes:,} bytes."
    )


def _json_response(value: dict) -> web.Response:
    return web.json_response(value, dumps=lambda document: json.dumps(document, indent=1))


def _error(status: int, message: str, headers=()) -> web.Response:
    response = web.json_response({"error": message}, status=status)
    if status == 503:
        response.headers["Retry-After"] = RETRY_SECONDS
    if "Allow" in headers:
        response.headers["Allow"] = headers["Allow"]
    return response


async def _stream(
    request: web.Request, pieces: Iterator[str], write_seconds: float
) -> web.StreamResponse:
    """Sends a JSON text while its pieces are being made in another thread.

    Raises:
      ConnectionError: The client did not receive the next part within `write_seconds`. Without this
        limit, a stalled client would take up a part of `Limits.rows` forever.
    """
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        while chunk := await asyncio.to_thread(_chunk, pieces):
            async with asyncio.timeout(write_seconds):
                await response.write(chunk)
        async with asyncio.timeout(write_seconds):
            await response.write_eof()
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("The client does not take its answer") from error
    return response


def _chunk(pieces: Iterator[str]) -> bytes:
    """Returns the next pieces, about `CHUNK_CHARACTERS` in total, as bytes; b"" at the end."""
    taken, size = [], 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= CHUNK_CHARACTERS:
            break
    return "".join(taken).encode("utf-8")
