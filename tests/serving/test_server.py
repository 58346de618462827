"""Starting and stopping the server."""

import http.client
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

import pytest

from tests.serving.client import predict
from tests.serving.conftest import running_server
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.serving.request_errors import Limits
from tf_biggan.serving.server import serve

RUNNER = """
import sys
from tf_biggan.cli.terminal import quiet_tensorflow
quiet_tensorflow()
from tf_biggan.serving.server import serve
sys.exit(serve(sys.argv[1], 0))
"""


def test_a_port_in_use_is_told(textures):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"Cannot listen on port {port} of .*: it is in use"):
            serve(textures, port, say=lambda line: None)


def test_a_model_that_cannot_be_loaded_is_told_before_listening(birds):
    with pytest.raises(ValueError, match="Cannot read the SavedModel"):
        serve(f"{birds}/0", 0)


@pytest.mark.parametrize("port", [-1, 65536, 80.5])
def test_a_port_that_is_none_is_told(textures, port):
    with pytest.raises(ValueError, match="`port` must be an integer from 0 to 65535"):
        serve(textures, port)


def test_a_missing_library_is_told_with_its_command(textures, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tf_biggan.serving.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ValueError, match=r"pip install 'tf_biggan\[serve\]'"):
        # The attribute `export` of the package is the function of that name.
        importlib.import_module("tf_biggan.export").main(ExportConfig(serve=textures))


def test_requests_under_way_are_finished_when_the_server_stops(birds):
    with running_server(birds, Limits(batch_seconds=1.5)) as url:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)
        body = json.dumps({"signature_name": "embed", "instances": [2]})
        connection.request("POST", "/v1/models/birds:predict", body)
        # The request has arrived by then; its batch waits longer for more requests.
        time.sleep(0.4)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, {"predictions": [[0, 0, 1, 0]]})


@pytest.mark.slow  # The server runs in a process of its own, which imports TensorFlow.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_server_with_code_0(textures, number):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", RUNNER, textures]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        greeting = process.stdout.readline()
        assert greeting.startswith("Try the model at http://127.0.0.1:")
        row = {"seed": 1, "truncation": 0.5}
        assert predict(greeting.split()[4].rstrip("/"), [row], model="textures")[0] == 200
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors) == (0, "Stopped.\n", "")
