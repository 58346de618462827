"""The sample command with trained digits: sheets, sets of images, truncations and messages."""

from __future__ import annotations

import json
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.data.schemes import open_source
from tf_biggan.evaluation.features.classifier import classifier_of
from tf_biggan.evaluation.features.image_sets import SourceImages, open_images
from tf_biggan.files.png import to_uint8
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.pictures.samples import sample
from tf_biggan.store.opened_model import open_model

MODEL = str(pathlib.Path(__file__).parents[1] / "trained_digits")
TRUNCATIONS = (0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.fixture(scope="module")
def generator():
    return open_model(MODEL).generator


def expected(generator, seeds, labels, truncation=None, mode="scale"):
    """Returns the images of seeds and classes, made one by one by calling the generator."""
    z = latents_of_seeds(seeds, generator.latent_dim, truncation, mode)
    return generator(z, np.asarray(labels), truncation=truncation).numpy()


def run(path, **settings):
    sample(SampleConfig(model=MODEL, output=str(path), **settings))


def archive(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def test_without_flags_a_sheet_of_classes_and_seeds(generator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sample(SampleConfig(model=MODEL))
    page = Image.open("samples.png")
    assert json.loads(page.text["classes"]) == list("0123456789")
    assert (page.text["seeds"], page.text["z"], page.text["bn"]) == ("0-9", "N(0, I)", "table")
    # Images of 32 pixels are doubled, with a padding of two pixels. The margin holds the labels.
    pixels = np.asarray(page.convert("L"))
    margin = pixels.shape[1] - (10 * 66 + 2)
    for row, column in ((0, 0), (3, 7), (9, 9)):
        top, left = 2 + 66 * row, margin + 2 + 66 * column
        drawn = pixels[top : top + 64 : 2, left : left + 64 : 2]
        made = to_uint8(expected(generator, [column], [row]))[0, ..., 0]
        assert np.abs(drawn.astype(int) - made).max() <= 1


def test_an_archive_has_a_seed_for_every_image(generator, tmp_path):
    run(tmp_path / "set.npz", num_images=23, seeds="5", truncation="0.5", batch_size=4)
    stored = archive(tmp_path / "set.npz")
    images = next(a for a in stored.values() if a.ndim == 4)
    labels = next(a for a in stored.values() if a.shape == (23,) and a.dtype.kind in "iu")
    assert images.dtype == np.uint8 and images.shape == (23, 32, 32, 1)
    assert np.bincount(labels, minlength=10).min() >= 2
    made = to_uint8(expected(generator, np.arange(5, 28), labels, 0.5))
    assert np.abs(images.astype(int) - made).max() <= 1
    assert open_images(str(tmp_path / "set.npz"), None, 1).count == 23


def test_a_folder_has_names_of_class_and_seed(generator, tmp_path):
    run(tmp_path / "set", classes="4,7", seeds="0,2-3")
    files = sorted(str(p.relative_to(tmp_path / "set")) for p in tmp_path.rglob("*.png"))
    assert files == [f"{c}/seed{s:04d}.png" for c in (4, 7) for s in (0, 2, 3)]
    drawn = np.asarray(Image.open(tmp_path / "set" / "7" / "seed0002.png"))
    made = to_uint8(expected(generator, [2], [7]))[0, ..., 0]
    assert np.abs(drawn.astype(int) - made).max() <= 1
    assert open_images(str(tmp_path / "set"), (32, 32), 1).count == 6


def test_a_mixture_is_one_row(generator, tmp_path):
    run(tmp_path / "mix.png", class_mix="3:1,8:3", num_per_class=2)
    pixels = np.asarray(Image.open(tmp_path / "mix.png").convert("L"))
    assert pixels.shape[0] == 68
    weights = np.zeros((1, 10), "float32")
    weights[0, [3, 8]] = 0.25, 0.75
    made = to_uint8(expected(generator, [0], weights))[0, ..., 0]
    left = pixels.shape[1] - 2 * 66
    drawn = pixels[2:66:2, left : left + 64 : 2]
    assert np.abs(drawn.astype(int) - made).max() <= 1


def _spread(rows):
    """Returns the mean distance between two rows."""
    squares = (rows**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0))
    return distances[np.triu_indices(len(rows), 1)].mean()


def _sets(generator, count):
    """Returns images [count, H, W, C] in [-1, 1] of the same seeds at every truncation."""
    maker = ImageMaker(generator)
    labels = np.full(count, 2)
    for truncation in TRUNCATIONS:
        z = latents_of_seeds(np.arange(count), generator.latent_dim, truncation, "scale")
        yield maker.images(z, labels, truncation)


@pytest.mark.slow
def test_features_differ_more_at_larger_truncations(generator):
    extractor = classifier_of(SourceImages(open_source("digits"), (32, 32), 1), None).extractor()
    network, spreads = extractor.build(), []
    for images in _sets(generator, 40):
        features = network(to_uint8(images))["features"].numpy()
        spreads.append(_spread(features.reshape(40, -1).astype(np.float64)))
    assert np.all(np.diff(spreads) > 0) and spreads[-1] > 10 * spreads[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(classes="eleven"), "No class has this name"),
        (dict(classes="10"), "from 0 to 9"),
        (dict(seeds="9-4"), "eeds"),
        (dict(seeds="-1"), "eeds"),
        (dict(seeds=str(2**30)), "eeds"),
        (dict(truncation="0"), "above 0"),
        (dict(truncation="5"), "at most 1"),
        (dict(truncation="nan"), "truncation"),
        (dict(truncations="0.5,5"), "at most 1"),
        (dict(class_mix="3:-1,8:1"), "above 0"),
        (dict(raw=True), "choose weights of a run"),
        (dict(truncation_mode="resample"), "has no effect without a truncation"),
        (dict(output="."), "must not be the current folder or a mounted one"),
        (dict(output="/"), "must not be the current folder or a mounted one"),
        (dict(progress=True), "must end in"),
        (dict(output="sheet.jpg"), "must end in .png or .npz"),
        (dict(output="nowhere/sheet.png"), "nowhere"),
        (dict(model="."), "must be the folder of a run, a converted model"),
    ],
    ids=str,
)
def test_what_cannot_be_is_one_sentence(tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        sample(SampleConfig(**{"model": MODEL, "output": "sheet.png", **settings}))
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_the_same_seeds_with_classes_in_another_order_are_another_request(tmp_path):
    run(tmp_path / "set.npz", num_images=20)
    with pytest.raises(ValueError, match="order_sha256"):
        run(tmp_path / "set.npz", num_per_class=2)


def test_a_link_to_a_folder_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    os.symlink(tmp_path / "disk", tmp_path / "set")
    run(tmp_path / "set", classes="4", seeds="0-2")
    assert (tmp_path / "set").is_symlink()
    assert len(list((tmp_path / "disk" / "4").iterdir())) == 3
    assert sorted(os.listdir(tmp_path)) == ["disk", "set"]


def test_a_complete_folder_from_which_an_image_is_gone_is_not_complete(tmp_path):
    run(tmp_path / "set", classes="4", seeds="0-2")
    (tmp_path / "set" / "4" / "seed0001.png").unlink()
    with pytest.raises(ValueError, match="mages were removed from this finished folder"):
        run(tmp_path / "set", classes="4", seeds="0-2")
