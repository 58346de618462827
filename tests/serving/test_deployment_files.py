"""The files for TensorFlow Serving: their fields, as its messages and as YAML."""

import pathlib
import shutil
import subprocess
import urllib.parse

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf import wrappers_pb2 as wrappers

EXPORT = pathlib.Path(__file__).parents[2] / "export"


def test_models_config_serves_versions_that_its_labels_name():
    messages = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    parsed = text_format.Parse((EXPORT / "models.config").read_text(), messages.ModelServerConfig())
    (config,) = parsed.model_config_list.config
    assert (config.name, config.base_path) == ("biggan", "/models/biggan")
    assert config.model_platform == "tensorflow"
    assert set(config.version_labels) == {"stable", "canary"}
    versions = config.model_version_policy.specific.versions
    assert set(config.version_labels.values()) <= set(versions)


def test_the_policies_that_models_config_mentions_parse():
    messages = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    for policy in ("all {}", "latest { num_versions: 1 }"):
        assert policy in " ".join((EXPORT / "models.config").read_text().split())
        text_format.Parse(f"model_version_policy {{ {policy} }}", messages.ModelConfig())


def batching_parameters():
    """TensorFlow Serving's message (session_bundle_config.proto), which its API package lacks."""
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


def test_batching_parameters_obey_tensorflow_servings_rules():
    text = (EXPORT / "batching_parameters.txt").read_text()
    parameters = text_format.Parse(text, batching_parameters())
    sizes = list(parameters.allowed_batch_sizes)
    assert sizes == sorted(set(sizes)) and sizes[-1] == parameters.max_batch_size.value
    assert parameters.num_batch_threads.value >= 1
    assert parameters.max_enqueued_batches.value >= parameters.num_batch_threads.value
    assert 0 < parameters.batch_timeout_micros.value < 100_000


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
    """The service in the compose file."""
    return yaml.safe_load((EXPORT / "docker-compose.yml").read_text())["services"]["serving"]


def deployment():
    """(pod's specification, container, service) of the Kubernetes manifest."""
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
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert all(volume["read_only"] for volume in service["volumes"]) and service["read_only"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["user"].split(":")[0] != "0"


def test_kubernetes_manifest_has_probes_limits_and_no_root():
    pod, container, service = deployment()
    assert container["image"].startswith("tensorflow/serving:2.")
    assert set(container["resources"]) == {"requests", "limits"}
    assert "AVAILABLE" in container["readinessProbe"]["exec"]["command"][-1]
    assert container["livenessProbe"]["httpGet"]["path"] == "/v1/models/biggan"
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_both_deployments_read_the_files_that_are_here():
    places = {volume["target"]: volume["source"] for volume in compose()["volumes"]}
    _, container, _ = deployment()
    assert places["/config"] == "." and compose()["command"] == container["args"]
    files = [flag.split("=/config/")[1] for flag in container["args"] if "=/config/" in flag]
    assert len(files) == 3
    assert all((EXPORT / file).is_file() for file in files)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("name", ["birds", "biggan"])
def test_health_checks_see_whether_the_model_is_available(server, name):
    _, container, _ = deployment()
    checks = [compose()["healthcheck"]["test"][1:], container["readinessProbe"]["exec"]["command"]]
    port = urllib.parse.urlsplit(server).port
    for command in checks:
        text = command[-1].replace("/127.0.0.1/8501", f"/127.0.0.1/{port}")
        text = text.replace("/v1/models/biggan", f"/v1/models/{name}")
        done = subprocess.run([*command[:-1], text], check=False, capture_output=True, timeout=30)
        assert (done.returncode == 0) == (name == "birds"), done.stderr
