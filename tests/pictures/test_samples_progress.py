"""Animations of the same images at every checkpoint of a run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.training.test_loop import config
from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.files.png import to_uint8
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.pictures.samples import sample
from tf_biggan.pictures.sheets_and_animations import sheet
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.opened_model import open_model
from tf_biggan.store.run_directory import write_config
from tf_biggan.training.start import create_state


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns a run with two checkpoints, whose images are dark and bright."""
    path, settings = str(tmp_path_factory.mktemp("runs") / "run"), config(num_classes=10)
    write_config(path, settings, tuple("0123456789"))
    state = create_state(settings)
    checkpoints = Checkpoints(state, path, 2)
    for iteration, level in ((500, -1.0), (12000, 1.0)):
        state.average.to_image.bias.assign([level])
        state.iteration.assign(iteration)
        checkpoints.save()
    return path


def test_frames_are_sheets_of_checkpoints(run, tmp_path, capsys):
    path = tmp_path / "progress.webp"
    settings = {"classes": "2,7", "num_per_class": 3, "seconds_per_frame": 0.3}
    sample(SampleConfig(model=run, progress=True, output=str(path), **settings))
    assert capsys.readouterr().out.startswith(f"Written: {path} (2 checkpoints, classes 2; 7, ema")
    with Image.open(path) as file:
        assert file.n_frames == 2 and file.info["loop"] == 0
        told = json.loads(file.getexif()[0x010E])
        assert json.loads(told["iterations"]) == [500, 12000] and told["seeds"] == "0-2"
        for number, iteration in enumerate((500, 12000)):
            file.seek(number)
            file.load()
            assert file.info["duration"] == 300
            generator = open_model(run, iteration=iteration).generator
            z = latents_of_seeds([0, 1, 2] * 2, 8, None, "scale")
            images = to_uint8(generator(z, np.array([2, 2, 2, 7, 7, 7])))
            page = np.asarray(sheet(images, 3, ["2", "7"])).astype(int)
            shown = np.asarray(file.convert("L")).astype(int)[: len(page)]
            assert np.abs(shown - page).max() <= 1


def test_what_has_no_progress(run, tmp_path):
    made = SampleConfig(model=str(tmp_path), progress=True, output=str(tmp_path / "a.gif"))
    with pytest.raises(ValueError, match="--progress needs a run as --model"):
        sample(made)
    settings = config(num_classes=10)
    write_config(str(tmp_path / "new"), settings, ())
    made = SampleConfig(model=str(tmp_path / "new"), progress=True, output=str(tmp_path / "a.gif"))
    with pytest.raises(ValueError, match=r"at least two checkpoints.*--keep_checkpoints"):
        sample(made)
