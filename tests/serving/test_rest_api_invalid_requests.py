"""Invalid requests get a clear 4xx answer, and the server keeps running."""

import concurrent.futures
import contextlib
import gzip
import http.client
import json
import socket
import time
import tracemalloc
import urllib.parse

import pytest

from tests.serving import saved_models
from tests.serving.client import ROW, call, predict
from tests.serving.conftest import running_server
from tf_biggan.serving.request_errors import Limits

BIG_BODY = 50 * 2**20
# The pieces of a body that the test itself holds are counted too. A server that held one body of 50
# MB would exceed the bound.
BOUND_OF_GROWTH = 24 * 2**20

WRONG_ROWS = {
    "label above the range": ({"label": 5}, "`label` must be from 0 to 4."),
    "label below the range": ({"label": -1}, "`label` must be from 0 to 4."),
    "negative seed": ({"seed": -1}, "`seed` must be 0 or more."),
    "NaN truncation": ({"truncation": float("nan")}, "`truncation` must be above 0 and at most 1."),
    "1e9 truncation": ({"truncation": 1e9}, "`truncation` must be above 0 and at most 1."),
    "infinite truncation": ({"truncation": float("inf")}, "`truncation` must be above 0"),
    "fraction for a label": ({"label": 1.5}, "'label' must hold integers. Received: 1.5."),
    "whole float for a label": ({"label": 1.0}, "'label' must hold integers. Received: 1.0."),
    "NaN for a label": ({"label": float("nan")}, "'label' must hold integers. Received: NaN."),
    "text for a label": ({"label": "1"}, "'label' must hold integers. Received: \"1\"."),
    "bool for a label": ({"label": True}, "'label' must hold integers. Received: true."),
    "null for a seed": ({"seed": None}, "'seed' must hold integers. Received: null."),
    "object for a seed": (
        {"seed": {"a": 1}},
        "'seed' must hold integers. Received: an object.",
    ),
    "too large for int64": ({"seed": 2**63}, "'seed' must be int64"),
    "too large for float32": ({"truncation": 1e39}, "which cannot hold 1e+39."),
    "integer that float32 rounds": ({"truncation": 2**24 + 1}, "which cannot hold 16777217."),
    "bool for a truncation": ({"truncation": True}, "'truncation' must hold numbers."),
    "list for a label": ({"label": [1]}, "'label' must have the shape [any]. Received: [1, 1]."),
    "unknown input": ({"size": 3}, "Unknown input 'size' in row 0; the signature"),
}
WRONG_BODIES = {
    "nothing": (b"", "The body must be JSON"),
    "malformed": (b'{"instances": [', "at line 1, column 16."),
    "no UTF-8": (b'{"instances": "\xff"}', "The body must be JSON in UTF-8."),
    "no object": (b"[1, 2]", "The body must be a JSON object"),
    "deep": (b"[" * 200_000, "nested too deeply"),
    "deep input": (
        b'{"signature_name": "embed", "inputs": %b1%b}' % (b"[" * 40, b"]" * 40),
        "'label' is nested too deeply",
    ),
    "long number": (b'{"instances": [%b]}' % (b"9" * 5000), "a number that is too large"),
    "large exponent": (b'{"instances": [1e999]}', "a number that is too large: 1e999"),
    "neither form": (b"{}", "either 'instances' (rows) or 'inputs' (columns)"),
    "both forms": (b'{"instances": [1], "inputs": [1]}', "either 'instances' (rows)"),
    "unknown key": (b'{"instances": [1], "batch": 3}', "Unknown key 'batch'"),
    "no list": (b'{"instances": 3}', "'instances' must be a list"),
    "no rows": (b'{"instances": []}', "'instances' must have at least one row."),
    "plain rows": (b'{"instances": [1, 2]}', "Row 0 must be an object with label, seed"),
    "plain columns": (b'{"inputs": [1, 2]}', "'inputs' must be an object with label, seed"),
    "number as name": (b'{"signature_name": 3, "instances": [1]}', "must be a string"),
    "unknown signature": (
        b'{"signature_name": "x", "instances": [1]}',
        "The model has no signature 'x'; it has",
    ),
    "bad base64": (
        b'{"signature_name": "generate_png_by_name",'
        b' "instances": [{"class_name": {"b64": "?"}, "seed": 1, "truncation": 1}]}',
        "not base64",
    ),
    "half a character": (
        b'{"signature_name": "generate_png_by_name",'
        b' "instances": [{"class_name": "\\ud800", "seed": 1, "truncation": 1}]}',
        "not UTF-8",
    ),
}


