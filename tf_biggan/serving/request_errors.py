"""What the local server takes from its clients at most."""

from __future__ import annotations

import dataclasses
import itertools
import re

import tensorflow as tf

from tf_biggan.cli.terminal import one_line


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds that keep the server's memory and answering time bounded.

    Attributes:
      body_bytes: of a request's body.
      body_seconds: until a body must have arrived.
      request_rows: rows of one request.
      open_request_rows: the same where the length of a row's output depends on its inputs, as the
        frames of an interpolation do.
      batch_rows: rows of one run: requests are merged, and larger ones split, into such batches.
      batch_seconds: how long a request waits for others to be merged with.
      requests: requests that are read, wait, run or are answered at the same time.
      rows: rows of all requests that wait, run or are answered at the same time.
      write_seconds: until a client must have taken the next part of an answer.
      shutdown_seconds: how long requests may still run after the server was told to stop.
    """

    body_bytes: int = 4 * 2**20
    body_seconds: float = 30.0
    request_rows: int = 64
    open_request_rows: int = 4
    # One activation of a row at 256 pixels with 96 channels is 25 MB.
    batch_rows: int = 16
    batch_seconds: float = 0.005
    requests: int = 128
    rows: int = 1024
    write_seconds: float = 30.0
    shutdown_seconds: float = 10.0


# An assertion's words, wherever they stand: there may be a list of errors or a trace before them.
_ASSERTION = re.compile(r"assertion failed: (.*?)\s*(?:\[\[\{\{node|\[Op:|\Z)", re.DOTALL)
_PIECE = re.compile(r"\[(.*?)\](?= \[|$)", re.DOTALL)
_WHERE = re.compile(r"^Graph execution error:.*(?:unavailable>|\n +File [^\n]*)\s*", re.DOTALL)
_NODES = re.compile(r"\s*\[\[\{\{node.*|\s*\[Op:.*|\s*\{\{(?:function_)?node.*?\}\}", re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
# What tf.debugging.assert_* add to the message they are given.
_CONDITION = "Condition x"


class RequestError(Exception):
    """What a request is answered with instead of a result.

    Attributes:
      status: of HTTP.
      message: one sentence for the client.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def bad_request(message: str) -> RequestError:
    """What the client must change."""
    return RequestError(400, message)


def as_request_error(error: Exception) -> RequestError:
    """The request error that an error while running a signature stands for.

    An invalid argument is the client's, with the words of the check inside the graph; a shortage
    is the server's for a while; anything else is the model's fault.
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
    """TensorFlow's message without where in the graph it arose, in one line."""
    if not (assertion := _ASSERTION.search(message)):
        return one_line(_NODES.sub("", _WHERE.sub("", message)))
    pieces = _PIECE.findall(assertion[1])
    said = itertools.takewhile(lambda piece: not piece.startswith(_CONDITION), pieces)
    return one_line(_unescaped(" ".join(said)) or assertion[1])


def _unescaped(text: str) -> str:
    """Without the C escapes that an assertion writes strings with."""

    def byte(match: re.Match) -> bytes:
        code = match[1]
        return bytes([int(code, 8)]) if len(code) == 3 else _ESCAPES.get(code, code)

    return _ESCAPE.sub(byte, text.encode()).decode(errors="replace")
