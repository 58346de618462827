"""JSON files with wrong types: one line names the file and the field."""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np
import pytest

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.classes import ClassLookup
from tf_biggan.evaluation.evaluator import read_statistics
from tf_biggan.generation.inversion import read_inverted
from tf_biggan.pictures.image_output import open_unfinished
from tf_biggan.store.model_directory import load_network, read_directory
from tf_biggan.store.opened_model import open_model, read_metadata
from tf_biggan.store.run_directory import (
    check_run,
    read_class_names,
    read_data_identity,
    read_initialization,
)
from tf_biggan.training.finetuning.class_map import read_class_map
from tf_biggan.training.finetuning.initialization import begin
from tf_biggan.training.logs import MetricsLog, read_metrics
from tf_biggan.training.scores import _best_until

FIXTURES = pathlib.Path(__file__).parent / "version_0_1"
DEEP = "[" * 100_000
CONFIG = json.loads((FIXTURES / "run" / "config.json").read_text())


@pytest.fixture
def run(tmp_path):
    shutil.copytree(FIXTURES / "run", tmp_path / "run")
    return tmp_path / "run"


def refused(call, *parts):
    with pytest.raises(ValueError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500, text
    for part in parts:
        assert part in text, text


def changed(group, **values):
    """Returns the text of config.json with other values in a group."""
    return json.dumps({**CONFIG, group: {**CONFIG[group], **values}})


CONFIGS = {
    "text for a number": (changed("run", seed="7"), "'run.seed' must be an integer, not \"7\""),
    "list for a number": (changed("step", g_learning_rate=[1]), "'step.g_learning_rate'"),
    "list of texts": (changed("model", g_attention=["a"]), "'model.g_attention' must be a list of"),
    "true for a number": (changed("run", save_every=True), "'run.save_every'"),
    "number for true": (changed("data", flip=1), "'data.flip' must be true or false, not 1"),
    "NaN": (changed("step", ema_decay=float("nan")), "'step.ema_decay' must be a finite number"),
    "null": (changed("run", num_iterations=None), "'run.num_iterations' must be an integer, not"),
    "damaged architecture": (
        changed("model", architecture={"name": "own", "variant": 3}),
        "the architecture: the field 'generator' is missing",
    ),
    "number for an architecture": (
        changed("model", architecture=3),
        "'model.architecture' must be a text or an object or null, not 3",
    ),
    "out of range": (changed("model", resolution=4), "`resolution` must be at least 8"),
    "unknown field": (changed("run", colour=1), "unknown field 'run.colour'"),
    "field of another group": (changed("data", seed=1), "unknown field 'data.seed'"),
    "group missing": (json.dumps({"model": {}, "run": {}}), "the field 'data' is missing"),
    "group null": (json.dumps({**CONFIG, "step": None}), "'step' must be an object, not null"),
    "unknown group": (json.dumps({**CONFIG, "more": {}}), "unknown field 'more'"),
    "a list": ("[]", "it must be an object, not []"),
    "null alone": ("null", "it must be an object, not null"),
    "cut in half": (json.dumps(CONFIG)[:200], "it must be JSON"),
    "empty": ("", "it must be JSON"),
    "nested": (DEEP, "nested too deeply"),
    "nested in a field": (changed("run", seed=0).replace('"seed": 0', f'"seed": {DEEP}'), "nested"),
}


@pytest.mark.parametrize(("text", "reason"), CONFIGS.values(), ids=CONFIGS.keys())
def test_config_json_in_train_and_in_other_commands(run, text, reason):
    (run / "config.json").write_text(text)
    named = f"Cannot read {run / 'config.json'}: "
    refused(lambda: open_model(str(run)), named, reason)

    def train():
        begin(TrainConfig(), str(run), ())
        check_run(str(run), TrainConfig())

    refused(train, named, reason)
    assert (run / "config.json").read_text() == text


@pytest.mark.parametrize("content", ["null", "3", '"abc"', '["a", 3]', "{}", "[", DEEP, "\0\0"])
def test_classes_json(run, content):
    (run / "classes.json").write_text(content)
    refused(lambda: read_class_names(str(run)), f"Cannot read {run / 'classes.json'}: it")


@pytest.mark.parametrize("content", ["null", "3", "[1]", "{", DEEP])
@pytest.mark.parametrize(
    ("name", "read"),
    [("initialization.json", read_initialization), ("data.json", read_data_identity)],
)
def test_initialization_json_and_data_json(run, content, name, read):
    (run / name).write_text(content)
    refused(lambda: read(str(run)), f"Cannot read {run / name}: it")


@pytest.mark.parametrize("field", ["num_images", "images_per_class", "index_sha256"])
def test_fields_of_data_json(run, field):
    content = {"num_images": 3, "images_per_class": [3], "index_sha256": "a", field: {}}
    (run / "data.json").write_text(json.dumps(content))
    refused(lambda: read_data_identity(str(run)), f"{run / 'data.json'}: the field {field!r} must")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"iteration": "3"}', "'iteration' must be an integer, not \"3\""),
        ('{"iteration": null}', "'iteration' must be an integer, not null"),
        ('{"iteration": 2.5}', "'iteration' must be an integer, not 2.5"),
        ('{"g_loss": 1.0}', "'iteration' is missing"),
        ('{"iteration": 1, "g_loss": [1]}', "'g_loss' must be a finite number, not [1]"),
        ('{"iteration": 1, "x": {}}', "'x' must be a finite number, not {}"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_metrics_jsonl(run, line, reason):
    path = run / "metrics.jsonl"
    text = '{"iteration": 1, "g_loss": null}\n' + line + "\n"
    path.write_text(text)
    named = f"Cannot read {path}, line 2: "
    refused(lambda: read_metrics(str(run)), named, reason)
    refused(lambda: MetricsLog(str(run), 3), named, reason)
    assert path.read_text() == text


def test_scores_of_metrics_jsonl_are_numbers(run):
    (run / "metrics.jsonl").write_text('{"iteration": 1, "fid": "low", "scored_as": "a"}\n')
    best = lambda: _best_until(str(run), 5, {"fid": True}, "a")  # noqa: E731
    refused(best, str(run / "metrics.jsonl"), "'fid' must be a finite number or null, not \"low\"")


def test_what_was_cut_off_in_metrics_jsonl_is_no_damage(run):
    path = run / "metrics.jsonl"
    path.write_bytes(b'{"iteration": 1}\n7\n\xff\xfe\n{"iteration": 2, "g\n')
    assert [entry["iteration"] for entry in read_metrics(str(run))] == [1]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"class_names": None}, "'class_names' must be a list of texts, not null"),
        ({"class_names": [1]}, "'class_names' must be a list of texts, not [1]"),
        ({"provenance": 3}, "'provenance' must be an object, not 3"),
        ({"generator": "big"}, "'generator' must be an object"),
        (
            {"generator": {"architecture": 3}},
            "its arguments of 'generator' do not describe a network",
        ),
        (
            {"generator": {"architecture": {}}},
            "its arguments of 'generator' do not describe a network",
        ),
        (
            {"generator": {"base_channels": "4"}},
            "its arguments of 'generator' do not describe a network",
        ),
        (
            {"generator": {"num_classes": -1}},
            "its arguments of 'generator' do not describe a network",
        ),
    ],
    ids=str,
)
def test_config_json_of_a_model_folder(tmp_path, values, reason):
    shutil.copytree(FIXTURES / "model", tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    for name, value in values.items():
        both = isinstance(value, dict) and isinstance(config[name], dict)
        config[name] = {**config[name], **value} if both else value
    path.write_text(json.dumps(config))
    folder = str(tmp_path / "model")
    read = lambda: load_network(read_directory(folder), "generator")  # noqa: E731
    refused(read, f"Cannot read {path}: ", reason)


def test_a_model_folder_whose_config_json_is_cut_or_nested(tmp_path):
    for text in ("{", DEEP, "null"):
        (tmp_path / "config.json").write_text(text)
        refused(lambda: open_model(str(tmp_path)), f"Cannot read {tmp_path / 'config.json'}: ")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"class_names": None}, "'class_names'"),
        ({"class_names": "cat"}, "'class_names'"),
        ({"truncation_mode": 3}, "'truncation_mode'"),
        ({"max_batch": "16"}, "'max_batch'"),
        ({"provenance": []}, "'provenance'"),
    ],
)
def test_the_description_in_an_export(tmp_path, values, reason):
    (tmp_path / "assets.extra").mkdir()
    path = tmp_path / "assets.extra" / "tf_biggan.json"
    path.write_text(json.dumps({"format": "tf_biggan export", **values}))
    refused(lambda: read_metadata(str(tmp_path)), f"Cannot read {path}: ", reason)
    path.write_text(json.dumps({"format": "another", **values}))
    assert read_metadata(str(tmp_path)) == {}


