"""The clients and the load test of export/, with the local server and a gRPC server."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import numpy as np
import pytest
from PIL import Image

from tests.serving import saved_models

EXPORT = pathlib.Path(__file__).parents[2] / "export"
CLIENTS = EXPORT / "clients"


def run_script(*command, **environment):
    """Runs a script of export/ to its end and returns the finished process."""
    variables = {**os.environ, **environment}
    return subprocess.run(
        list(map(str, command)), check=False, capture_output=True, text=True, env=variables
    )


def assert_picture(path, label, seed, truncation):
    picture = np.array(Image.open(path))
    np.testing.assert_array_equal(picture, saved_models.picture(label, seed, truncation))


@pytest.mark.parametrize("what", ["--label=4", "--class_name=daisy"])
def test_rest_client_saves_pictures_in_batches(server, tmp_path, what):
    done = run_script(
        *(sys.executable, CLIENTS / "rest_client.py", f"--server={server}", "--model=birds"),
        *(what, "--seeds=0-4,9", "--batch=4", "--truncation=0.7", f"--output={tmp_path}"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    prefix = what.split("=")[1]
    expected = [f"{prefix}-seed{seed}-truncation0.7.png" for seed in (0, 1, 2, 3, 4, 9)]
    assert sorted(os.listdir(tmp_path)) == expected
    assert_picture(tmp_path / expected[-1], 4, 9, 0.7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label=9"], "The server answers 400: `label` must be from 0 to 4."),
        (["--label=1", "--version=7"], "The server answers 404: This server has no version 7"),
        (["--server=http://127.0.0.1:9"], "Cannot reach http://127.0.0.1:9/"),
    ],
)
def test_rest_client_says_what_is_wrong_at_once(server, tmp_path, arguments, words):
    command = (sys.executable, CLIENTS / "rest_client.py", f"--server={server}", "--model=birds")
    done = run_script(*command, f"--output={tmp_path}", *arguments)
    assert done.returncode == 1 and done.stderr.startswith(words)
    assert len(done.stderr.splitlines()) == 1 and not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("answers", "asked", "outcome"),
    [([503, 503, 200], 3, "ok"), ([400, 200], 1, "FinalError"), ([503] * 9, 5, "TemporaryError")],
)
def test_rest_client_tries_again_only_where_the_server_is_busy(clients, answers, asked, outcome):
    rest, shared = clients("rest_client"), sys.modules["picture_requests"]
    waits, given = [], iter(answers)
    count = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            nonlocal count
            count += 1
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"outputs": [{"b64": "QQ=="}], "error": "Busy."}).encode()
            self.send_response(next(given))
            self.send_header("Retry-After", "3")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as busy:
        Thread(target=busy.serve_forever, daemon=True).start()
        address = rest.address_of(f"http://127.0.0.1:{busy.server_port}", "m", None)
        try:
            call = lambda: rest.predict(address, "generate_png", {"seed": [1]}, 5)  # noqa: E731
            assert shared.with_retries(call, 4, waits.append) == [b"A"]
            got = "ok"
        except (shared.FinalError, shared.TemporaryError) as error:
            got = type(error).__name__
        busy.shutdown()
    assert (got, count) == (outcome, asked)
    assert waits == [3.0] * (asked - 1)


def test_waits_double_up_to_a_bound(clients):
    clients("rest_client")
    shared = sys.modules["picture_requests"]
    waits = []

    def call():
        raise shared.TemporaryError("busy")

    with pytest.raises(shared.TemporaryError):
        shared.with_retries(call, 9, waits.append)
    longest = [min(10.0, 0.2 * 2**attempt) for attempt in range(9)]
    assert all(top / 2 <= wait <= top for wait, top in zip(waits, longest, strict=True))


def test_rest_client_does_not_repeat_a_request_that_timed_out(clients):
    rest, shared = clients("rest_client"), sys.modules["picture_requests"]
    waits, release = [], Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            release.wait(10)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as slow:
        Thread(target=slow.serve_forever, args=[0.02], daemon=True).start()
        address = rest.address_of(f"http://127.0.0.1:{slow.server_port}", "m", None)
        call = lambda: rest.predict(address, "generate_png", {"seed": [1]}, 0.1)  # noqa: E731
        with pytest.raises(shared.FinalError, match=r"No answer within 0.1 s\. Give a longer"):
            shared.with_retries(call, 4, waits.append)
        release.set()
        slow.shutdown()
    assert waits == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_examples(server, tmp_path):
    picture = tmp_path / "picture.png"
    where = {"SERVER": server, "MODEL_NAME": "birds", "LABEL": "3", "OUTPUT": str(picture)}
    done = run_script("bash", CLIENTS / "curl.sh", **where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "AVAILABLE" in done.stdout and "`seed` must be 0 or more." in done.stdout
    assert_picture(picture, 3, 1, 0.5)


def test_load_test_counts_what_it_did(server):
    command = (sys.executable, EXPORT / "load_test.py", f"--server={server}", "--model=birds")
    done = run_script(*command, "--label=1", "--clients=4", "--rows=2", "--seconds=0.5")
    result = json.loads(done.stdout)
    assert done.returncode == 0 and result["failures"] == {} and result["requests"] >= 4
    rate = result["requests"] * 2 / result["seconds"]
    assert result["images_per_second"] == pytest.approx(rate, rel=0.02)
    latency = result["latency_milliseconds"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"] < 10_000


def test_load_test_fails_where_requests_fail(server):
    command = (sys.executable, EXPORT / "load_test.py", f"--server={server}", "--model=birds")
    done = run_script(*command, "--label=9", "--clients=2", "--seconds=0.3")
    assert done.returncode == 1 and set(json.loads(done.stdout)["failures"]) == {"status 400"}
