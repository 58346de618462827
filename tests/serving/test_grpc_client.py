"""The gRPC client against a server of an export's signatures, made of TensorFlow Serving's stubs.

These tests are skipped without the package tensorflow-serving-api. TensorFlow Serving itself was
not run.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import tensorflow as tf

grpc = pytest.importorskip("grpc")
predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
service_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")

MODEL = pathlib.Path(__file__).parents[1] / "version_0_1" / "export" / "1"
ENDLESS = 60
STATUSES = [status for status in grpc.StatusCode if status != grpc.StatusCode.OK]


class Service(service_pb2.PredictionServiceServicer):
    """Answers with the signatures of a SavedModel.

    Attributes:
      requests: Requests in the order of their arrival.
      seconds_left: Time until the deadline of each request, at its arrival.
      statuses: Statuses of the next answers, before requests are computed.
      answer: Bytes to answer with in place of an image, or None.
      release: Event that slow answers wait for; set if answers are not slow.
    """

    def __init__(self):
        self.loaded = tf.saved_model.load(str(MODEL))
        self.release = Event()
        self.reset()

    def reset(self):
        self.requests, self.seconds_left, self.statuses, self.answer = [], [], [], None
        self.release.set()

    def Predict(self, request, context):  # noqa: N802
        self.requests.append(request)
        self.seconds_left.append(context.time_remaining())
        self.release.wait(ENDLESS)
        if self.statuses:
            context.abort(self.statuses.pop(0), "told by the test")
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        function = self.loaded.signatures[request.model_spec.signature_name]
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        answer = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            made = value if self.answer is None else tf.constant([self.answer] * len(value))
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(made))
        return answer


@contextlib.contextmanager
def serving(service):
    """Runs a server on a free port and yields its address."""
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", -1)])
    service_pb2.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        service.release.set()
        server.stop(None).wait()


@pytest.fixture(scope="module")
def running():
    service = Service()
    with serving(service) as address:
        yield service, address


@pytest.fixture
def service(running):
    running[0].reset()
    return running[0]


@pytest.fixture
def ask(running, clients, tmp_path, monkeypatch):
    """Returns a function that runs the client with flags and returns its exit code."""
    client = clients("grpc_client")
    # The waits between retries are the subject of another test.
    monkeypatch.setattr(sys.modules["picture_requests"], "FIRST_WAIT_SECONDS", 0.0)
    common = [f"--server={running[1]}", "--model=digits", f"--output={tmp_path}", "--label=3"]
    return lambda *flags: client.main([*common, *flags])


def saved(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def expected_pictures(service, label, seeds, truncation):
    """Returns the PNG files that the signature makes of all seeds at once."""
    made = service.loaded.signatures["generate_png"](
        label=tf.constant([label] * len(seeds), tf.int64),
        seed=tf.constant(seeds, tf.int64),
        truncation=tf.constant([truncation] * len(seeds)),
    )["image_bytes"].numpy()
    names = (f"{label}-seed{seed}-truncation{truncation}.png" for seed in seeds)
    return dict(zip(names, made, strict=True))


def test_pictures_are_those_of_the_export_in_any_batch(service, ask, tmp_path):
    pictures = expected_pictures(service, 3, [0, 1, 2, 3, 4], 0.7)
    assert ask("--seeds=0-4", "--truncation=0.7", "--batch=2", "--version=5") == 0
    assert saved(tmp_path) == pictures
    sizes = [request.inputs["seed"].tensor_shape.dim[0].size for request in service.requests]
    assert sizes == [2, 2, 1]
    spec = service.requests[0].model_spec
    assert (spec.name, spec.signature_name, spec.version.value) == ("digits", "generate_png", 5)
    for path in tmp_path.iterdir():
        path.unlink()
    assert ask("--seeds=0-4", "--truncation=0.7", "--batch=8") == 0
    assert saved(tmp_path) == pictures and len(service.requests) == 4


def test_clients_at_the_same_time_get_their_own_pictures(service, ask, tmp_path):
    seeds = range(12)
    with ThreadPoolExecutor(4) as clients:
        codes = clients.map(lambda seed: ask(f"--seeds={seed}", "--truncation=0.5"), seeds)
        assert list(codes) == [0] * len(seeds)
    assert saved(tmp_path) == expected_pictures(service, 3, list(seeds), 0.5)


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status.name)
def test_only_unavailable_is_tried_again(service, ask, tmp_path, capsys, status):
    service.statuses = [status] * 9
    assert ask("--retries=2") == 1
    assert len(service.requests) == (3 if status == grpc.StatusCode.UNAVAILABLE else 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gRPC status {status.name}: told by the test")
    assert not saved(tmp_path)


def test_a_server_that_becomes_available_answers(service, ask, tmp_path):
    service.statuses = [grpc.StatusCode.UNAVAILABLE] * 2
    assert ask("--retries=2") == 0
    assert len(service.requests) == 3 and len(saved(tmp_path)) == 1


def test_a_server_that_is_not_running_is_tried_again_and_told(clients, tmp_path, capsys):
    with serving(Service()) as address:
        pass
    client = clients("grpc_client")
    flags = [f"--server={address}", "--model=m", f"--output={tmp_path}", "--retries=1"]
    assert client.main(flags) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gRPC status UNAVAILABLE: ") and address in line


def test_the_deadline_reaches_the_server_and_is_not_tried_again(service, ask, tmp_path, capsys):
    assert ask("--timeout=30") == 0
    assert 25 < service.seconds_left[0] <= 30
    service.release.clear()
    assert ask("--timeout=0.2", "--seeds=1") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gRPC status DEADLINE_EXCEEDED: ") and "longer --timeout" in line
    assert len(service.requests) == 2 and service.seconds_left[1] <= 0.2
    assert list(saved(tmp_path)) == ["3-seed0-truncation0.5.png"]


def test_answers_may_be_larger_than_the_limit_of_grpc_but_not_than_that_of_the_client(
    service, ask, tmp_path, capsys
):
    service.answer = bytes(5 * 2**20)
    assert ask() == 0
    assert list(saved(tmp_path).values()) == [service.answer]
    assert ask("--seeds=1", "--max_megabytes=4") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gRPC status RESOURCE_EXHAUSTED: ") and "smaller --batch" in line
    assert len(service.requests) == 2


def test_the_rules_of_the_signature_are_told_at_once(running, service, clients, tmp_path, capsys):
    client = clients("grpc_client")
    common = [f"--server={running[1]}", "--model=digits", f"--output={tmp_path}"]
    assert client.main([*common, "--label=10"]) == 1
    assert len(service.requests) == 1
    assert "label" in capsys.readouterr().err and not saved(tmp_path)
