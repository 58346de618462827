"""The interpolate command with trained digits: inputs of the generator, pictures, and messages."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from tf_biggan.cli.interpolate_settings import InterpolateConfig
from tf_biggan.data.classes import ClassLookup
from tf_biggan.files.png import to_uint8
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.generation.interpolation_paths import PathPlan, parse_end_points
from tf_biggan.generation.inversion import InvertedImage, write_inverted
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.networks.generator import Generator
from tf_biggan.pictures import interpolations
from tf_biggan.pictures.interpolations import animation_frames, frame_images, interpolate
from tf_biggan.pictures.sheets_and_animations import captioned, sheet
from tf_biggan.store.opened_model import OpenedModel, open_model

MODEL = str(pathlib.Path(__file__).parents[1] / "trained_digits")


@pytest.fixture(scope="module")
def opened():
    return open_model(MODEL)


@pytest.fixture(scope="module")
def maker(opened):
    return ImageMaker(opened.generator, batch_size=7)


@pytest.fixture(autouse=True)
def opened_once(monkeypatch, opened):
    real = interpolations.open_model_of
    once = lambda settings: opened if settings.model == MODEL else real(settings)  # noqa: E731
    monkeypatch.setattr(interpolations, "open_model_of", once)


@pytest.fixture
def spied(monkeypatch):
    """Records the inputs of the generator; its images show the number of the batch in grey."""
    seen = []

    def synthesize(self, z, embeddings=None, truncation=None, training=False):
        seen.append((np.asarray(z), np.asarray(embeddings), np.asarray(truncation)))
        return np.zeros((len(z), 32, 32, 1), np.float32)

    class Eager:
        """A replacement for `ReplicaMap` without graphs."""

        def __init__(self, strategy, function, batch_size):
            self.rows, self._function = batch_size, function

        def __call__(self, *arrays):
            return self._function(*arrays)

    monkeypatch.setattr("tf_biggan.generation.image_maker.ReplicaMap", Eager)
    monkeypatch.setattr(Generator, "synthesize", synthesize)
    return seen


def rows_of(seen, columns):
    """Returns (z, embeddings, truncation) [R, columns, ...] of all batches."""
    parts = [np.concatenate(part) for part in zip(*seen, strict=True)]
    return [part.reshape(-1, columns, *part.shape[1:]) for part in parts]


def test_fix_z_gives_every_frame_of_a_row_the_same_z(spied, tmp_path):
    output = str(tmp_path / "a.png")
    interpolate(InterpolateConfig(model=MODEL, output=output, fix_z=True, num_rows=3))
    z, embeddings, _ = rows_of(spied, 10)
    assert z.shape == (3, 10, 32)
    np.testing.assert_array_equal(z, np.repeat(z[:, :1], 10, axis=1))
    assert len(np.unique(z[:, 0], axis=0)) == 3
    assert np.all(np.any(np.diff(embeddings, axis=1) != 0, axis=2))
    np.testing.assert_allclose(np.sort(embeddings[:, [0, -1]])[..., -1], 1.0)


def test_fix_y_gives_every_frame_of_a_row_the_same_embedding(spied, tmp_path):
    output = str(tmp_path / "a.png")
    settings = dict(model=MODEL, output=output, fix_y=True, classes="3,8", seeds="0-5")
    interpolate(InterpolateConfig(**settings))
    z, embeddings, _ = rows_of(spied, 10)
    expected = np.eye(10, dtype=np.float32)[[3, 8, 3]]
    np.testing.assert_array_equal(embeddings, np.repeat(expected[:, None], 10, axis=1))
    assert np.all(np.any(np.diff(z, axis=1) != 0, axis=2))
    np.testing.assert_allclose(
        z[:, [0, -1]].reshape(6, 32), latents_of_seeds(range(6), 32, None, "scale"), atol=1e-6
    )


@pytest.mark.parametrize(("bn", "expected"), [("table", [0.2, 0.6, 1.0]), ("running", [1, 1, 1])])
def test_the_statistics_follow_the_truncation_unless_told(spied, tmp_path, bn, expected):
    settings = dict(model=MODEL, output=str(tmp_path / "a.png"), endpoints="3@0,4@1", bn=bn)
    interpolate(InterpolateConfig(**settings, truncation="0.2:1.0", num_midpoints=1))
    z, _, truncation = rows_of(spied, 3)
    np.testing.assert_allclose(truncation[0], expected, rtol=1e-6)
    ends = [latents_of_seeds([seed], 32, t, "scale")[0] for seed, t in ((0, 0.2), (1, 1.0))]
    np.testing.assert_allclose(z[0, [0, -1]], ends, atol=1e-6)


def test_ends_are_the_images_of_their_class_and_seed(opened, maker):
    lookup = ClassLookup(opened.class_names, 10)
    plan, route = PathPlan(2), parse_end_points("3@0,8@5,1@2", lookup)
    frames = plan.frames(route, maker)
    images = frame_images([frames], maker)
    assert images.shape == (1, 7, 32, 32, 1)
    z = latents_of_seeds([0, 5, 2], 32, None, "scale")
    alone = [maker.images(z[i : i + 1], [c])[0] for i, c in enumerate((3, 8, 1))]
    floats = maker.images(frames.z, None, frames.truncation, embeddings=frames.embeddings)
    np.testing.assert_allclose(floats[[0, 3, 6]], alone, atol=1e-5)
    assert np.array_equal(images[0], to_uint8(floats))


def test_a_sheet_has_a_row_for_every_two_points_and_describes_itself(maker, tmp_path, capsys):
    output = str(tmp_path / "path.png")
    settings = dict(model=MODEL, endpoints="3@0,8@5,1@2", num_midpoints=2, truncation="0.5:1")
    interpolate(InterpolateConfig(**settings, output=output))
    assert f"Written: {output}" in capsys.readouterr().out
    plan = PathPlan(2, truncations=(0.5, 1.0))
    route = parse_end_points(settings["endpoints"], ClassLookup((), 10))
    images = frame_images([plan.frames(route, maker)], maker)[0]
    # Captions show the truncation of each frame; the shared point appears in both rows.
    captions = [[text] for text in "0.50 0.58 0.67 0.75 0.75 0.83 0.92 1.00".split()]
    cells = captioned(images[[0, 1, 2, 3, 3, 4, 5, 6]], captions, 48)
    labels = ["3@0 to 8@5", "8@5 to 1@2"]
    expected = sheet(cells, columns=4, row_labels=labels, smallest_cell=1)
    with Image.open(output) as page:
        assert page.tobytes() == expected.tobytes()
        text = page.text
    assert text["points"] == '[["3@0", "8@5", "1@2"]]'
    assert (text["truncation"], text["truncation_mode"]) == ("[0.5, 1.0]", "scale")
    assert (text["z_path"], text["class_path"], text["bn"]) == ("slerp", "lerp", "table")
    assert text["model"] == MODEL and len(text["sha256"]) == 64


def found_file(path, maker, label=3, truncation=0.25):
    """Writes a file as `invert` would for an image of the model."""
    z = latents_of_seeds([9], 32, None, "scale")[0]
    weights = np.eye(10, dtype=np.float32)[label]
    embedding = [label][0]
    found = InvertedImage(z, weights, embedding, truncation, 40.0, {"model": MODEL})
    write_inverted(path, found)
    return path


def test_a_found_end_has_no_truncation_below_it(maker, tmp_path):
    """Statistics use the truncation at which the image was inverted."""
    end = found_file(str(tmp_path / "end.npz"), maker)
    output = str(tmp_path / "path.png")
    settings = dict(model=MODEL, num_midpoints=1, truncation="0.5:1")
    interpolate(InterpolateConfig(**settings, endpoints=f"3@0,{end}", output=output))
    plan = PathPlan(1, truncations=(0.5, 1.0))
    path = plan.frames(parse_end_points(f"3@0,{end}", ClassLookup((), 10)), maker)
    np.testing.assert_allclose(path.truncation, [0.5, 0.5, 0.25])
    images = frame_images([path], maker)[0]
    cells = captioned(images, [["0.50"], ["0.75"], [""]], 48)
    expected = sheet(cells, columns=3, row_labels=["3@0 to end.npz"], smallest_cell=1)
    with Image.open(output) as page:
        assert page.tobytes() == expected.tobytes()
    for points, others in ((f"{end},{end}", {}), (f"{end},3@0", dict(fix_z=True))):
        with pytest.raises(ValueError, match="`truncation` has no effect because all latents come"):
            interpolate(InterpolateConfig(**settings, endpoints=points, output=output, **others))


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_an_animation_loops_without_a_frame_twice(maker, tmp_path, ending):
    output = str(tmp_path / f"path.{ending}")
    settings = dict(model=MODEL, num_rows=3, num_midpoints=2, loop=True)
    interpolate(InterpolateConfig(**settings, output=output))
    with Image.open(output) as animation:
        # Two legs have three steps each. The first frame is not repeated at the end.
        assert animation.n_frames == 6 and animation.info["loop"] == 0
        pages = []
        for place in range(6):
            animation.seek(place)
            pages.append(np.asarray(animation.convert("L"), np.float64))
    assert pages[0].shape == (2 * 98 + 2, 2 * 98 + 2)
    steps = [np.abs(pages[i] - pages[i - 1]).mean() for i in range(6)]
    # The step from the last frame to the first is as large as the others.
    assert min(steps) > 0.5 and steps[0] == pytest.approx(steps[1], rel=0.05)


def test_a_loop_leaves_its_last_frame_out():
    images = np.arange(7, dtype=np.uint8).reshape(1, 7, 1, 1, 1) * np.ones((64, 64, 1), np.uint8)
    assert len(animation_frames(images, PathPlan(2))) == 7
    frames = animation_frames(images, PathPlan(2, loop=True))
    assert [frame.getpixel((5, 5)) for frame in frames] == [0, 1, 2, 3, 4, 5]


FAULTS = {
    "unknown class": (dict(endpoints="cat@0,3@1"), "no class has this name"),
    "class of random ends": (dict(classes="cat"), "no class has this name"),
    "one end point": (dict(endpoints="3@0"), "must name at least two"),
    "seeds backwards": (dict(seeds="9-0"), "must begin with its smaller number"),
    "seeds for half a row": (
        dict(seeds="0-2", num_rows=2),
        "`seeds` must be 4, which is 2 for each row",
    ),
    "truncation 0": (
        dict(truncation="0"),
        "above 0 and, if `truncation_mode` is 'scale', at most 1",
    ),
    "truncation 5": (dict(truncation="5"), "at most 1"),
    "truncation of words": (dict(truncation="1.0:nonsense"), "a number or FROM:TO"),
    "three truncations": (dict(truncation="0.1:0.2:0.3"), "a number or FROM:TO"),
    "truncation nan": (dict(truncation="nan"), "a number or FROM:TO"),
    "mode alone": (dict(truncation_mode="resample"), "has no effect without a truncation"),
    "seconds of a sheet": (
        dict(seconds_per_frame=0.1),
        "`seconds_per_frame` has no effect on a sheet",
    ),
    "more classes than ends": (
        dict(classes="0-4", num_rows=2),
        "`classes` must be at most 4, which is 2 for each row",
    ),
    "both fixed": (dict(fix_z=True, fix_y=True), "only one of --fix_z and --fix_y"),
    "ends twice": (dict(endpoints="3@0,4@1", seeds="1"), "have no effect with --endpoints"),
    "no model": (dict(model="{tmp}"), "--model must be the folder of"),
    "iteration of a model": (dict(model="{tmp}", iteration=3), "choose weights of a run"),
    "no folder": (dict(output="{tmp}/none/a.png"), "the folder of `output` does not exist"),
    "folder": (dict(output="{tmp}"), "must end in .png or .gif or .webp or .mp4"),
    "ending": (dict(output="{tmp}/a.jpg"), "must end in .png or .gif or .webp or .mp4"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_is_one_sentence(fault, tmp_path):
    settings, message = FAULTS[fault]
    settings = {"model": MODEL, "output": "{tmp}/a.png", **settings}
    filled = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in settings.items()}
    with pytest.raises(ValueError) as error:
        interpolate(InterpolateConfig(**filled))
    assert message.lower() in str(error.value).lower()
    assert "\n" not in str(error.value) and os.listdir(tmp_path) == []


def test_a_model_without_classes_has_z_alone_to_change(monkeypatch, tmp_path):
    generator = Generator("biggan32", 0, base_channels=2, latent_dim=8, initializer="n02", seed=0)
    monkeypatch.setattr(
        interpolations,
        "open_model_of",
        lambda settings: OpenedModel(generator, (), "model", {"path": settings.model}, "m"),
    )
    output = str(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"model has no classes.*fix_z=True"):
        interpolate(InterpolateConfig(model="m", output=output, fix_z=True))
    interpolate(InterpolateConfig(model="m", output=output, endpoints="@1,@2,@3"))
    with Image.open(output) as page:
        assert page.mode == "RGB" and page.text["points"] == '[["@1", "@2", "@3"]]'
