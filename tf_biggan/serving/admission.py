"""How much may be under way at the same time; what comes beyond is told to try again later."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tf_biggan.serving.limits import Limits
from tf_biggan.serving.predict_request import PredictRequest
from tf_biggan.serving.request_errors import RequestError, bad_request


class Admission:
    """Counts requests, and rows of requests, from their arrival to the end of their answers."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._requests = self._rows = 0

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """One request, while its body is read and after.

        Raises:
          RequestError: there are too many.
        """
        if self._requests >= self._limits.requests:
            raise _busy(f"{self._requests} requests")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    @contextlib.contextmanager
    def rows(self, request: PredictRequest) -> Iterator[None]:
        """The rows of one request, while they wait, run or are being sent.

        Raises:
          RequestError: the request has too many rows, or all of them together are too many.
        """
        rows = 1 if request.rows is None else request.rows
        is_open = not request.signature.is_mergeable
        most = self._limits.open_request_rows if is_open else self._limits.request_rows
        if rows > most:
            of = f" of {request.signature.name!r}" if is_open else ""
            raise bad_request(
                f"A request{of} to this server can have {most} rows at most. Received: {rows}."
            )
        # Such a row can be as large as many.
        count = rows * self._limits.request_rows if is_open else rows
        if self._rows + count > self._limits.rows:
            raise _busy(f"{self._rows} rows")
        self._rows += count
        try:
            yield
        finally:
            self._rows -= count


def _busy(amount: str) -> RequestError:
    return RequestError(503, f"The server is busy with {amount}; try again later.")
