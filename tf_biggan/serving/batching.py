"""Admits a limited number of requests at a time, and merges waiting requests into batches."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tf_biggan.serving.predict_request import PredictRequest
from tf_biggan.serving.request_errors import Limits, RequestError, as_request_error, bad_request
from tf_biggan.serving.served_model import Signature

Outputs = Mapping[str, np.ndarray]


class Admission:
    """Limits how many requests, and how many rows in total, the server handles at the same time.

    A request counts from its arrival until its answer is sent. A request beyond the limits is
    answered with status 503, so that the client can try again later.

    Args:
      limits: The limits.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._requests = self._rows = 0

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Counts one more request in progress while a `with` block runs.

        Raises:
          RequestError: The server already handles the maximum number of requests.
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
        """Counts the rows of one request inside a `with` block.

        Raises:
          RequestError: The request has too many rows, or too many rows are being handled already.
        """
        rows = 1 if request.rows is None else request.rows
        is_open = not request.signature.is_mergeable
        most = self._limits.open_request_rows if is_open else self._limits.request_rows
        if rows > most:
            of = f" of {request.signature.name!r}" if is_open else ""
            raise bad_request(
                f"A request{of} to this server can have {most} rows at most. Received: {rows}."
            )
        # A row of a signature such as "interpolate" gives many images, so it counts as many rows.
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


@dataclasses.dataclass(frozen=True, eq=False)
class _Waiting:
    """A request that waits in the queue.

    Attributes:
      request: The request to run.
      answer: Future for the request's outputs. It is cancelled if the client disconnects.
      arrived: Time of arrival on the event loop's clock, in seconds.
      kind: Requests of the same kind can be merged. None if the request cannot be merged.
    """

    request: PredictRequest
    answer: asyncio.Future
    arrived: float
    kind: tuple | None


class Batcher:
    """Runs requests one batch at a time, merging waiting requests for the same signature.

    Requests are merged along the first dimension of their inputs. The model runs in `thread`, and
    everything else in the event loop.

    Args:
      limits: Limits of the server. Only `batch_rows` and `batch_seconds` are used here.
      thread: Executor with a single thread.
    """

    def __init__(self, limits: Limits, thread: ThreadPoolExecutor):
        self._limits, self._thread = limits, thread
        self._queue: collections.deque[_Waiting] = collections.deque()
        self._arrival = asyncio.Event()

    async def run(self, request: PredictRequest) -> Outputs:
        """Returns the outputs of a request, by name, once it has run.

        Raises:
          RequestError: The model refuses the request.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, loop.create_future(), loop.time(), _kind(request))
        self._queue.append(waiting)
        self._arrival.set()
        return await waiting.answer

    async def work(self) -> None:
        """Runs queued requests in batches until this task is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._next_batch()
            if not batch:
                continue
            requests = [waiting.request for waiting in batch]
            rows = self._limits.batch_rows
            results = await loop.run_in_executor(self._thread, _run, requests, rows)
            for waiting, result in zip(batch, results, strict=True):
                if waiting.answer.done():
                    continue
                if isinstance(result, Exception):
                    waiting.answer.set_exception(as_request_error(result))
                else:
                    waiting.answer.set_result(result)

    async def _next_batch(self) -> list[_Waiting]:
        """Waits for a request and for others to merge with it; returns them as a batch.

        The waiting ends when the batch is full or `batch_seconds` after the request arrived.
        """
        while not self._queue:
            await self._arrived()
        first = self._queue[0]
        deadline = first.arrived + self._limits.batch_seconds
        while first.kind and self._rows(first.kind) < self._limits.batch_rows:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or not await self._arrived(left):
                break
        return self._take(first)

    async def _arrived(self, seconds: float | None = None) -> bool:
        """Waits for the next request and returns whether one arrived within `seconds`."""
        self._arrival.clear()
        try:
            await asyncio.wait_for(self._arrival.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _rows(self, kind: tuple) -> int:
        return sum(waiting.request.rows for waiting in self._queue if waiting.kind == kind)

    def _take(self, first: _Waiting) -> list[_Waiting]:
        """Removes a batch from the queue: `first` and the requests of its kind that still fit.

        Cancelled requests are dropped from the queue.
        """
        taken, rest, rows = [], collections.deque(), 0
        for waiting in self._queue:
            if waiting.answer.done():
                continue
            fits = waiting.kind is not None and waiting.kind == first.kind
            fits = fits and rows + waiting.request.rows <= self._limits.batch_rows
            if waiting is first or fits:
                taken.append(waiting)
                rows += waiting.request.rows or 0
            else:
                rest.append(waiting)
        self._queue = rest
        return taken


def _kind(request: PredictRequest) -> tuple | None:
    """Returns a key that is equal for requests that can be merged with each other.

    The key is None if the request cannot be merged with any other request.
    """
    if not request.is_mergeable:
        return None
    return (request.signature, *(array.shape[1:] for array in request.inputs.values()))


def _run(requests: Sequence[PredictRequest], batch_rows: int) -> list[Outputs | Exception]:
    """Returns the outputs, or the error, of every request of a batch.

    If the model refuses a merged batch, the requests are run one by one, so that an invalid request
    does not fail the others.
    """
    if len(requests) > 1:
        try:
            return _run_merged(requests)
        except (tf.errors.InvalidArgumentError, _NotRowByRowError):
            pass
        except Exception as error:
            return [error] * len(requests)
    return [_run_alone(request, batch_rows) for request in requests]


def _run_merged(requests: Sequence[PredictRequest]) -> list[Outputs]:
    signature = requests[0].signature
    merged = {
        name: np.concatenate([request.inputs[name] for request in requests])
        for name in signature.inputs
    }
    outputs = _run_rows(signature, merged)
    ends = np.cumsum([request.rows for request in requests])[:-1]
    parts = {name: np.split(array, ends) for name, array in outputs.items()}
    return [{name: parts[name][i] for name in parts} for i in range(len(requests))]


def _run_alone(request: PredictRequest, batch_rows: int) -> Outputs | Exception:
    try:
        if request.is_mergeable and request.rows > batch_rows:
            with contextlib.suppress(_NotRowByRowError):
                return _run_in_parts(request, batch_rows)
        return request.signature.run(request.inputs)
    except Exception as error:
        return error


def _run_in_parts(request: PredictRequest, batch_rows: int) -> Outputs:
    parts = [
        _run_rows(
            request.signature,
            {name: array[start : start + batch_rows] for name, array in request.inputs.items()},
        )
        for start in range(0, request.rows, batch_rows)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _run_rows(signature: Signature, inputs: Mapping[str, np.ndarray]) -> Outputs:
    outputs = signature.run(inputs)
    rows = len(next(iter(inputs.values())))
    if any(len(array) != rows for array in outputs.values()):
        raise _NotRowByRowError
    return outputs


class _NotRowByRowError(Exception):
    """Raised if the outputs of a batch do not have one row for each row of the inputs."""
