"""Exports as ONNX, TFLite, Keras and safetensors: the same images, and what remains of failures."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.exporting.goldens import write_model
from tests.small_generators import varied_generator
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.exporting import converted_files, exporter
from tf_biggan.exporting.converted_files import LIMITS, write_converted
from tf_biggan.exporting.exporter import export
from tf_biggan.exporting.saved_model_description import description
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.serving.served_model import find_versions
from tf_biggan.store.model_directory import write_directory
from tf_biggan.store.opened_model import open_model, write_metadata

NAMES = ("ant", "bee", "crow", "dove")
LABELS = np.array([0, 3, 2])
TRUNCATIONS = np.array([0.1, 0.6, 1.0], "float32")
Z = TRUNCATIONS[:, None] * np.random.RandomState(0).uniform(-2, 2, (3, 8)).astype("float32")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Returns the folder of a model with three rows of statistics."""
    path = str(tmp_path_factory.mktemp("models") / "model")
    provenance = {"family": "a family", "files": [{"name": "G.pth", "sha256": "00"}]}
    discriminator = Discriminator("biggan32", len(NAMES), base_channels=1, seed=0)
    networks = {"generator": varied_generator(len(NAMES)), "discriminator": discriminator}
    write_directory(path, networks, NAMES, {**provenance, "licence_note": "for tests"})
    return path


@pytest.fixture(scope="module")
def images(model):
    """Returns images of the generator itself, whose kernels are not divided by sigma yet."""
    return np.asarray(open_model(model).generator(Z, LABELS, truncation=TRUNCATIONS))


@pytest.fixture
def without_sheet(monkeypatch):
    """Leaves out samples.png, which takes longer than the rest. Slow tests write it."""
    monkeypatch.setattr(exporter, "write_samples_of", lambda *given: None)


def exported(model, tmp_path, kind, **settings):
    path = tmp_path / kind
    lines = export(ExportConfig(model=model, output=str(path), format=kind, **settings))
    return path, lines


def inputs(rows, num_classes=4, z=Z):
    y = np.eye(num_classes, dtype="float32")[LABELS]
    given = {"z": z, "y": y, "truncation": TRUNCATIONS}
    return {name: value[:rows] for name, value in given.items()}


def run_snippet(folder, monkeypatch) -> dict:
    """Runs the code of a model card in its folder and returns the variables."""
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(folder)
    made = {}
    exec(code, made)
    return made


def expected_of_snippet(model, made):
    generator = open_model(model).generator
    return np.asarray(generator(made["z"], [0, len(NAMES) - 1], truncation=0.5))


