"""Pictures of a model whose images are wider than high."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tf_biggan.cli.interpolate_settings import InterpolateConfig
from tf_biggan.cli.invert_settings import InvertConfig
from tf_biggan.files.png import to_uint8
from tf_biggan.generation.inversion import read_inverted
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.networks.generator import Generator
from tf_biggan.pictures.interpolations import interpolate
from tf_biggan.pictures.inversions import invert_file
from tf_biggan.store.model_directory import write_directory

SIZE = (32, 48)


@pytest.fixture(scope="module")
def generator():
    settings = dict(bottom_size=(4, 6), base_channels=1, latent_dim=4, initializer="n02", seed=0)
    return Generator("biggan32_studiogan", 2, **settings)


@pytest.fixture(scope="module")
def model(generator, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("models") / "wide")
    write_directory(path, {"generator": generator}, ("ant", "bee"), {})
    return path


@pytest.fixture(scope="module")
def ants(generator):
    z = latents_of_seeds([0, 1], 4, None, "scale")
    return to_uint8(np.asarray(generator(z, [0, 0])))


@pytest.mark.usefixtures("eagerly")
def test_an_interpolation_shows_whole_images(model, ants, tmp_path):
    path = str(tmp_path / "path.png")
    settings = dict(endpoints="ant@0,ant@1", num_midpoints=0)
    interpolate(InterpolateConfig(model=model, output=path, **settings))
    page = np.asarray(Image.open(path).convert("RGB")).astype(int)
    # Sheets enlarge small images by 2.
    (height, width), places = (2 * side for side in SIZE), []
    for image in ants.astype(int).repeat(2, axis=1).repeat(2, axis=2):
        for x in range(page.shape[1] - width + 1):
            cells = [page[y:, x:][:height, :width] for y in range(page.shape[0] - height + 1)]
            places += [x for cell in cells if np.abs(cell - image).max() <= 1]
    assert len(places) == 2 and places[1] - places[0] >= width


@pytest.mark.usefixtures("eagerly")
def test_an_image_of_the_shape_of_the_model_is_not_cut(model, ants, tmp_path, capsys):
    photo, output = str(tmp_path / "photo.png"), str(tmp_path / "found.npz")
    Image.fromarray(ants[0]).save(photo)
    quick = dict(num_starts=1, num_steps=1, batch_size=2)
    invert_file(InvertConfig(model=model, image=photo, output=output, classes="ant", **quick))
    assert f"{photo}: 32x48" in capsys.readouterr().out
    assert read_inverted(output).z.shape[-1] == 4
    assert Image.open(tmp_path / "found.png").size[0] >= 2 * SIZE[1]
