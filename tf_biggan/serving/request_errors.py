"""Limits of the local server, and the errors with which it answers requests."""

from __future__ import annotations

import dataclasses
import itertools
import re

import tensorflow as tf

from tf_biggan.cli.terminal import one_line

_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)")
# Start of the text that tf.debugging.assert_* appends to the given message.
_CONDITION = "Condition x"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits that bound the memory and the response time of the server.

    Attributes:
      body_bytes: Maximum size of a request's body, in bytes.
      body_seconds: Maximum time for a body to arrive, in seconds.
      request_rows: Maximum number of rows of one request.
      open_request_rows: Maximum number of rows of one request to a signature such as "interpolate".
        The number of frames in an output row of this signature depends on the inputs.
      batch_rows: Maximum number of rows that the model runs at once. Smaller requests are merged
        into batches of this size, and larger ones are split.
      batch_seconds: Maximum time that a request waits to be merged with others, in seconds.
      requests: Maximum number of requests that the server handles at the same time.
      rows: Maximum number of rows of all requests that the server handles at the same time.
      write_seconds: Maximum time for a client to receive the next part of an answer, in seconds.
      shutdown_seconds: Maximum time to finish requests after the server was told to stop, in
        seconds.
    """

    body_bytes: int = 4 * 2**20
    body_seconds: float = 30.0
    request_rows: int = 64
    open_request_rows: int = 4
    # One feature map of one image at 256x256 pixels with 96 channels takes 25 MB.
    batch_rows: int = 16
    batch_seconds: float = 0.005
    requests: int = 128
    rows: int = 1024
    write_seconds: float = 30.0
    shutdown_seconds: float = 10.0


# Message of a failed assertion. A list of errors or a stack trace may precede it.
_ASSERTION = re.compile(r"assertion failed: (.*?)\s*(?:\[\[\{\{node|\[Op:|\Z)", re.DOTALL)
_PIECE = re.compile(r"\[(.*?)\](?= \[|$)", re.DOTALL)
_WHERE = re.compile(r"^Graph execution error:.*(?:unavailable>|\n +File [^\n]*)\s*", re.DOTALL)
_NODES = re.compile(r"\s*\[\[\{\{node.*|\s*\[Op:.*|\s*\{\{(?:function_)?node.*?\}\}", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


class RequestError(Exception):
    """An error that is sent to the client as the answer to its request.

    Attributes:
      status: HTTP status code.
      message: Sentence for the client.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def bad_request(message: str) -> RequestError:
    """Returns an error with status 400, for a request that the client must change."""
    return RequestError(400, message)


def as_request_error(error: Exception) -> RequestError:
    """Converts an error from running a signature to the answer for the client.

    The status is 400 for an input that a check inside the graph refuses, with the message of that
    check; 503 if the server is out of memory; and 500 for any other error.
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, tf.errors.InvalidArgumentError):
        return bad_request(graph_message(error.message))
    if isinstance(error, tf.errors.ResourceExhaustedError | MemoryError):
        return RequestError(503, "The server is out of memory for a request of this size.")
    message = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return RequestError(500, f"The model failed: {graph_message(message) or type(error).__name__}")


def graph_message(message: str) -> str:
    """Returns the message of a TensorFlow error in one line, without names of graph nodes."""
    if not (assertion := _ASSERTION.search(message)):
        return one_line(_NODES.sub("", _WHERE.sub("", message)))
    pieces = _PIECE.findall(assertion[1])
    said = itertools.takewhile(lambda piece: not piece.startswith(_CONDITION), pieces)
    return one_line(_unescaped(" ".join(said)) or assertion[1])


def _unescaped(text: str) -> str:
    """Resolves the C escape sequences with which TensorFlow writes strings in assertions."""

    def byte(match: re.Match) -> bytes:
        code = match[1]
        return bytes([int(code, 8)]) if len(code) == 3 else _ESCAPES.get(code, code)

    return _ESCAPE.sub(byte, text.encode()).decode(errors="replace")
