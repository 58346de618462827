"""Weights of Inception: all kinds of files, error messages, the cache, and the SHA-256."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tests.evaluation.inception import inception_rule
from tf_biggan.conversion.readers.tensors import Tensors
from tf_biggan.evaluation.inception import extractor as inception_weights
from tf_biggan.evaluation.inception import inception_network as inception
from tf_biggan.evaluation.inception import weight_files as inception_sources
from tf_biggan.evaluation.inception.extractor import REFERENCE_FILES, content_sha256, load_inception
from tf_biggan.evaluation.inception.inception_network import convolutions
from tf_biggan.evaluation.inception.weight_files import PYTORCH, WeightFile, open_weight_file

NUM_CONVOLUTIONS = 12


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module", autouse=True)
def small():
    """Shortens the network to its first convolutions, which have a tenth of the weights."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (inception, inception_sources, inception_rule):
            patch.setattr(module, "convolutions", lambda: convolutions()[:NUM_CONVOLUTIONS])
        inception_rule.folded.cache_clear()
        yield
    inception_rule.folded.cache_clear()


@pytest.fixture(scope="module")
def files(small, tmp_path_factory):
    """Returns one file of each kind, all with the same weights."""
    folder = tmp_path_factory.mktemp("weights")
    graph = inception_rule.graph().SerializeToString()
    (folder / "classify_image_graph_def.pb").write_bytes(graph)
    with tarfile.open(folder / "inception-2015-12-05.tgz", "w:gz", compresslevel=1) as archive:
        for name, content in (("LICENSE", b"words"), ("./classify_image_graph_def.pb", graph)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    tensors = {key: torch.tensor(value) for key, value in inception_rule.state_dict().items()}
    torch.save(tensors, folder / "pt_inception.pth")
    torch.save(tensors, folder / "older.pth", _use_new_zipfile_serialization=False)
    module = SavedModel(saved_model_schema_version=1)
    module.meta_graphs.add().graph_def.CopyFrom(inception_rule.graph("RunClassifier/"))
    (folder / "module").mkdir()
    (folder / "module" / "saved_model.pb").write_bytes(module.SerializeToString())
    return folder


KINDS = [
    "classify_image_graph_def.pb",
    "inception-2015-12-05.tgz",
    "pt_inception.pth",
    "older.pth",
    "module",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_numbers(files, kind):
    inception_rule.assert_is_rule(open_weight_file(str(files / kind)).folded())


def test_folding_is_the_batch_norm_of_the_convolution():
    weights, name = inception_rule.state_dict(), "Mixed_5b.branch5x5_2"
    kernel, bias = inception_rule.folded()[name]
    inputs = np.random.RandomState(0).standard_normal((5, 5, 48))
    plain = np.einsum("hwi,oihw->o", inputs, weights[f"{name}.conv.weight"].astype("float64"))
    norm = {key: weights[f"{name}.bn.{key}"] for key in ("weight", "bias", "running_mean")}
    deviation = np.sqrt(weights[f"{name}.bn.running_var"] + 0.001)
    expected = (plain - norm["running_mean"]) / deviation * norm["weight"] + norm["bias"]
    actual = np.einsum("hwi,hwio->o", inputs, kernel) + bias
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_hash_is_that_of_the_graph_in_an_archive_too(files):
    graph = (files / "classify_image_graph_def.pb").read_bytes()
    expected = hashlib.sha256(graph).hexdigest()
    assert open_weight_file(str(files / "classify_image_graph_def.pb")).sha256 == expected
    assert open_weight_file(str(files / "inception-2015-12-05.tgz")).sha256 == expected


def test_variables_of_a_module_are_read_as_its_constants(tmp_path):
    import tensorflow as tf

    names = {"softmax/weights": np.ones((2, 2)), "softmax/biases": np.zeros(2)}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in names.items():
            tf.compat.v1.get_variable(f"module/{name}", initializer=value.astype("float32"))
        session.run(tf.compat.v1.global_variables_initializer())
        (tmp_path / "variables").mkdir()
        saver = tf.compat.v1.train.Saver()
        saver.save(session, str(tmp_path / "variables" / "variables"), write_meta_graph=False)
    module = SavedModel()
    module.meta_graphs.add()
    (tmp_path / "saved_model.pb").write_bytes(module.SerializeToString())
    tensors = open_weight_file(str(tmp_path)).tensors()
    assert tensors.keys() == names.keys()
    np.testing.assert_array_equal(tensors["softmax/weights"], 1)
    (tmp_path / "variables" / "variables.index").write_bytes(b"not an index")
    with pytest.raises(ValueError, match="Cannot read the variables"):
        open_weight_file(str(tmp_path)).folded()


def test_weights_are_converted_once(files, cache, monkeypatch):
    path = str(files / "pt_inception.pth")
    first = load_inception(path, taps=["64"])
    sha256 = hashlib.sha256((files / "pt_inception.pth").read_bytes()).hexdigest()
    assert first.sha256 == sha256
    (file,) = cache.iterdir()
    assert file.name == f"inception-{sha256}.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(inception_weights, "_convert", None)
        again = load_inception(path, taps=["64"])
    assert again.sha256 == sha256 and not again.is_reference
    whole = file.read_bytes()
    for damaged in (whole[:100_000], whole[:-4] + b"abcd", b""):
        file.write_bytes(damaged)
        load_inception(path, taps=["64"])
        assert file.read_bytes() != damaged
        inception_rule.assert_is_rule(inception_weights._read(sha256)[0])


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(files, cache):
    cache.write_text("a file where the folder should be")
    assert load_inception(str(files / "pt_inception.pth"), ["64"]).taps == ("64",)


def test_rule_weights_are_never_the_reference(files, cache):
    for kind in KINDS:
        assert not load_inception(str(files / kind), ["64"]).is_reference


def test_published_hashes_make_the_reference_and_equal_numbers_too(files, monkeypatch):
    assert {len(bytes.fromhex(sha256)) for sha256 in REFERENCE_FILES} == {32}
    assert any(name.endswith(f"-{sha256[:8]}.pth") for sha256, name in REFERENCE_FILES.items())
    path = str(files / "pt_inception.pth")
    known = {open_weight_file(path).sha256: "as if it were published"}
    monkeypatch.setattr(inception_weights, "REFERENCE_FILES", known)
    module = str(files / "module")
    assert not load_inception(module, ["64"]).is_reference
    assert load_inception(path, ["64"]).is_reference
    # Without a path, the reference weights in the cache are used.
    assert load_inception(None, ["64"]).sha256 in known
    # The module's weights equal those of a file that was converted before.
    assert load_inception(module, ["64"]).is_reference


def test_a_cache_cannot_make_other_weights_the_reference(files, cache):
    path = str(files / "pt_inception.pth")
    load_inception(path, ["64"])
    (file,) = cache.iterdir()
    forged = next(iter(REFERENCE_FILES))
    os.rename(file, cache / f"inception-{forged}.safetensors")
    with pytest.raises(ValueError, match="must be given once"):
        load_inception(None)


def test_missing_weights_name_the_three_ways(cache):
    with pytest.raises(ValueError) as caught:
        load_inception(None)
    message = str(caught.value)
    for way in ("--inception_weights=PATH", "inception-2015-12-05.tgz", "6726825d.pth", "TF-Hub"):
        assert way in message
    assert "\n" not in message and str(cache) in message


def test_content_is_hashed_whatever_the_order():
    weights = {"b": (np.ones(2), np.zeros(1)), "a": (np.zeros(3), np.ones(1))}
    assert content_sha256(weights) == content_sha256(dict(reversed(weights.items())))
    assert content_sha256(weights) != content_sha256({**weights, "a": weights["b"]})


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def write_zip_pickle(path, victim):
    torch.save({"fc.bias": Malicious(victim)}, path)


def write_plain_pickle(path, victim):
    with open(path, "wb") as file:
        pickle.dump({"fc.bias": Malicious(victim)}, file, protocol=2)


@pytest.mark.parametrize("write", [write_zip_pickle, write_plain_pickle])
def test_nothing_in_a_file_is_run(tmp_path, cache, write):
    victim = tmp_path / "created"
    write(tmp_path / "weights.pth", str(victim))
    with pytest.raises(ValueError):
        load_inception(str(tmp_path / "weights.pth"))
    assert not victim.exists() and not cache.exists()


@pytest.mark.parametrize("kind", KINDS[:4])
def test_truncated_files_are_refused(files, tmp_path, cache, kind):
    whole = (files / kind).read_bytes()
    path = tmp_path / kind
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError) as caught:
        load_inception(str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not cache.exists()


def test_other_files_are_refused(tmp_path):
    def refused(name, content, match):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=match) as caught:
            load_inception(str(path))
        assert "\n" not in str(caught.value)

    refused("words.txt", b"no weights at all, only words", "must be a complete classify_image_gr")
    refused("empty", b"", "the tensor 'conv/conv2d_params' is missing")
    refused("graph.pb", GraphDef().SerializeToString(), "the tensor .* is missing")
    buffer = io.BytesIO()
    torch.save({"layer.weight": torch.zeros(3)}, buffer)
    refused("other.pth", buffer.getvalue(), "'Conv2d_1a_3x3.conv.weight' is missing.*num_tensors=1")
    with tarfile.open(tmp_path / "other.tgz", "w:gz"):
        pass
    refused("other.tgz", (tmp_path / "other.tgz").read_bytes(), "does not hold classify_image")
    with pytest.raises(ValueError, match=r"path of Inception weights does not exist.*nothing"):
        load_inception(str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"TF-Hub module, which has a saved_model\.pb"):
        load_inception(str(tmp_path))


def test_tensors_of_another_network_are_refused():
    weights = inception_rule.state_dict()
    later = {**weights, "fc.weight": np.zeros((1000, 2048), "float32")}
    with pytest.raises(ValueError, match=r"'fc\.weight' must have the shape \(1008, 2048\)"):
        WeightFile("later.pth", "", PYTORCH, lambda: Tensors.of(later)).folded()
    broken = {**weights, "fc.bias": np.full(1008, np.nan, "float32")}
    with pytest.raises(ValueError, match=r"'fc\.bias' holds numbers that are not finite"):
        WeightFile("broken.pth", "", PYTORCH, lambda: Tensors.of(broken)).folded()
