"""The invert command with trained digits: its file, its picture and its messages."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from tf_biggan.cli.interpolate_settings import InterpolateConfig
from tf_biggan.cli.invert_settings import InvertConfig
from tf_biggan.evaluation.features import classifier
from tf_biggan.files.png import to_uint8
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.generation.inversion import read_inverted
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.pictures import inversions
from tf_biggan.pictures.interpolations import interpolate
from tf_biggan.pictures.inversions import invert_file
from tf_biggan.store.opened_model import open_model

MODEL = str(pathlib.Path(__file__).parents[1] / "trained_digits")
QUICK = dict(model=MODEL, num_starts=2, num_steps=3)


@pytest.fixture(scope="module")
def maker():
    return ImageMaker(open_model(MODEL).generator)


@pytest.fixture(scope="module")
def photo(maker, tmp_path_factory):
    """Writes a generated 7 as a colour image of another size."""
    z = latents_of_seeds([1], 32, 0.5, "scale")
    image = to_uint8(maker.images(z, [7]))[0, ..., 0]
    path = str(tmp_path_factory.mktemp("photos") / "photo.png")
    Image.fromarray(image).convert("RGB").resize((96, 64)).save(path)
    return path


@pytest.fixture(scope="module")
def inverted(photo, tmp_path_factory):
    """Returns (path of the file, printed text)."""
    output, said = str(tmp_path_factory.mktemp("inverted") / "found.npz"), io.StringIO()
    settings = dict(QUICK, image=photo, classes="7", truncation="0.5")
    with contextlib.redirect_stdout(said):
        invert_file(InvertConfig(**settings, output=output))
    return output, said.getvalue()


def test_what_is_found_is_an_end_point(photo, inverted, maker, tmp_path, capsys):
    (output, said), sheet = inverted, str(tmp_path / "path.png")
    assert f"{photo}: 64x96, cropped to its centre, resized to 32x32\n" in said
    assert "no features: Give the real images to compare with by --reference" in said
    found = read_inverted(output)
    assert f"PSNR {found.psnr:.1f} dB, class 7 100%" in said
    assert f"Written: {output}, {output[:-4]}.png" in said
    assert found.truncation == 0.5 and found.description["truncation"] == 0.5
    np.testing.assert_array_equal(found.class_weights, np.eye(10)[7])
    image = maker.images(found.z[None], found.class_weights[None], 0.5)
    with Image.open(f"{output[:-4]}.png") as page:
        right = np.asarray(page)[2:-2, -98:-2][::3, ::3]
        assert page.text["classes"] == '{"7": 1.0}' and float(page.text["psnr"]) > 5
    np.testing.assert_array_equal(right, to_uint8(image)[0, ..., 0])
    interpolate(InterpolateConfig(model=MODEL, endpoints=f"{output},7@0", output=sheet))
    assert "other weights" not in capsys.readouterr().out
    with Image.open(sheet) as page:
        assert page.text["points"] == '[["found.npz", "7@0"]]'
        margin = page.width - (10 * 66 + 2)
        first = np.asarray(page)[2:66:2, margin + 2 : margin + 66 : 2]
    np.testing.assert_array_equal(first, to_uint8(image)[0, ..., 0])


@pytest.mark.parametrize(
    ("settings", "statistics"),
    [
        (dict(truncation="0.5"), 0.5),
        (dict(truncation="0.5", bn="running"), 1.0),
        (dict(truncation="2", truncation_mode="resample"), 1.0),
        ({}, 1.0),
    ],
)
def test_which_row_of_statistics(settings, statistics):
    config = InvertConfig(model="m", image="i", **settings)
    assert inversions.descent_of(config).statistics == statistics


def test_features_are_the_classifiers_of_the_reference(photo, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(tmp_path / "cache"))
    quick = functools.partial(classifier.ClassifierSettings, channels=(8, 8), updates=(5, 5))
    monkeypatch.setattr(classifier, "ClassifierSettings", quick)
    for number in range(12):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32), 20 * number, np.uint8)).save(path)
    settings = dict(QUICK, image=photo, output=str(tmp_path / "a.npz"))
    invert_file(InvertConfig(**settings, classes="7", reference=str(tmp_path / "data")))
    assert "Loss: pixels at several scales, features of classifier" in capsys.readouterr().out


def test_another_models_find_is_noted_or_refused(inverted, tmp_path, capsys):
    output, arrays = str(tmp_path / "found.npz"), dict(np.load(inverted[0]))
    settings = dict(model=MODEL, endpoints=f"{output},7@0", output=str(tmp_path / "a.png"))
    changed = str(arrays["description"]).replace('"sha256": "', '"sha256": "0')
    np.savez(output, **{**arrays, "description": changed})
    interpolate(InterpolateConfig(**settings))
    assert (
        f"The latent vector in {output} was found with other weights ({MODEL})"
        in capsys.readouterr().out
    )
    np.savez(output, **{**arrays, "z": arrays["z"][:-1]})
    with pytest.raises(ValueError, match="with a different latent size or number of classes"):
        interpolate(InterpolateConfig(**settings))


FAULTS = {
    "no image": (dict(image="{tmp}/none.png"), "the image does not exist"),
    "no picture": (dict(image=__file__), "must be a complete JPEG, PNG, BMP or WebP"),
    "unknown class": (dict(classes="seven"), "no class has this name"),
    "truncation 0": (dict(truncation="0"), "`truncation` must be above 0"),
    "two truncations": (dict(truncation="0.2:1"), "`truncation` must be a number"),
    "no model": (dict(model="{tmp}"), "--model must be the folder of"),
    "no such extractor": (dict(extractor="{tmp}/x.keras"), "There is no feature extractor"),
    "weights of nothing": (
        dict(extractor="none", inception_weights="w"),
        "has no effect with --extractor=none",
    ),
    "ending": (dict(output="{tmp}/a.png"), "`output` must end in .npz"),
    "no folder": (dict(output="{tmp}/none/a.npz"), "the folder of `output` does not exist"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_is_one_sentence(fault, photo, tmp_path):
    settings, message = FAULTS[fault]
    settings = {**QUICK, "image": photo, "output": "{tmp}/a.npz", **settings}
    filled = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in settings.items()}
    with pytest.raises((ValueError, OSError)) as error:
        invert_file(InvertConfig(**filled))
    assert message.lower() in str(error.value).lower()
    assert "\n" not in str(error.value) and os.listdir(tmp_path) == []


def test_the_picture_never_takes_the_place_of_the_image(tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("L", (32, 32)).save(photo)
    before = photo.read_bytes()
    config = InvertConfig(model=MODEL, image=str(photo), output=str(tmp_path / "photo.npz"))
    with pytest.raises(ValueError, match="would replace `image`"):
        inversions.invert_file(config)
    assert photo.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