@pytest.fixture(autouse=True)
def server_lives_on(server):
    """Checks after each test that the server still answers, once it is no longer busy."""
    yield
    deadline = time.monotonic() + 20
    while (answer := predict(server, [2], "embed"))[0] == 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer == (200, {"predictions": [[0, 0, 1, 0]]})


def assert_clear(answer, status, words, expected=400):
    """Checks for a 4xx answer of one sentence with `words` and without TensorFlow's details."""
    assert status == expected, answer
    message = answer["error"]
    assert words in message
    assert "\n" not in message and len(message) < 300
    for inside in ("node", "Op:", "Traceback", "assertion", "Graph execution", "StatefulPart"):
        assert inside not in message


@pytest.mark.parametrize(("change", "words"), WRONG_ROWS.values(), ids=WRONG_ROWS)
def test_wrong_values_are_told(server, change, words):
    status, answer = predict(server, [{**ROW, **change}])
    assert_clear(answer, status, words)


@pytest.mark.parametrize(("body", "words"), WRONG_BODIES.values(), ids=WRONG_BODIES)
def test_wrong_bodies_are_told(server, body, words):
    status, answer = call(f"{server}/v1/models/birds:predict", body)
    assert_clear(answer, status, words)


@pytest.mark.parametrize("name", ["label", "class_name"])
def test_any_depth_of_nesting_is_told(server, name):
    signature = {"label": "generate", "class_name": "generate_png_by_name"}[name]
    row = {name: "NESTED", "seed": 2, "truncation": 0.5}
    body = json.dumps({"signature_name": signature, "instances": [row]})
    # Python's parser accepts a few levels more than its writer, at a depth somewhat below 1,000.
    for depth in (20, 400, *range(900, 1000), 30_000):
        nested = '{"a":' * depth + "1" + "}" * depth
        status, answer = call(
            f"{server}/v1/models/birds:predict", body.replace('"NESTED"', nested).encode()
        )
        assert_clear(answer, status, "")


def test_missing_input_is_told_with_the_accepted_ones(server):
    status, answer = predict(server, [ROW, {"label": 1, "seed": 2}])
    assert_clear(answer, status, "Missing input 'truncation' in row 1")
    assert "label, seed, truncation" in answer["error"]
    status, answer = predict(server, inputs={"label": [1], "seed": [2]})
    assert_clear(answer, status, "Missing input 'truncation' in 'inputs'")


def test_columns_of_unequal_length_are_told(server):
    inputs = {"label": [1, 2], "seed": [2], "truncation": [0.5, 0.5]}
    status, answer = predict(server, inputs=inputs)
    assert_clear(answer, status, "Received: label=2, seed=1, truncation=2.")


def test_ragged_lists_and_wrong_widths_are_told(server):
    inputs = {"z": [[0, 0, 0, 0], [0, 0, 0]], "y": [[0] * 5] * 2, "truncation": 1}
    status, answer = predict(server, signature="default", inputs=inputs)
    assert_clear(answer, status, "The lists of 'z' must have equal lengths")
    inputs["z"] = [[0, 0, 0]] * 2
    status, answer = predict(server, signature="default", inputs=inputs)
    assert_clear(answer, status, "'z' must have the shape [any, 4]. Received: [2, 3].")


def test_a_batch_of_ten_thousand_is_refused_by_number(server):
    status, answer = predict(server, [ROW] * 10_000)
    assert_clear(answer, status, "64 rows at most. Received: 10000.")


def test_a_hundred_clients_at_once_get_what_each_would_get_alone(server):
    def ask(number):
        row = {"label": number % 7, "seed": number, "truncation": 0.5}
        return number, predict(server, [row])

    with concurrent.futures.ThreadPoolExecutor(100) as clients:
        for number, (status, answer) in clients.map(ask, range(200)):
            label = number % 7
            if label < saved_models.NUM_CLASSES:
                assert status == 200
                assert answer["predictions"] == [saved_models.picture(label, number, 0.5)]
            else:
                assert_clear(answer, status, "`label` must be from 0 to 4.")