@pytest.mark.usefixtures("without_sheet")
def test_an_onnx_file_makes_the_images_of_the_model(model, images, tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    path, (line,) = exported(model, tmp_path, "onnx")
    assert re.fullmatch(r"checked with onnxruntime .*: images .* at most \d\.\de-\d\d", line)
    assert sorted(os.listdir(path)) == ["generator.onnx", "model_card.md", "tf_biggan.json"]
    file = onnx.load(path / "generator.onnx")
    onnx.checker.check_model(file, full_check=True)
    assert {(one.domain, one.version) for one in file.opset_import if one.domain == ""} == {
        ("", 18)
    }
    session = onnxruntime.InferenceSession(path / "generator.onnx")
    shapes = {one.name: one.shape for one in session.get_inputs()}
    assert shapes == {"z": ["N", 8], "y": ["N", 4], "truncation": ["N"]}
    assert [(one.name, one.shape) for one in session.get_outputs()] == [
        ("default", ["N", 32, 32, 1])
    ]
    for rows in (1, 3):
        (made,) = session.run(["default"], inputs(rows))
        np.testing.assert_allclose(made, images[:rows], rtol=0, atol=1e-4)
    card = (path / "model_card.md").read_text(encoding="utf-8")
    lines = ["  <- truncation  float32 [N]", "  <- y           float32 [N, 4]"]
    lines += ["  <- z           float32 [N, 8]", "  -> default  float32 [N, 32, 32, 1]"]
    assert "\n".join(["default", *lines]) in card
    with pytest.raises(ValueError, match=r"an ONNX export, .*onnxruntime.*--format=saved_model"):
        open_model(str(path))
    made = run_snippet(path, monkeypatch)
    assert made["pixels"].shape == (2, 32, 32, 1) and np.abs(made["z"]).max() <= 1
    np.testing.assert_allclose(made["images"], expected_of_snippet(model, made), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["float32", "float16"])
def test_a_tflite_file_makes_the_images_of_the_model(weights, model, images, tmp_path, monkeypatch):
    path, (line,) = exported(model, tmp_path, "tflite", tflite_type=weights)
    assert "the model's by at most" in line
    interpreter = tf.lite.Interpreter(model_path=str(path / "generator.tflite"))
    assert (path / "samples.png").stat().st_size > 1000
    signatures = interpreter.get_signature_list()
    assert list(signatures) == ["default"]
    assert set(signatures["default"]["inputs"]) == {"z", "y", "truncation"}
    runner = interpreter.get_signature_runner("default")
    atol = 1e-4 if weights == "float32" else LIMITS[weights]
    for rows in (3, 1):
        made = runner(**inputs(rows))["default"]
        np.testing.assert_allclose(made, images[:rows], rtol=0, atol=atol)
    if weights == "float16":
        # Rounded weights change the images, so the flag had an effect.
        assert 1e-6 < np.abs(made - images[:1]).max()
    metadata = json.loads((path / "tf_biggan.json").read_text(encoding="utf-8"))
    assert metadata["export_format"] == "tflite" and metadata["dtype"] == weights
    made = run_snippet(path, monkeypatch)
    np.testing.assert_allclose(made["images"], expected_of_snippet(model, made), atol=atol)


@pytest.mark.slow
def test_a_keras_file_opens_with_keras(model, images, tmp_path, monkeypatch):
    path, lines = exported(model, tmp_path, "keras")
    loaded = keras.saving.load_model(path / "generator.keras")
    assert isinstance(loaded, Generator) and lines == []
    np.testing.assert_array_equal(loaded(Z, LABELS, truncation=TRUNCATIONS), images)
    made = run_snippet(path, monkeypatch)
    np.testing.assert_array_equal(made["images"], expected_of_snippet(model, made))


@pytest.mark.usefixtures("without_sheet")
def test_a_model_folder_opens_and_keeps_its_origin(model, images, tmp_path, monkeypatch):
    path, _ = exported(model, tmp_path, "safetensors", with_discriminator=True)
    opened = open_model(str(path))
    metadata = json.loads((path / "tf_biggan.json").read_text(encoding="utf-8"))
    assert metadata["with_discriminator"] and (path / "discriminator.safetensors").exists()
    assert (opened.kind, opened.class_names) == ("model", NAMES)
    np.testing.assert_array_equal(opened.generator(Z, LABELS, truncation=TRUNCATIONS), images)
    made = run_snippet(path, monkeypatch)
    np.testing.assert_array_equal(made["images"], expected_of_snippet(model, made))
    # An export of the export still names the files of the first weights and their note.
    path, _ = exported(str(path), tmp_path, "keras")
    card = (path / "model_card.md").read_text(encoding="utf-8")
    assert "converted from weights of a family: G.pth (sha256 00)" in card
    assert "for tests" in card


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_a_deep_generator_makes_the_images_of_its_saved_model(kind, loaded, tmp_path):
    """The model has a table of 51 rows; the SavedModel is compared with its code base elsewhere."""
    if kind == "onnx":
        pytest.importorskip("tf2onnx")
    folder, _ = exported(write_model("hf_tiny32", tmp_path), tmp_path, kind)
    _, run = converted_files.RUNTIMES[kind](str(folder / f"generator.{kind}"))
    z = np.random.RandomState(1).uniform(-1, 1, (3, 128)).astype("float32")
    for rows in (1, 3):
        asked = inputs(rows, 20, z)
        expected = loaded.signatures["default"](**{k: tf.constant(v) for k, v in asked.items()})
        np.testing.assert_allclose(run(asked), expected["default"], rtol=0, atol=1e-4)


def test_a_missing_package_is_named_before_anything_is_read(monkeypatch):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else name
    )
    with pytest.raises(ValueError, match=r"pip install 'tf_biggan\[onnx\]'\. Missing: tf2onnx"):
        export(ExportConfig(model="nothing", output="nowhere", format="onnx"))


