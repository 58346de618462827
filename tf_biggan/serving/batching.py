"""How much may be under way at the same time; what comes beyond is told to try again later."""

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


Outputs = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class _Waiting:
    """A request in the queue.

    Attributes:
      request: what to run.
      answer: its outputs, later; cancelled where the client has gone.
      arrived: by the loop's clock, in seconds.
      kind: requests of one kind can be merged; None merges with nothing.
    """

    request: PredictRequest
    answer: asyncio.Future
    arrived: float
    kind: tuple | None


class Batcher:
    """Runs requests, merged along the first dimension where several wait for one signature.

    Everything but the runs happens in the event loop; the runs happen in `thread`, one at a time.

    Args:
      limits: how many rows a batch has, and how long the first of it waits for more.
      thread: an executor of one thread.
    """

    def __init__(self, limits: Limits, thread: ThreadPoolExecutor):
        self._limits, self._thread = limits, thread
        self._queue: collections.deque[_Waiting] = collections.deque()
        self._arrival = asyncio.Event()

    async def run(self, request: PredictRequest) -> Outputs:
        """The outputs of a request.

        Raises:
          RequestError: the model refuses it.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, loop.create_future(), loop.time(), _kind(request))
        self._queue.append(waiting)
        self._arrival.set()
        return await waiting.answer

    async def work(self) -> None:
        """Answers requests until cancelled."""
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
        self._arrival.clear()
        try:
            await asyncio.wait_for(self._arrival.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _rows(self, kind: tuple) -> int:
        return sum(waiting.request.rows for waiting in self._queue if waiting.kind == kind)

    def _take(self, first: _Waiting) -> list[_Waiting]:
        """The first request and those of its kind that fit, out of the queue; no cancelled ones."""
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
    if not request.is_mergeable:
        return None
    return (request.signature, *(array.shape[1:] for array in request.inputs.values()))


def _run(requests: Sequence[PredictRequest], batch_rows: int) -> list[Outputs | Exception]:
    """Outputs or an error for every request.

    A merged batch that is refused is run again request by request, so that each gets what it
    would get alone.
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
    """The outputs of a batch are not one row for each row of its inputs."""