@pytest.mark.parametrize("text", ["null", "[1]", "{", DEEP, "3"])
def test_a_request_of_unfinished_images(tmp_path, text):
    folder = tmp_path / "set.unfinished"
    folder.mkdir()
    (folder / "request.json").write_text(text)
    opened = lambda: open_unfinished(str(tmp_path / "set"), {"seeds": "0"})  # noqa: E731
    refused(opened, f"Cannot read {folder / 'request.json'}: ")


@pytest.mark.parametrize("text", ["null", "[1]", "{", DEEP, '{"count": "many"}'])
def test_descriptions_in_npz_files(tmp_path, text):
    statistics = str(tmp_path / "s.npz")
    np.savez(statistics, mu=np.zeros(2), sigma=np.eye(2), description=text)
    refused(lambda: read_statistics(statistics), f"Cannot read {statistics}: ")
    inverted = str(tmp_path / "i.npz")
    np.savez(inverted, z=np.zeros(2), description=text)
    refused(lambda: read_inverted(inverted), inverted)


@pytest.mark.parametrize("text", ['{"a": 1', '{"a":' * 100_000])
def test_a_class_map(text):
    refused(lambda: read_class_map(text), "Cannot read the class map: ")
    assert ClassLookup(("a",), 1).parse("a") == (0,)
