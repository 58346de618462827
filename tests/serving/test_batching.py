"""Merging of waiting requests, and the answer that each of them gets."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.serving.batching import Admission, Batcher
from tf_biggan.serving.predict_request import COLUMN, PredictRequest
from tf_biggan.serving.request_errors import Limits, RequestError
from tf_biggan.serving.served_model import Signature, TensorSpec

LIMITS = Limits(batch_rows=8, batch_seconds=0.02)


class Double:
    """A signature that doubles numbers, refuses negative ones and records its batch sizes."""

    def __init__(self, error=None):
        self.batches, self.error = [], error

    def __call__(self, x):
        self.batches.append(tuple(x.shape))
        if self.error:
            raise self.error
        if tf.reduce_any(x < 0):
            raise tf.errors.InvalidArgumentError(None, None, "assertion failed: [`x` is negative.]")
        return {"y": 2 * x}


def signature(function, output_shape=(None,)):
    spec = TensorSpec(tf.float32, None)
    return Signature("double", {"x": spec}, {"y": TensorSpec(tf.float32, output_shape)}, function)


def request(of, values):
    array = np.array(values, np.float32)
    return PredictRequest(of, {"x": array}, len(array) if array.ndim else None, COLUMN)


def answers(*requests, limits=LIMITS):
    """Returns the output values or messages for requests that arrive together."""

    async def main():
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher(limits, thread)
            worker = asyncio.create_task(batcher.work())
            results = await asyncio.gather(*map(batcher.run, requests), return_exceptions=True)
            worker.cancel()
        return [r.message if isinstance(r, RequestError) else r["y"].tolist() for r in results]

    return asyncio.run(main())


def test_requests_that_wait_together_run_as_one_batch():
    double = Double()
    of = signature(double)
    assert answers(*(request(of, [n, n + 0.5][: 1 + n % 2]) for n in range(4))) == [
        [0.0],
        [2.0, 3.0],
        [4.0],
        [6.0, 7.0],
    ]
    assert double.batches == [(6,)]


def test_a_batch_has_no_more_rows_than_the_limit_and_keeps_requests_whole():
    double = Double()
    of = signature(double)
    got = answers(*(request(of, [float(n)] * 3) for n in range(5)))
    assert got == [[2.0 * n] * 3 for n in range(5)]
    assert double.batches == [(6,), (6,), (3,)]


def test_a_bad_request_fails_alone():
    double = Double()
    of = signature(double)
    got = answers(request(of, [1]), request(of, [-1]), request(of, [3]))
    assert got == [[2.0], "`x` is negative.", [6.0]]
    assert double.batches == [(3,), (1,), (1,), (1,)]


def test_signatures_and_shapes_are_not_mixed():
    one, two = Double(), Double()
    first, second = signature(one), signature(two)
    requests = [
        request(first, [1]),
        request(second, [2]),
        request(first, [[3]]),
        request(first, [4]),
    ]
    assert answers(*requests) == [[2.0], [4.0], [[6.0]], [8.0]]
    assert one.batches == [(2,), (1, 1)] and two.batches == [(1,)]


def test_scalars_and_outputs_of_open_length_run_alone():
    double = Double()
    open_length = signature(double, (None, None, 3))
    assert answers(request(open_length, [1]), request(open_length, [2])) == [[2.0], [4.0]]
    of = signature(double)
    assert answers(request(of, 1), request(of, 2)) == [2.0, 4.0]
    assert double.batches == [(1,), (1,), (), ()]


def test_a_request_above_the_batch_runs_in_parts():
    double = Double()
    numbers = [float(n) for n in range(20)]
    assert answers(request(signature(double), numbers)) == [[2 * n for n in numbers]]
    assert double.batches == [(8,), (8,), (4,)]


def test_outputs_that_are_not_one_row_a_row_are_never_cut_up():
    def pairs(x):
        return {"y": tf.repeat(2 * x, 2)}

    of = signature(pairs)
    assert answers(request(of, [1.0]), request(of, [2.0])) == [[2.0] * 2, [4.0] * 2]
    assert answers(request(of, [1.0] * 9)) == [[2.0] * 18]


def test_rows_are_admitted_up_to_the_limits():
    limits = Limits(request_rows=20, open_request_rows=2, rows=50)
    of, open_length = signature(Double()), signature(Double(), (None, None, 3))
    admission = Admission(limits)
    for refused, words in (
        (
            request(of, [0.0] * 21),
            "A request to this server can have 20 rows at most. Received: 21.",
        ),
        (
            request(open_length, [0.0] * 3),
            "A request of 'double' to this server can have 2 rows at most. Received: 3.",
        ),
    ):
        with pytest.raises(RequestError) as error, admission.rows(refused):
            pass
        assert (error.value.status, error.value.message) == (400, words)
    with admission.rows(request(open_length, [0.0] * 2)), admission.rows(request(of, [0.0] * 10)):
        with pytest.raises(RequestError) as error, admission.rows(request(of, [0.0])):
            pass
        assert error.value.status == 503 and "busy with 50 rows" in error.value.message
    with admission.rows(request(of, [0.0])):
        pass


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "The server is out of memory for a request of this size."),
        (RuntimeError("two\nlines"), "The model failed: two lines"),
        (
            tf.errors.InternalError(None, None, "odd [[{{node a/b}}]] [Op:c]"),
            "The model failed: odd",
        ),
    ],
)
def test_failures_of_the_model_are_told_without_its_insides(error, message):
    of = signature(Double(error))
    assert answers(request(of, [1]), request(of, [2])) == [message, message]


def test_a_request_whose_client_has_gone_is_not_run():
    double = Double()
    of = signature(double)

    async def main():
        with ThreadPoolExecutor(1) as thread:
            batcher = Batcher(LIMITS, thread)
            gone = asyncio.create_task(batcher.run(request(of, [1])))
            stays = asyncio.create_task(batcher.run(request(of, [2])))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.sleep(0)
            worker = asyncio.create_task(batcher.work())
            assert (await stays)["y"].tolist() == [4.0]
            worker.cancel()

    asyncio.run(main())
    assert double.batches == [(1,)]
