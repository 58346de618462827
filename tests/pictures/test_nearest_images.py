"""The neighbours command with trained digits: picture, table and messages."""

from __future__ import annotations

import functools
import json
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from tf_biggan.cli.neighbours_settings import NeighboursConfig
from tf_biggan.data.schemes import open_source
from tf_biggan.evaluation.comparison import BY_INDEX
from tf_biggan.evaluation.features import classifier
from tf_biggan.evaluation.features.image_sets import ArrayImages, SourceImages
from tf_biggan.files.png import to_uint8
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.pictures import nearest_images
from tf_biggan.pictures.nearest_images import draw_neighbours
from tf_biggan.store.opened_model import open_model

MODEL = str(pathlib.Path(__file__).parents[1] / "trained_digits")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path_factory):
    cache = tmp_path_factory.getbasetemp() / "neighbours-cache"
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(cache))
    settings = functools.partial(classifier.ClassifierSettings, channels=(8, 8), updates=(20, 20))
    monkeypatch.setattr(classifier, "ClassifierSettings", settings)


@pytest.fixture(scope="module")
def real():
    return SourceImages(open_source("digits"), (32, 32), 1)


def table_of(tmp_path, **settings):
    draw_neighbours(NeighboursConfig(**settings, output=str(tmp_path / "found.png")))
    with open(tmp_path / "found.json", encoding="utf-8") as file:
        return json.load(file)


