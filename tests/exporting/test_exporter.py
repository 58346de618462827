"""Exports with unusual settings, and what remains if an export fails."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.exporting import exporter
from tf_biggan.exporting.exporter import export, new_folder
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.store.model_directory import write_directory
from tf_biggan.store.opened_model import open_model, read_metadata

Z = np.random.RandomState(0).standard_normal((3, 20)).astype("float32")
ONE_ROW = dict(truncation_grid="none")


def _write(folder, num_classes=4, discriminator=True, **settings):
    settings = {"architecture": "biggan32", "base_channels": 16, **settings}
    networks = {"generator": Generator(num_classes=num_classes, latent_dim=20, seed=0, **settings)}
    if discriminator:
        settings.pop("num_statistics", None)
        networks["discriminator"] = Discriminator(num_classes=num_classes, seed=0, **settings)
    names = tuple(f"name {number}" for number in range(num_classes))
    write_directory(str(folder), networks, names)
    return networks


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model"
    return str(path), _write(path)


def _exported(model, tmp_path, **settings):
    output = str(tmp_path / "1")
    export(ExportConfig(model=model, output=output, **{**ONE_ROW, **settings}))
    return output, open_model(output).generator


def test_an_output_that_exists_is_refused_before_anything_is_done(model, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ValueError, match="exists and is not an empty folder"):
        export(ExportConfig(model=model[0], output=str(tmp_path)))
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        OSError(28, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
    ],
    ids=["interrupted", "OSError", "TensorFlow"],
)
def test_after_an_error_nothing_is_left(tmp_path, error):
    path = str(tmp_path / "birds" / "1")
    expected = OSError if isinstance(error, tf.errors.OpError) else type(error)
    with pytest.raises(expected), new_folder(path) as folder:
        pathlib.Path(folder, "half").write_text("half")
        raise error
    assert os.listdir(tmp_path / "birds") == []
    with new_folder(path) as folder:
        pathlib.Path(folder, "whole").write_text("whole")
    assert sorted(os.listdir(path)) == ["assets.extra", "whole"]


def test_an_error_of_the_writing_leaves_nothing_under_the_name(model, tmp_path, monkeypatch):
    def fails(module, folder, signatures):
        pathlib.Path(folder, "saved_model.pb").write_text("half")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(exporter, "Endpoints", lambda parts: _NoEndpoints())
    monkeypatch.setattr(exporter, "ExportedModule", lambda endpoints: None)
    monkeypatch.setattr(tf.saved_model, "save", fails)
    with pytest.raises(OSError, match=r"Cannot write the export .*No space left"):
        _exported(model[0], tmp_path)
    assert os.listdir(tmp_path) == []


class _NoEndpoints:
    def signatures(self):
        return {}


def test_what_a_model_has_not_is_refused(tmp_path, model, export_path):
    _write(tmp_path / "alone", discriminator=False, base_channels=2)
    with pytest.raises(ValueError, match=r"holds no discriminator; .*\['generator'\]"):
        _exported(str(tmp_path / "alone"), tmp_path, with_discriminator=True)
    _write(tmp_path / "table", discriminator=False, base_channels=2, num_statistics=51)
    with pytest.raises(ValueError, match=r"table of 51 rows .*; leave out --truncation_grid"):
        _exported(str(tmp_path / "table"), tmp_path, truncation_grid="11")
    with pytest.raises(ValueError, match="a run or a converted model"):
        _exported(export_path, tmp_path)
    with pytest.raises(ValueError, match="Class indices must be from 0 to 3"):
        _exported(model[0], tmp_path, num_classes_subset="0,7")
    assert not (tmp_path / "1").exists()


def _size(path):
    return os.path.getsize(os.path.join(path, "variables", "variables.data-00000-of-00001"))


@pytest.mark.slow
def test_narrow_kernels_halve_the_file_and_hardly_change_images(model, tmp_path):
    path, networks = model
    labels = np.array([0, 1, 3])
    expected = np.asarray(networks["generator"](Z, labels))
    sizes, differences = {}, {}
    for dtype in ("float32", "bfloat16", "float16"):
        output, generator = _exported(path, tmp_path / dtype, dtype=dtype)
        sizes[dtype] = _size(output)
        differences[dtype] = np.abs(generator(Z, labels) - expected).max()
        assert read_metadata(output)["dtype"] == dtype
    assert differences["float32"] < 1e-5
    # In [-1, 1], this is two 8-bit levels for bfloat16 and a third of a level for float16.
    assert 1e-5 < differences["bfloat16"] < 0.02 and 1e-6 < differences["float16"] < 0.0025
    for dtype in ("bfloat16", "float16"):
        assert 0.48 < sizes[dtype] / sizes["float32"] < 0.6


@pytest.mark.slow
def test_convolutions_in_bfloat16(model, tmp_path):
    path, networks = model
    labels = np.array([0, 1, 3])
    settings = dict(dtype="bfloat16", compute_dtype="bfloat16")
    output, generator = _exported(path, tmp_path, **settings)
    difference = np.abs(generator(Z, labels) - np.asarray(networks["generator"](Z, labels)))
    assert 1e-5 < difference.max() < 0.05
    assert read_metadata(output)["compute_dtype"] == "bfloat16"


@pytest.mark.slow
def test_a_subset_of_classes_in_its_own_order_with_the_discriminator(model, tmp_path):
    path, networks = model
    settings = dict(num_classes_subset="name 3, 1", with_discriminator=True)
    output, generator = _exported(path, tmp_path, **settings)
    assert (generator.num_classes, generator.class_names) == (2, ("name 3", "name 1"))
    images = np.asarray(networks["generator"](Z, np.array([3, 1, 3])))
    np.testing.assert_allclose(generator(Z, np.array([0, 1, 0])), images, atol=1e-5)
    signature = tf.saved_model.load(output).signatures["discriminate"]
    scores = signature(images=tf.constant(images), label=tf.constant([0, 1, 1], tf.int64))["score"]
    expected = networks["discriminator"](images, np.array([3, 1, 1]))
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    # An empty batch, and values that are not numbers.
    none = signature(images=tf.zeros((0, 32, 32, 3)), label=tf.zeros(0, tf.int64))["score"]
    assert none.shape == (0,)
    with pytest.raises(tf.errors.InvalidArgumentError, match="`images` must hold finite numbers"):
        signature(images=tf.constant(images * np.nan), label=tf.zeros(3, tf.int64))


@pytest.mark.slow
def test_an_unconditional_generator_with_a_table(tmp_path):
    generator = _write(tmp_path / "m", 0, base_channels=4)["generator"]
    settings = dict(truncation_grid="6", standing_batches=2, standing_batch_size=8)
    output, exported = _exported(
        str(tmp_path / "m"),
        tmp_path,
        truncation_mode="resample",
        with_discriminator=True,
        **settings,
    )
    metadata = read_metadata(output)
    assert metadata["bn"] == "standing" and metadata["truncation_mode"] == "resample"
    np.testing.assert_allclose(metadata["truncation_grid"], np.arange(6) / 5)
    module = tf.saved_model.load(output)
    assert set(module.signatures["generate"].structured_input_signature[1]) == {
        "seed",
        "truncation",
    }
    assert "embed" not in module.signatures and "generate_png_by_name" not in module.signatures
    assert module(Z, 0.5).shape == module(Z).shape == (3, 32, 32, 3)
    assert np.abs(module(Z, 0.2) - module(Z, 1.0)).max() > 0.01
    # In this mode, truncations may exceed 1.
    seeds = tf.constant([1, 2], tf.int64)
    module.signatures["generate"](seed=seeds, truncation=tf.constant([0.5, 2.5]))
    frames = module.signatures["interpolate"](
        start_seed=seeds, end_seed=seeds + 5, steps=seeds + 1, truncation=tf.constant([0.5, 1.0])
    )
    assert frames["images"].shape == (2, 3, 32, 32, 3)
    alone = exported(Z[:1], truncation=0.3)
    np.testing.assert_allclose(
        exported(Z, truncation=np.array([0.3, 0.7, 1.0], "float32"))[:1], alone, atol=1e-5
    )
    assert generator.num_classes == 0


@pytest.mark.slow
def test_an_interrupted_command_says_so_and_leaves_nothing(model, tmp_path):
    output = tmp_path / "birds" / "1"
    command = [sys.executable, "-m", "tf_biggan.export", f"--model={model[0]}"]
    command += [f"--output={output}", "--standing_batches=1000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    # The progress of the statistics is shown.
    while "images" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Interrupted; nothing was written." in said
    assert "Traceback" not in said and not (tmp_path / "birds").exists()


@pytest.mark.slow
def test_the_command_writes_describes_and_explains(model, tmp_path):
    output = str(tmp_path / "birds" / "1")
    base = [sys.executable, "-m", "tf_biggan.export"]
    write = [*base, f"--model={model[0]}", f"--output={output}", "--truncation_grid=none"]
    made = subprocess.run(write, check=True, capture_output=True, text=True)
    files = (output, tmp_path / "birds/models.config", tmp_path / "birds/batching_parameters.txt")
    assert made.stdout == "".join(f"written: {file}\n" for file in files)
    shown = subprocess.run([*base, f"--describe={output}"], check=True, capture_output=True)
    assert b"generate_png_by_name" in shown.stdout and b"provenance" in shown.stdout
    start = time.monotonic()
    subprocess.run([*base, "--help"], check=True, capture_output=True)
    assert time.monotonic() - start < 3
    again = subprocess.run(write, check=False, capture_output=True, text=True)
    assert again.returncode == 1 and again.stderr.count("\n") == 1
    assert "exists and is not an empty folder" in again.stderr
