"""The clients and the load test of export/, with the local server and a gRPC server."""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.serving import saved_models
from tf_biggan.serving.served_model import load_saved_model

EXPORT = pathlib.Path(__file__).parents[2] / "export"
CLIENTS = EXPORT / "clients"


@pytest.fixture(scope="module")
def clients():
    """Returns the clients' modules by name."""
    sys.path.insert(0, str(CLIENTS))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, CLIENTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    sys.path.remove(str(CLIENTS))


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


def test_grpc_client_against_a_prediction_service(clients, birds, tmp_path, capsys):
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")
    client = clients("grpc_client")
    service = prediction_service(grpc, load_saved_model(f"{birds}/1"))
    server = grpc.server(ThreadPoolExecutor(2))
    client.prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    address = f"--server=127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    common = [address, "--model=birds", f"--output={tmp_path}", "--truncation=0.7", "--batch=2"]
    try:
        assert client.main([*common, "--class_name=daisy", "--seeds=0-2"]) == 0
        assert client.main([*common, "--label=9"]) == 1
        slow = [address, "--model=slow", "--label=1", "--timeout=0.05", "--retries=1"]
        assert client.main([*slow, f"--output={tmp_path}"]) == 1
    finally:
        server.stop(None)
    assert_picture(tmp_path / "daisy-seed2-truncation0.7.png", 4, 2, 0.7)
    errors = capsys.readouterr().err.splitlines()
    assert "INVALID_ARGUMENT" in errors[0] and "`label` must be from 0 to 4." in errors[0]
    assert "DEADLINE_EXCEEDED" in errors[1] and len(errors) == 2
    # The first answer was UNAVAILABLE, and the slow model was called twice.
    assert service.rows == [2, 2, 1, 1, "slow", "slow"]


def prediction_service(grpc, model):
    """A gRPC service over a SavedModel that is busy at the first request."""
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        rows: list

        def Predict(self, request, context):  # noqa: N802
            if request.model_spec.name == "slow":
                self.rows.append("slow")
                time.sleep(0.3)
                return predict_pb2.PredictResponse()
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            self.rows.append(len(inputs["seed"]))
            if len(self.rows) == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
            try:
                outputs = model.signatures[request.model_spec.signature_name].run(inputs)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            answer = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return answer

    service = Service()
    service.rows = []
    return service


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
