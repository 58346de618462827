"""Every script in examples/ runs with small networks and does what its docstring says."""

from __future__ import annotations

import importlib.util
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.serving import saved_models
from tests.serving.conftest import running_server
from tf_biggan import Generator
from tf_biggan.store.model_directory import write_directory

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
LONGEST = 80


def load(name: str):
    """Imports a script from its path."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def without_graphs():
    """Runs functions without tracing, which takes most of the time of small networks."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def digits_model(tmp_path_factory):
    """Returns the model folder of a narrow generator of grey 32x32 images."""
    path = str(tmp_path_factory.mktemp("models") / "digits")
    generator = Generator(
        "biggan32", 10, base_channels=1, latent_dim=4, image_channels=1, initializer="n02", seed=1
    )
    write_directory(path, {"generator": generator}, tuple("0123456789"), {"source": "a test"})
    return path


def test_every_script_is_here_and_short():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {"train_loop", "sample_from_model", "custom_extractor", "serve_client"}
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LONGEST and f"python examples/{path.name}" in text


def test_train_loop_updates_all_networks(capsys):
    images = load("train_loop").main(iterations=2, channels=1).numpy()
    assert images.shape == (10, 32, 32, 1) and np.isfinite(images).all()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["1", "2"]
    assert lines[0].partition(":")[2] != lines[1].partition(":")[2]


def test_sample_from_model_writes_the_images_of_the_sample_command(digits_model, tmp_path):
    from tf_biggan import SampleConfig, sample

    output = str(tmp_path / "samples")
    paths = load("sample_from_model").main(digits_model, output, truncation=0.5)
    assert [pathlib.Path(path).name for path in paths] == [
        *("0-seed0.png", "0-seed1.png", "1-seed0.png", "1-seed1.png")
    ]
    sample(
        SampleConfig(
            model=digits_model,
            classes="0,1",
            seeds="0-1",
            truncation="0.5",
            output=str(tmp_path / "same.npz"),
        )
    )
    with np.load(tmp_path / "same.npz") as stored:
        pairs = zip(stored["arr_1"], stored["arr_0"], strict=True)
        expected = {(int(label), image.tobytes()) for label, image in pairs}
    made = {
        (int(pathlib.Path(path).name[0]), np.array(Image.open(path)).tobytes()) for path in paths
    }
    assert made == expected


def test_custom_extractor_gives_scores_of_its_own_name(digits_model, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(tmp_path / "cache"))
    scores = load("custom_extractor").main(
        digits_model, str(tmp_path / "extractor"), steps=2, num_images=40
    )
    assert {"extractor_fid", "extractor_kid"} <= set(scores)
    written = json.loads((tmp_path / "extractor" / "scores.json").read_text())
    assert written["scores"]["extractor_fid"] == scores["extractor_fid"]


def test_serve_client_saves_the_picture_of_the_server(tmp_path):
    saved_models.save_conditional(str(tmp_path / "birds" / "1"))
    path = str(tmp_path / "picture.png")
    with running_server(str(tmp_path / "birds")) as server:
        load("serve_client").main(server, "birds", label=3, seed=2, truncation=0.5, output=path)
    np.testing.assert_array_equal(np.array(Image.open(path)), saved_models.picture(3, 2, 0.5))
