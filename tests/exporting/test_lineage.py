"""Provenance follows the weights: a source, converted, fine-tuned twice, and exported."""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil

import pytest

from tests.conversion.command import run as convert
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.exporting import exporter
from tf_biggan.exporting.model_card import licence_note, sentences, write_card
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.model_directory import write_directory
from tf_biggan.store.run_directory import write_config, write_initialization
from tf_biggan.training.finetuning.initialization import begin
from tf_biggan.training.start import create_state

NOTE = "Weights for research only."
SMALL = dict(architecture="biggan32", num_classes=3, base_channels=2, seed=3)
OLD_RUN = pathlib.Path(__file__).parents[1] / "version_0_1" / "run"


def fine_tuned(init_from, run_dir, names, **settings):
    """Returns a run at iteration 0 that starts from a model."""
    flat = dict(num_classes=len(names), init_from=str(init_from), **settings)
    config, initialization = begin(TrainConfig.from_flat(flat), str(run_dir), names)
    state = create_state(config, initialization)
    write_config(str(run_dir), config, names)
    write_initialization(str(run_dir), initialization.record())
    Checkpoints(state, str(run_dir), keep=1).save()
    return initialization


def exported(model, folder, monkeypatch, **settings):
    """Returns (metadata, model card) of an export, without writing its graph."""
    found = {}
    monkeypatch.setattr(
        exporter,
        "_write_saved_model",
        lambda config, parts, metadata, progress: found.update(metadata) or [],
    )
    settings = dict(truncation_grid="none", **settings)
    exporter.export(ExportConfig(model=str(model), output=str(folder / "x" / "1"), **settings))
    metadata = json.loads(json.dumps(found))
    write_card(str(folder), "x", metadata, [])
    return metadata, (folder / "model_card.md").read_text()


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Returns the folders of a source, its converted model, and two fine-tuned runs in sequence."""
    base = tmp_path_factory.mktemp("chain")
    networks = {"generator": Generator(**SMALL), "discriminator": Discriminator(**SMALL)}
    write_directory(str(base / "own"), networks)
    convert(input=base / "own", output=base / "source", to="biggan_pytorch", format="npz")
    names = base / "names.txt"
    names.write_text("ant\nbee\nowl\n")
    convert(
        input=base / "source",
        output=base / "converted",
        licence_note=NOTE,
        class_names=names,
    )
    first = fine_tuned(
        base / "converted", base / "birds", ("owl", "wren"), class_map="wren=ant,owl"
    )
    fine_tuned(base / "birds", base / "owls", ("owl",))
    return base, first


def test_a_chain_of_models_keeps_everything(chain, tmp_path, monkeypatch):
    base, first = chain
    assert f"Licence note of the source: {NOTE}" in first.describe()
    metadata, card = exported(base / "owls", tmp_path, monkeypatch)
    second = metadata["provenance"]["model"]["initialization"]
    assert second["source"]["path"] == str(base / "birds")
    assert second["classes"] == {"owl": "0 owl"}
    record = second["source"]["initialization"]
    assert record == json.loads((base / "birds" / "initialization.json").read_text())
    assert record["classes"] == {"owl": "2 owl", "wren": "0 ant + 2 owl"}
    files = {file["name"]: file["sha256"] for file in record["source"]["provenance"]["files"]}
    for name, sha256 in files.items():
        content = (base / "source" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
    assert {"G_ema.npz", "D.npz"} <= set(files)
    assert metadata["licence_note"].endswith(f"{base / 'converted'}, whose note is: {NOTE}")
    for text in (
        f"{base / 'owls'} was fine-tuned from {base / 'birds'} (sha256",
        f"{base / 'birds'} was fine-tuned from {base / 'converted'} (sha256",
        f"{base / 'converted'} was converted from weights of biggan_pytorch: ",
        f"G_ema.npz (sha256 {files['G_ema.npz']})",
        "wren from 0 ant + 2 owl",
        NOTE,
    ):
        assert text in card


def test_hashes_of_a_source_are_those_of_its_own_export(chain, tmp_path, monkeypatch):
    base, first = chain
    metadata, card = exported(base / "converted", tmp_path, monkeypatch, licence_note="Mine.")
    sha256 = metadata["provenance"]["weights_sha256"]
    assert first.record()["source"]["weights_sha256"] == sha256
    # The note of the exported model itself comes first, without an introduction.
    assert metadata["licence_note"] == f"Mine. {NOTE}" and f"\n\nMine. {NOTE}\n\n" in card


# test_version_0_1.py opens that run by default.
@pytest.mark.slow
def test_a_run_of_version_0_1_exports_with_and_without_what_it_started_from(tmp_path, monkeypatch):
    metadata, card = exported(OLD_RUN, tmp_path, monkeypatch)
    assert "initialization" not in metadata["provenance"]["model"]
    assert metadata["licence_note"] == "" and "No note was given" in card
    tuned = tmp_path / "tuned"
    shutil.copytree(OLD_RUN, tuned)
    source = {"path": "models/x", "kind": "model", "provenance": {"family": "mmagic"}}
    record = {"source": source, "taken": ["generator"], "classes": {"0": "fresh"}}
    (tuned / "initialization.json").write_text(json.dumps(record))
    _, card = exported(tuned, tmp_path, monkeypatch)
    assert (
        f"- {tuned} was fine-tuned from models/x.\n- Its classes start as follows: 0 from f" in card
    )
    (tuned / "initialization.json").write_text("{")
    with pytest.raises(ValueError, match=r"Cannot read .*initialization\.json"):
        exported(tuned, tmp_path, monkeypatch)


@pytest.mark.parametrize("odd", [None, 3, "text", [], {}, {"provenance": None}, {"path": 1}])
def test_provenance_of_any_form_is_no_error(odd):
    for provenance in (
        {"model": odd},
        {"model": {"provenance": odd, "initialization": odd}},
        {"model": {"provenance": {"files": [odd], "licence_note": odd}}},
        {"model": {"initialization": {"source": odd, "classes": odd}}},
    ):
        assert isinstance(sentences(provenance), list)
        assert isinstance(licence_note(None, provenance), str)