def test_large_bodies_are_refused_without_being_held(server):
    with bounded_growth():
        for declared in (True, False, True, False):
            status, answer = send_zeros(server, BIG_BODY, declared)
            assert_clear(answer, status, "at most 4,194,304 bytes", 413)


def test_compressed_bodies_are_refused_before_they_are_unpacked(server):
    body = gzip.compress(bytes(BIG_BODY))
    address = f"{server}/v1/models/birds:predict"
    assert len(body) < 100_000
    with bounded_growth():
        status, answer = call(address, body, {"Content-Encoding": "gzip"})
    assert_clear(answer, status, "must not be compressed. Received: gzip.", 415)


def test_clients_that_leave_early_harm_nobody(server):
    place = urllib.parse.urlsplit(server)
    body = json.dumps({"instances": [ROW] * 64}).encode()
    head = b"POST /v1/models/birds:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    for sent in (body, body[:-100]):
        for _ in range(20):
            with socket.create_connection((place.hostname, place.port)) as connection:
                connection.sendall(head % len(body) + sent)


def test_bodies_that_never_end_and_too_many_requests(birds):
    limits = Limits(requests=3, body_seconds=1.5)
    with running_server(birds, limits) as server:
        place = urllib.parse.urlsplit(server)
        head = b"POST /v1/models/birds:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
        slow = [socket.create_connection((place.hostname, place.port)) for _ in range(3)]
        for connection in slow:
            connection.sendall(head)
        status, answer = busy_answer(server)
        assert_clear(answer, status, "The server is busy with 3 requests", 503)
        for connection in slow:
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
            connection.close()
        assert predict(server, [2], "embed")[0] == 200


def test_more_rows_than_memory_is_meant_for_are_told_to_come_later(birds):
    with running_server(birds, Limits(rows=64, batch_seconds=0.5)) as server:
        with concurrent.futures.ThreadPoolExecutor(2) as clients:
            answers = list(clients.map(lambda rows: predict(server, rows), [[ROW] * 40] * 2))
        (done,) = [answer for status, answer in answers if status == 200]
        (told,) = [answer for status, answer in answers if status != 200]
        assert len(done["predictions"]) == 40
        assert_clear(told, 503, "busy with 40 rows", 503)


def busy_answer(server):
    """Returns the first answer of a few tries that is not a success."""
    for _ in range(50):
        status, answer = predict(server, [2], "embed")
        if status != 200:
            break
    return status, answer


def send_zeros(server, size, declared):
    """Sends a body of `size` bytes in small pieces and returns (status, JSON value)."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server).netloc, timeout=60)
    pieces = (bytes(2**16) for _ in range(size // 2**16))
    headers = {"Content-Length": str(size)} if declared else {"Transfer-Encoding": "chunked"}
    chunked = not declared
    try:
        address = "/v1/models/birds:predict"
        connection.request("POST", address, pieces, headers, encode_chunked=chunked)
    except (BrokenPipeError, ConnectionResetError):
        # The server may stop reading, but its answer has arrived all the same.
        pass
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@contextlib.contextmanager
def bounded_growth():
    """Fails if this process, in which the server runs, allocates more than a limit at one time.

    Python's own allocations are counted, which include bodies. The memory of the whole process also
    changes with other threads and earlier tests.
    """
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < BOUND_OF_GROWTH
    finally:
        tracemalloc.stop()


def test_a_client_that_does_not_take_its_answer_makes_room_for_others(birds):
    ends = {name: [1] * 4 for name in ("start_label", "start_seed", "end_label", "end_seed")}
    inputs = {**ends, "steps": [64] * 4, "truncation": [0.5] * 4}
    body = json.dumps({"signature_name": "interpolate", "inputs": inputs}).encode()
    head = (
        f"POST /v1/models/birds:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with running_server(birds, Limits(rows=256, write_seconds=1.0)) as server:
        place = urllib.parse.urlsplit(server)
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            stalled.connect((place.hostname, place.port))
            # The answers fill every buffer between server and client.
            stalled.sendall((head.encode() + body) * 12)
            statuses = []
            while statuses[-1:] != [200] or 503 not in statuses:
                statuses.append(predict(server, [ROW], "generate_png")[0])
                assert len(statuses) < 100, statuses
                time.sleep(0.1)