def test_samples_of_the_model_and_the_classifiers_distance(tmp_path, real, capsys):
    settings = dict(model=MODEL, reference="digits", reference_images=300, classes="3,8")
    table = table_of(tmp_path, **settings, seeds="4,7", num_neighbours=5, same_class=True)
    assert [row["sample"] for row in table["neighbours"]] == ["3@4", "3@7", "8@4", "8@7"]
    for row in table["neighbours"]:
        assert {found["class"] for found in row["neighbours"]} == {row["sample"][0]}
        distances = [found["distance"] for found in row["neighbours"]]
        assert len(distances) == 5 and distances == sorted(distances)
        # The images are spread evenly over the source, and indices count in the whole source.
        places = [found["index"] for found in row["neighbours"]]
        assert set(places) <= set((np.arange(300) * 1797 // 300).tolist())
        assert [str(real.labels[place]) for place in places] == [row["sample"][0]] * 5
    assert table["distance"] == "classifier" and table["reference_images"] == 300
    said = capsys.readouterr().out
    first = table["neighbours"][0]["neighbours"][0]
    assert f"3@4: digits.npz image {first['index']} (3) {first['distance']:#.4g}, " in said
    assert "Median distance to the nearest real image: " in said
    maker = ImageMaker(open_model(MODEL).generator)
    sample = to_uint8(maker.images(latents_of_seeds([4], 32, None, "scale"), [3]))
    with Image.open(tmp_path / "found.png") as page:
        pixels = np.asarray(page)
        assert page.text["reference"] == "digits"
        assert (
            page.text["samples"] == '["3@4", "3@7", "8@4", "8@7"]' and "neighbours" not in page.text
        )
    np.testing.assert_array_equal(pixels[2:98:3, 2:98:3], sample[0, ..., 0])
    beside = real.take(np.array([first["index"]]))[0, ..., 0]
    np.testing.assert_array_equal(pixels[2:98:3, 100:196:3], beside)


def test_real_images_find_themselves(tmp_path, real):
    rows = np.array([5, 1200, 33])
    np.savez(tmp_path / "some.npz", x=real.take(rows))
    settings = dict(images=str(tmp_path / "some.npz"), reference="digits", num_neighbours=2)
    table = table_of(tmp_path, **settings, extractor="pixels")
    nearest = [row["neighbours"][0] for row in table["neighbours"]]
    assert [found["index"] for found in nearest] == rows.tolist()
    assert [found["distance"] for found in nearest] == [0.0] * 3
    assert table["median_distance"] == 0.0 < table["median_distance_between_real_images"]
    assert "model" not in table
    assert [row["sample"] for row in table["neighbours"]] == ["image 0", "image 1", "image 2"]
    table = table_of(tmp_path, **settings, extractor="pixels", num_images=2)
    assert [row["sample"] for row in table["neighbours"]] == ["image 0", "image 1"]


def test_images_of_a_folder_have_their_names(tmp_path, real, monkeypatch):
    pixels = real.take(np.array([5, 1200, 33]))[..., 0]
    for name, image in zip(("b/x.png", "a/x.png", "a/y.png"), pixels, strict=True):
        (tmp_path / "some" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "some" / name)
    monkeypatch.chdir(tmp_path)
    settings = dict(images="some", reference="digits", num_neighbours=1)
    table = table_of(tmp_path, **settings, model=MODEL, extractor="pixels")
    nearest = {row["sample"]: row["neighbours"][0] for row in table["neighbours"]}
    assert {name: found["index"] for name, found in nearest.items()} == {
        "a/x.png": 1200,
        "a/y.png": 33,
        "b/x.png": 5,
    }
    (tmp_path / "taken.json").mkdir()
    with pytest.raises(ValueError, match="must be a file, not a folder"):
        draw_neighbours(NeighboursConfig(**settings, output=str(tmp_path / "taken.png")))
    assert not (tmp_path / "taken.png").exists()


def test_fewer_than_asked_for_leave_cells_empty(tmp_path, real):
    np.savez(tmp_path / "some.npz", x=real.take(np.array([0])))
    settings = dict(images=str(tmp_path / "some.npz"), reference="digits", reference_images=2)
    table = table_of(tmp_path, **settings, num_neighbours=3, extractor="pixels")
    assert len(table["neighbours"][0]["neighbours"]) == 2
    with Image.open(tmp_path / "found.png") as page:
        pixels = np.asarray(page)
    assert pixels[:, -98:].min() == 255 and pixels[:, -196:-100].min() < 128


FAULTS = {
    "no model": (dict(model=None), "give --model, or give both --images and --reference"),
    "no reference": (dict(reference=None), "give the real images to compare with by --reference"),
    "other folder": (dict(model="{tmp}"), "--model must be the folder of"),
    "no images": (dict(images="{tmp}/none"), "The path of images does not exist"),
    "other images": (
        dict(images="{colour}"),
        "`images` must have the size and channels of the model's images",
    ),
    "unknown class": (dict(classes="cat"), "no class has this name"),
    "seeds backwards": (dict(seeds="9-0"), "must begin with its smaller number"),
    "truncation 5": (dict(truncation="5"), "`truncation` must be above 0"),
    "images and mode": (
        dict(images="x", truncation="0.5", truncation_mode="resample"),
        "have no effect on --images",
    ),
    "images and classes": (dict(images="x", classes="3"), "have no effect on --images"),
    "other reference": (dict(reference="mnist"), "must have one of the forms digits"),
    "number of samples": (dict(num_images=3), "`num_images` has no effect without --images"),
    "mode alone": (dict(truncation_mode="resample"), "has no effect without a truncation"),
    "ending": (dict(output="{tmp}/a.json"), "`output` must end in .png"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_is_one_sentence(fault, tmp_path, tmp_path_factory):
    colour = tmp_path_factory.mktemp("colour") / "a.npz"
    np.savez(colour, x=np.zeros((2, 32, 32, 3), np.uint8))
    settings, message = FAULTS[fault]
    settings = {"model": MODEL, "reference": "digits", "output": "{tmp}/a.png", **settings}
    filled = {
        k: v.format(tmp=tmp_path, colour=colour) if isinstance(v, str) else v
        for k, v in settings.items()
    }
    with pytest.raises((ValueError, OSError)) as error:
        draw_neighbours(NeighboursConfig(**filled))
    assert message.lower() in str(error.value).lower()
    assert "\n" not in str(error.value) and os.listdir(tmp_path) == []


def test_the_same_class_is_found_by_its_name():
    def samples(names, labels):
        made = ArrayImages("samples", np.zeros((len(labels), 32, 32, 1), np.uint8), labels)
        made.class_names = names
        return made

    source = open_source("digits")
    turned = samples(tuple("9876543210"), [0, 2])
    assert nearest_images._with_labels_of(source, turned) == ()
    assert turned.labels.tolist() == [9, 7]
    nameless = samples((), [0, 2])
    assert nearest_images._with_labels_of(source, nameless) == (BY_INDEX,)
    assert nameless.labels.tolist() == [0, 2]
    for names, labels, message in (
        (("0", "ant"), [0, 1], "only in the samples: 'ant'"),
        ((), [3, 10], "largest_label=10"),
    ):
        with pytest.raises(ValueError, match=message):
            nearest_images._with_labels_of(source, samples(names, labels))
