"""TensorFlow Serving's REST API: forms of requests and answers, versions, status and metadata."""

import base64
import io
import json
import pathlib
import shutil
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.serving import saved_models
from tests.serving.client import ROW, call, predict
from tests.serving.conftest import running_server
from tf_biggan.store.opened_model import FORMAT


def pixels(answer):
    """Returns the array in {"b64": PNG}."""
    assert set(answer) == {"b64"}
    return np.array(Image.open(io.BytesIO(base64.b64decode(answer["b64"]))))


def test_row_format_of_a_single_output_is_a_list_of_its_rows(server):
    rows = [ROW, {"label": 3, "seed": 0, "truncation": 1.0}]
    status, answer = predict(server, rows)
    assert status == 200 and set(answer) == {"predictions"}
    np.testing.assert_array_equal(answer["predictions"][0], saved_models.picture(1, 2, 0.5))
    np.testing.assert_array_equal(answer["predictions"][1], saved_models.picture(3, 0, 1.0))


def test_column_format_of_a_single_output_is_the_output(server):
    columns = {"label": [1], "seed": [2], "truncation": [0.5]}
    status, answer = predict(server, inputs=columns)
    assert status == 200 and set(answer) == {"outputs"}
    np.testing.assert_array_equal(answer["outputs"], [saved_models.picture(1, 2, 0.5)])


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_pictures_are_base64_of_png(server, form):
    columns = {name: [value] for name, value in ROW.items()}
    given = {"instances": [ROW], "inputs": columns}[form]
    status, answer = predict(server, signature="generate_png", **{form: given})
    (picture,) = answer[{"instances": "predictions", "inputs": "outputs"}[form]]
    assert status == 200
    np.testing.assert_array_equal(pixels(picture), saved_models.picture(1, 2, 0.5))


@pytest.mark.parametrize("name", ["daisy", {"b64": base64.b64encode(b"daisy").decode()}])
def test_strings_go_in_as_text_or_base64(server, name):
    row = {"class_name": name, "seed": 2, "truncation": 0.5}
    status, answer = predict(server, [row], "generate_png_by_name")
    assert status == 200
    np.testing.assert_array_equal(pixels(answer["predictions"][0]), saved_models.picture(4, 2, 0.5))


def test_one_input_needs_no_name(server):
    one_hot = [[0, 1, 0, 0], [0, 0, 1, 0]]
    assert predict(server, [1, 2], "embed") == (200, {"predictions": one_hot})
    assert predict(server, signature="embed", inputs=[1, 2]) == (200, {"outputs": one_hot})
    assert predict(server, [{"label": 1}], "embed") == (200, {"predictions": one_hot[:1]})


def test_several_outputs_are_objects_in_rows_and_lists_in_columns(several_outputs):
    by_name = {
        "half": [0.5, 1.0],
        "text": ["1", "2"],
        "raw_bytes": [{"b64": "MQ=="}, {"b64": "Mg=="}],
    }
    rows = [{name: values[i] for name, values in by_name.items()} for i in range(2)]
    status, answer = predict(several_outputs, [1, 2], model="several")
    assert (status, answer["predictions"]) == (200, rows)
    status, answer = predict(several_outputs, inputs=[1, 2], model="several")
    assert (status, answer["outputs"]) == (200, by_name)


def test_a_scalar_output_needs_column_format(several_outputs):
    status, answer = predict(several_outputs, [1, 3], "total", model="several")
    assert status == 400 and "'inputs'" in answer["error"]
    answer = predict(several_outputs, signature="total", inputs=[1, 3], model="several")
    assert answer == (200, {"outputs": 4.0})


@pytest.mark.parametrize("truncation", [0.5, [0.5, 1.0]], ids=["scalar", "rows"])
def test_truncation_of_default_is_a_scalar_or_one_a_row(server, truncation):
    z, y = [[1.0] * 4, [2.0] * 4], [[0.0] * 5] * 2
    inputs = {"z": z, "y": y, "truncation": truncation}
    status, answer = predict(server, signature="default", inputs=inputs)
    expected = np.tanh(np.array([1.0, 2.0]) * truncation)
    assert status == 200
    np.testing.assert_allclose(np.array(answer["outputs"])[:, 0, 0, 0], expected, rtol=1e-6)


def test_empty_columns_give_an_empty_result(server):
    inputs = {"label": [], "seed": [], "truncation": []}
    assert predict(server, inputs=inputs) == (200, {"outputs": []})
    empty = {"z": [], "y": [], "truncation": 0.5}
    assert predict(server, signature="default", inputs=empty) == (200, {"outputs": []})