class _Generator:
    """Stands for a generator that contains an operation."""

    latent_dim, num_classes, image_size, image_channels = 4, 0, (1, 1), 4

    def __init__(self, operation, parameters=0):
        self.operation, self.parameters, self.variables = operation, parameters, []

    def count_params(self):
        return self.parameters

    def synthesize(self, z, embeddings, truncation):
        scaled = self.operation(z) * truncation[:, None]
        return tf.reshape(scaled, (-1, 1, 1, 4))


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_an_operation_without_a_counterpart_is_named(kind, tmp_path, capfd):
    if kind == "onnx":
        pytest.importorskip("tf2onnx")
    generator = _Generator(lambda z: tf.math.ndtri(0.5 + 0.1 * tf.tanh(z)))
    with pytest.raises(
        ValueError, match=r"(?s)converter cannot convert.*Ndtri.*saved_model"
    ) as told:
        write_converted(generator, str(tmp_path / "file"), kind)
    assert "\n" not in str(told.value) and capfd.readouterr().err == ""
    assert os.listdir(tmp_path) == []


def test_a_file_whose_images_differ_is_refused_and_removed(model, tmp_path, monkeypatch):
    monkeypatch.setitem(converted_files.CONVERTERS, "tflite", lambda *given: b"a file")
    run = _wrong_by(0.001, model)
    monkeypatch.setitem(converted_files.RUNTIMES, "tflite", lambda path: ("it", run))
    with pytest.raises(ValueError, match="Images of the tflite file differ from the model's"):
        exported(model, tmp_path, "tflite")
    assert os.listdir(tmp_path) == []


def test_images_that_are_not_numbers_are_refused(tmp_path, monkeypatch):
    """The batch of one row is wrong, and the larger one after it is right."""
    monkeypatch.setitem(converted_files.CONVERTERS, "tflite", lambda *given: b"a file")

    def run(asked):
        images = (asked["z"] * asked["truncation"][:, None]).reshape(-1, 1, 1, 4)
        return images * np.nan if len(images) == 1 else images

    monkeypatch.setitem(converted_files.RUNTIMES, "tflite", lambda path: ("it", run))
    with pytest.raises(ValueError, match="largest_difference=nan"):
        write_converted(_Generator(tf.identity), str(tmp_path / "file"), "tflite")


def _wrong_by(value, model):
    generator = open_model(model).generator

    def run(asked):
        made = np.array(generator(asked["z"], asked["y"], truncation=asked["truncation"]))
        made[-1, 5, 5] += value if len(made) == 1 else 0
        return made

    return run


def test_a_generator_of_more_than_two_gigabytes_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"hold at most 2 GiB; use --format=saved_model"):
        write_converted(_Generator(tf.identity, 2**29), str(tmp_path / "file"), "onnx")
    assert pathlib.Path(tmp_path / "file").exists() is False


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_the_size_is_refused_before_anything_is_computed(kind, model, tmp_path, monkeypatch):
    monkeypatch.setattr(converted_files, "MOST_BYTES", 4 * 1000)
    monkeypatch.setattr(exporter, "folded_arrays", None)
    if kind == "onnx":
        pytest.importorskip("tf2onnx")
    with pytest.raises(ValueError, match=f"--format={kind} hold at most 2 GiB"):
        exported(model, tmp_path, kind)


def test_the_early_size_is_a_close_lower_bound(model):
    """A generator for inference has the same numbers, and more in kernels after upsampling."""
    generator = open_model(model).generator
    for classes, rows in ((None, "auto"), ((1, 2), "auto")):
        config = ExportConfig(model=model, output="o", truncation_grid=rows)
        arrays = exporter.folded_arrays(generator)
        if classes:
            arrays = exporter.classes_cut(arrays, classes, generator.class_embedding is None)
        assert exporter._least_values(config, generator, classes) == sum(
            array.size for array in arrays.values()
        )


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("onnx", "an ONNX export, which opens with onnxruntime"),
        ("tflite", r"a TFLite export, which opens with ai_edge_litert.*LiteRT"),
        ("keras", "a Keras export, which opens with keras.saving.load_model"),
    ],
)
def test_exports_that_are_no_saved_models_name_their_runtime(kind, told, tmp_path):
    write_metadata(str(tmp_path), {"export_format": kind}, place="")
    for opening in (open_model, description, find_versions):
        with pytest.raises(ValueError, match=f"holds {told}.*export it with --format=saved_model"):
            opening(str(tmp_path))


@pytest.mark.parametrize(
    "content", ['{"format": "another"}', "[", '{"format": "tf_biggan export"}']
)
def test_other_metadata_files_do_not_hide_that_there_is_no_model(content, tmp_path):
    (tmp_path / "tf_biggan.json").write_text(content)
    with pytest.raises(ValueError, match="holds no model"):
        open_model(str(tmp_path))
