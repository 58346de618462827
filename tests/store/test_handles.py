"""Models are opened by the handles of TensorFlow Hub, from a server on this machine."""

from __future__ import annotations

import contextlib
import io
import pathlib
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tests.conversion.command import run as convert
from tests.conversion.hub_modules import write_module
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.evaluation.features.generated_images import weights_sha256
from tf_biggan.evaluation.run_evaluation import _output
from tf_biggan.files.json_files import folder_sha256, read_json
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.store.handles import resolve
from tf_biggan.store.opened_model import open_model
from tf_biggan.training.finetuning.source_model import read_source_model

OLD = pathlib.Path(__file__).parents[1] / "version_0_1"
MODEL, EXPORT = OLD / "model", OLD / "export" / "1"


def archive_of(folder):
    """Returns the files of a folder as a .tar.gz archive, the form of a module in a hub."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder, arcname=".")
    return packed.getvalue()


def archive_with(name, kind=tarfile.REGTYPE):
    """Returns an archive that holds one entry."""
    packed, entry = io.BytesIO(), tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(entry)
    return packed.getvalue()


@contextlib.contextmanager
def serving(contents):
    """Runs a server of bytes by path; yields its address and the paths that were requested."""
    requested = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            requested.append((path, query))
            content = contents.get(path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requested
        server.shutdown()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def images_of(opened):
    z = latents_of_seeds([0, 1], opened.generator.latent_dim)
    return np.asarray(opened.generator(z, np.array([0, 1])))


def test_a_handle_opens_the_model_that_the_hub_holds_and_later_the_cached_one(cache):
    with serving({"/models/digits/1": archive_of(MODEL)}) as (address, requested):
        handle = f"{address}/models/digits/1"
        opened = open_model(handle)
        assert requested == [("/models/digits/1", "tf-hub-format=compressed")]
    assert opened.description["path"] == handle
    assert pathlib.Path(opened.folder).parent == cache
    np.testing.assert_array_equal(images_of(opened), images_of(open_model(str(MODEL))))
    # The server has stopped.
    assert open_model(handle).folder == opened.folder
    source = read_source_model(handle)
    assert source.description["path"] == handle and source.class_names == opened.class_names


def test_convert_takes_handles_in_both_directions(cache, tmp_path):
    with serving({"/digits": archive_of(MODEL)}) as (address, _):
        back, weights = tmp_path / "weights", tmp_path / "again"
        convert(input=f"{address}/digits", output=back, to="biggan_pytorch", format="npz")
    with serving({"/weights": archive_of(back)}) as (address, _):
        handle = f"{address}/weights"
        convert(input=handle, output=weights)
    assert read_json(weights / "config.json")["provenance"]["input"] == handle
    expected = images_of(open_model(str(MODEL)))
    np.testing.assert_allclose(images_of(open_model(str(weights))), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "HTTP Error 404"),
        (b"<html>a page</html>", "does not appear to be a valid module"),
        (archive_of(MODEL)[:2000], r"does not appear to be a valid module|ended before|EOF"),
        (archive_with("../outside"), r"Relative path '../outside' is invalid"),
        (archive_with("link", tarfile.SYMTYPE), "Unexpected object type"),
    ],
    ids=["missing", "page", "truncated", "outside", "link"],
)
def test_what_is_no_module_gives_one_line_and_leaves_no_model(cache, content, reason):
    with serving({"/digits": content}) as (address, _):
        with pytest.raises(ValueError, match=reason) as caught:
            open_model(f"{address}/digits")
    message = str(caught.value)
    assert message.startswith(f"Cannot download the model {address}/digits: ")
    assert "\n" not in message and str(cache) in message
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_no_network_gives_one_line(cache):
    with serving({}) as (address, _):
        pass
    with pytest.raises(ValueError, match=r"Cannot download the model .*refused.*Check the handle"):
        open_model(f"{address}/digits")


def test_a_module_of_tensorflow_1_is_to_be_converted(tmp_path):
    module = write_module(tmp_path / "module", {"a": np.ones(3, "float32")})
    with pytest.raises(ValueError, match=r"several graphs.*tf_biggan\.convert"):
        open_model(str(module))


@pytest.mark.parametrize("path", ["runs/digits", "gs://bucket/model", "https.d/model", "x.tar.gz"])
def test_paths_stay_as_they_are(path):
    resolved = resolve(path)
    assert resolved.path == resolved.name == path


def test_a_saved_model_is_hashed_where_it_was_downloaded(cache):
    with serving({"/export": archive_of(EXPORT)}) as (address, _):
        opened = open_model(f"{address}/export")
    assert (opened.kind, opened.description["path"]) == ("saved_model", f"{address}/export")
    assert weights_sha256(opened.generator) == folder_sha256(EXPORT)


@pytest.mark.parametrize("handle", ["https://example.com/digits", "hf://ann/digits"])
def test_evaluate_writes_no_scores_into_a_hub(handle):
    assert _output(EvaluateConfig(model=handle, reference="digits")) is None