def test_as_many_rows_as_the_limit_are_answered(server):
    rows = [{**ROW, "seed": seed} for seed in range(64)]
    status, answer = predict(server, rows)
    assert status == 200
    for seed in (0, 31, 63):
        expected = saved_models.picture(1, seed, 0.5)
        np.testing.assert_array_equal(answer["predictions"][seed], expected)


def test_status_lists_versions_newest_first(server):
    available = [
        {
            "version": version,
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for version in "21"
    ]
    _, answer = call(f"{server}/v1/models/birds")
    assert answer["model_version_status"][:2] == available
    assert call(f"{server}/v1/models/birds/versions/1")[1]["model_version_status"] == available[1:]


def test_every_version_is_addressable(server):
    address = f"{server}/v1/models/birds/versions/1:predict"
    status, answer = call(address, {"instances": [2], "signature_name": "embed"})
    assert (status, answer) == (200, {"predictions": [[0, 0, 1, 0]]})


def test_a_version_that_cannot_be_loaded_is_said_and_harms_no_other(server):
    status, answer = call(f"{server}/v1/models/birds/versions/0:predict", {"instances": [1]})
    assert status == 404 and "Cannot read the SavedModel" in answer["error"]
    (state,) = call(f"{server}/v1/models/birds/versions/0")[1]["model_version_status"]
    assert state["state"] == "END" and state["status"]["error_code"] == "NOT_FOUND"
    assert predict(server, [1], "embed")[0] == 200


def test_metadata_is_the_signatures_as_tensorflow_serving_forms_them(server):
    status, answer = call(f"{server}/v1/models/birds/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "birds", "signature_name": "", "version": "2"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["generate_png"]
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert signature["inputs"]["label"]["dtype"] == "DT_INT64"
    assert signature["inputs"]["label"]["tensor_shape"] == shape
    assert signature["outputs"]["image_bytes"]["dtype"] == "DT_STRING"
    assert signature["method_name"] == "tensorflow/serving/predict"


def test_metadata_parses_as_tensorflow_servings_message(server):
    messages = pytest.importorskip("tensorflow_serving.apis.get_model_metadata_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    _, answer = call(f"{server}/v1/models/birds/metadata")
    text = json.dumps(answer["metadata"]["signature_def"])
    stored = json_format.Parse(text, messages.SignatureDefMap())
    assert stored.signature_def["embed"].outputs["embedding"].dtype == tf.float32.as_datatype_enum


@pytest.mark.parametrize(
    ("address", "body", "status", "words"),
    [
        ("/v1/models/dogs", None, 404, "has no model 'dogs'"),
        ("/v1/models/dogs:predict", {}, 404, "it serves 'birds'"),
        ("/v1/models/birds/versions/7:predict", {}, 404, "has no version 7 of 'birds'"),
        ("/v1/models/birds/labels/stable:predict", {}, 404, "no such address"),
        ("/v1/models/birds:classify", {}, 404, "no such address"),
        ("/v1/models/birds:predict", None, 405, "use POST for predict"),
        ("/v1/models/birds", {}, 405, "GET for the others"),
    ],
)
def test_wrong_addresses_get_an_error_as_json(server, address, body, status, words):
    answered, answer = call(server + address, body)
    assert answered == status and words in answer["error"]


def test_the_page_may_load_nothing_from_elsewhere(server):
    with urllib.request.urlopen(f"{server}/") as answer:
        text, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "://" not in text and "style=" not in text and "onclick" not in text


@pytest.fixture(scope="module")
def several_outputs(tmp_path_factory):
    """Returns a model with outputs of several kinds."""

    class Several(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "number")])
        def all(self, number):
            text = tf.strings.as_string(number)
            half = tf.cast(number, tf.float32) / 2
            return {"half": half, "text": text, "raw_bytes": tf.identity(text)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "number")])
        def total(self, number):
            return {"total": tf.reduce_sum(number)}

    path = str(tmp_path_factory.mktemp("models") / "several")
    module = Several()
    signatures = {"serving_default": module.all, "total": module.total}
    tf.saved_model.save(module, path, signatures=signatures)
    with running_server(path) as url:
        yield url


def test_the_page_is_told_how_many_rows_a_request_may_have(birds, tmp_path):
    """The page's strip of pictures is one request."""
    path = tmp_path / "1"
    shutil.copytree(pathlib.Path(birds) / "1", path)
    description = path / "assets.extra" / "tf_biggan.json"
    content = json.loads(description.read_text())
    description.write_text(json.dumps({"format": FORMAT, **content, "max_batch": 4}))
    with running_server(str(tmp_path)) as url:
        status, told = call(f"{url}/model.json")
    assert status == 200 and told["max_batch"] == 4
