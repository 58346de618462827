"""Models are downloaded from and uploaded to a stand-in of the Hugging Face Hub on this machine.

The client is the real huggingface_hub. The real hub was not tried.
"""

from __future__ import annotations

import io
import pathlib
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.hugging_face_stand_in import OWNER, TOKEN, Repository, running_hub
from tests.store.test_handles import images_of
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.exporting import hub_model
from tf_biggan.exporting.hub_model import licence, push
from tf_biggan.store.handles import resolve
from tf_biggan.store.hugging_face import Address
from tf_biggan.store.opened_model import open_model
from tf_biggan.training.finetuning.source_model import read_source_model

OLD = pathlib.Path(__file__).parent / "version_0_1"
MODEL, RUN = OLD / "model", OLD / "run"
NAME = f"{OWNER}/digits"


def forget_package(monkeypatch):
    """Makes the next import of huggingface_hub read the environment again."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    forget_package(monkeypatch)
    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server
    forget_package(monkeypatch)


def model_files():
    return {path.name: path.read_bytes() for path in MODEL.iterdir()}


def test_a_model_opens_by_its_name_and_by_a_commit_and_records_the_commit(hub):
    repository = hub.repositories[NAME] = Repository()
    first = repository.commit(model_files())
    second = repository.commit({"README.md": b"# Digits"})
    opened = open_model(f"hf://{NAME}")
    assert opened.description["path"] == f"hf://{NAME}@{second}"
    np.testing.assert_array_equal(images_of(opened), images_of(open_model(str(MODEL))))
    assert resolve(f"hf://{NAME}@{first}").name == f"hf://{NAME}@{first}"
    source = read_source_model(f"hf://{NAME}@main")
    assert source.description["path"] == f"hf://{NAME}@{second}"


def test_a_downloaded_model_opens_without_the_hub(hub, monkeypatch):
    commit = hub.repositories.setdefault(NAME, Repository()).commit(model_files())
    folder = resolve(f"hf://{NAME}").path
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    forget_package(monkeypatch)
    for handle in (f"hf://{NAME}", f"hf://{NAME}@{commit}"):
        again = resolve(handle)
        assert (again.path, again.name) == (folder, f"hf://{NAME}@{commit}")
    with pytest.raises(
        ValueError, match=r"hf://ann/other: the hub gives no answer.*refused"
    ) as caught:
        open_model("hf://ann/other")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "token", "reason"),
    [
        (f"hf://{OWNER}/nothing", None, "there is no such model, or it is private.*HF_TOKEN"),
        (f"hf://{OWNER}/nothing", TOKEN, "there is no such model"),
        (f"hf://{OWNER}/private", None, "it is private.*set HF_TOKEN"),
        (f"hf://{OWNER}/private", "hf_wrong", "your token is not accepted"),
        (f"hf://{OWNER}/gated", TOKEN, "access to it is restricted"),
        (f"hf://{NAME}@v9", None, "no such branch, tag or commit"),
        ("hf://-a/b", None, "Repo id must use alphanumeric"),
    ],
)
def test_what_cannot_be_downloaded_gives_one_line(hub, monkeypatch, address, token, reason):
    for name, flags in (("private", dict(private=True)), ("gated", dict(gated=True))):
        hub.repositories[f"{OWNER}/{name}"] = Repository(**flags)
        hub.repositories[f"{OWNER}/{name}"].commit(model_files())
    hub.repositories[NAME] = Repository()
    hub.repositories[NAME].commit(model_files())
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ValueError, match=f"^Cannot download {address}: .*{reason}") as caught:
        open_model(address)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["hf://digits", "hf://a/b/c", "hf://", "hf://a/b@"])
def test_other_forms_are_refused_before_anything_is_imported(address):
    with pytest.raises(ValueError, match=r"is written hf://OWNER/NAME or hf://OWNER/NAME@REVISION"):
        resolve(address)
    assert str(Address.parse("hf://a/b@refs/pr/1")) == "hf://a/b@refs/pr/1"


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'tf_biggan\[hf\]'"):
        open_model("hf://a/b")


@pytest.mark.parametrize("kind", ["run", "model"])
def test_a_pushed_model_gives_the_images_of_its_source(hub, monkeypatch, kind):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    path = str(OLD / kind)
    note = "apache-2.0" if kind == "run" else "Weights for research only: do not sell."
    config = ExportConfig(
        model=path, push_to=f"hf://{NAME}", licence_note=note, with_discriminator=True
    )
    pushed = push(config)
    (commit,) = hub.repositories[NAME].commits
    assert pushed == f"hf://{NAME}@{commit}" and hub.repositories[NAME].private
    files = hub.repositories[NAME].commits[commit]
    assert {"config.json", "generator.safetensors", "discriminator.safetensors"} < set(files)
    # Eight classes as rows and eight seeds as columns, below and beside their captions.
    assert min(Image.open(io.BytesIO(files["samples.png"])).size) >= 8 * 32

    opened = open_model(pushed)
    np.testing.assert_array_equal(images_of(opened), images_of(open_model(path)))
    assert opened.class_names == open_model(path).class_names
    assert read_source_model(pushed).discriminator is not None
    assert opened.description["provenance"]["licence_note"] == note

    _, metadata, text = files["README.md"].decode().split("---\n", 2)
    metadata = yaml.safe_load(metadata)
    assert metadata["license"] == ("apache-2.0" if kind == "run" else "other")
    assert metadata["library_name"] == "tf_biggan"
    assert metadata["pipeline_tag"] == "unconditional-image-generation"
    assert "biggan" in metadata["tags"]
    assert note in text and f'open_model("hf://{NAME}")' in text
    assert kind != "run" or "9. 9" in text
    # Large files go through LFS.
    assert f"POST /{NAME}.git/info/lfs/objects/batch" in hub.requests


def without_samples(monkeypatch):
    """Replaces the sheet of samples, whose images take most of the time of a push."""
    monkeypatch.setattr(
        hub_model, "write_samples_of", lambda *arguments: pathlib.Path(arguments[-1]).touch()
    )


def test_a_second_push_adds_a_commit(hub, monkeypatch):
    without_samples(monkeypatch)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    first = push(ExportConfig(model=str(MODEL), push_to=f"hf://{NAME}"))
    second = push(ExportConfig(model=first, push_to=f"hf://{NAME}", licence_note="mit"))
    assert first != second and len(hub.repositories[NAME].commits) == 2
    assert resolve(f"hf://{NAME}").name == second


@pytest.mark.parametrize(
    ("settings", "token", "reason"),
    [
        (dict(), None, "there is no token for the Hugging Face Hub"),
        (dict(), "hf_wrong", "your token is not accepted"),
        (dict(push_to="hf://other/digits"), TOKEN, "your token .* may not do this"),
        (dict(push_to=f"hf://{NAME}@v1"), TOKEN, "leave out the revision"),
        (dict(push_to="digits"), TOKEN, "is written hf://OWNER/NAME"),
        (dict(dtype="float16"), TOKEN, "flags of SavedModels have no effect.*float16"),
        (dict(model=str(OLD / "export" / "1")), TOKEN, "must be a run or a converted model"),
    ],
)
def test_what_cannot_be_uploaded_gives_one_line(hub, monkeypatch, settings, token, reason):
    without_samples(monkeypatch)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    settings = dict(model=str(MODEL), push_to=f"hf://{NAME}") | settings
    with pytest.raises(ValueError, match=reason) as caught:
        push(ExportConfig(**settings))
    assert "\n" not in str(caught.value)
    assert not hub.repositories


@pytest.mark.parametrize(
    ("note", "identifier"),
    [(None, "unknown"), ("", "unknown"), ("Apache-2.0", "apache-2.0"), ("my-own", "other")],
)
def test_the_licence_of_the_metadata(note, identifier):
    assert licence(note) == identifier
