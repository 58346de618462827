"""The files of an export beside its graph: metadata, warm-up requests, model card, description."""

from __future__ import annotations

import os
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.exporting.saved_model_description import description, read_signatures
from tf_biggan.exporting.serving_files import batching_parameters, models_config
from tf_biggan.pictures.samples import sample
from tf_biggan.store.opened_model import open_model, read_metadata

SIGNATURES = {
    "default": {"z", "y", "truncation"},
    "serving_default": {"label", "seed", "truncation"},
    "generate": {"label", "seed", "truncation"},
    "generate_png": {"label", "seed", "truncation"},
    "generate_png_by_name": {"class_name", "seed", "truncation"},
    "interpolate": {
        "start_label",
        "start_seed",
        "end_label",
        "end_seed",
        "steps",
        "truncation",
    },
    "embed": {"label"},
    "synthesize": {"z", "embedding", "truncation"},
}


def test_signatures_are_those_of_the_contract(export_path):
    found = {signature.name: signature for signature in read_signatures(export_path)}
    assert {name: set(signature.inputs) for name, signature in found.items()} == SIGNATURES
    assert found["default"].outputs == {"default": "float32 [N, 32, 32, 3]"}
    assert found["default"].inputs["truncation"] == "float32 of any shape"
    assert found["generate"].inputs["truncation"] == "float32 [N]"
    assert found["generate_png"].outputs == {"image_bytes": "string [N]"}
    assert found["interpolate"].outputs == {"images": "uint8 [N, ?, 32, 32, 3]"}


def test_metadata_and_what_open_model_makes_of_it(export_path):
    metadata = read_metadata(export_path)
    assert metadata["bn"] == "the model's own" and metadata["licence_note"] == "for tests only"
    np.testing.assert_allclose(metadata["truncation_grid"], np.arange(51) / 50)
    assert (metadata["image_size"], metadata["latent_dim"]) == ([32, 32], 128)
    assert metadata["provenance"]["model"]["provenance"]["family"] == "pytorch_pretrained_biggan"
    opened = open_model(export_path)
    assert opened.class_names[3] == "class 3, bird 3" and len(opened.class_names) == 20
    assert opened.generator.truncation_mode == "scale"
    assert opened.description["provenance"] == metadata["provenance"]
    assert read_metadata(os.path.dirname(export_path)) == {}


def test_the_files_for_tensorflow_serving_have_the_name_and_the_limit_of_the_export(export_path):
    limit = read_metadata(export_path)["max_batch"]
    assert limit == 1024
    base = pathlib.Path(export_path).parent
    assert (base / "models.config").read_text() == models_config("hf_tiny32", "hf_tiny32")
    for file in (base / "batching_parameters.txt", base / "1" / "batching_params.pbtxt"):
        assert file.read_text() == batching_parameters(limit)


def test_every_warm_up_request_runs(export_path, loaded):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = os.path.join(export_path, "assets.extra", "tf_serving_warmup_requests")
    seen = []
    for record in tf.data.TFRecordDataset(path):
        request = logs.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "hf_tiny32"
        name = request.model_spec.signature_name
        seen.append(name)
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        for output in loaded.signatures[name](**inputs).values():
            assert output.shape[0] == 1
    assert sorted(seen) == sorted(SIGNATURES)


def test_the_card_shows_the_images_of_the_sample_command(export_path, tmp_path):
    """Eight of twenty classes, evenly spread, and the seeds 0 to 7."""
    output = str(tmp_path / "sheet.png")
    classes = ",".join(str(row * 20 // 8) for row in range(8))
    asked = dict(classes=classes, seeds="0-7", truncation=0.5, output=output)
    sample(SampleConfig(model=export_path, **asked))
    with Image.open(output) as sheet, Image.open(f"{export_path}/samples.png") as shown:
        assert shown.size == sheet.size
        difference = np.abs(np.asarray(shown).astype(int) - np.asarray(sheet))
    # The batches have other sizes, so that a float on the edge between two bytes may differ.
    assert difference.max() <= 1


def test_the_card_shows_samples_and_the_description_everything(export_path):
    with open(os.path.join(export_path, "model_card.md"), encoding="utf-8") as file:
        card = file.read()
    for text in ("# hf_tiny32", "samples.png", "for tests only", "class 19, bird 19", "51 rows"):
        assert text in card
    with Image.open(os.path.join(export_path, "samples.png")) as sheet:
        assert sheet.height > 8 * 48 and np.asarray(sheet).std() > 1
    text = description(export_path)
    for part in ("truncation_mode  ", "interpolate", "-> image_bytes  string [N]", "20: class 0"):
        assert part in text
    with pytest.raises(ValueError, match="folder holds no SavedModel"):
        description(os.path.dirname(export_path))


def test_the_code_of_the_card_makes_truncated_images_and_a_png(export_path):
    card = pathlib.Path(export_path, "model_card.md").read_text(encoding="utf-8")
    code, *_ = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    made = {}
    exec(code.replace("path/of/this/folder", export_path), made)
    # Truncated latents have entries of at most 2, and the truncation of the card is 0.5.
    assert made["z"].shape == (2, 128) and np.abs(made["z"]).max() <= 1.0
    assert made["images"].shape == (2, 32, 32, 3) and np.abs(made["images"]).max() <= 1.0
    assert made["png"].startswith(b"\x89PNG")
