"""`--bn` has the same meaning in every command: sample and evaluate make the same images."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.small_generators import varied_generator
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.evaluation import run_evaluation
from tf_biggan.evaluation.features.generated_images import GeneratedImages
from tf_biggan.generation import image_maker
from tf_biggan.generation.latents import latents
from tf_biggan.pictures import model_and_output
from tf_biggan.pictures.samples import sample
from tf_biggan.store.opened_model import OpenedModel

COUNT, BATCH_SIZE, SEED = 6, 4, "3"
MODES = ("table", "running", "batch", "standing")


class ImagesMadeError(Exception):
    """Ends the evaluation after its images are made."""


@pytest.fixture(scope="module")
def opened():
    """A generator without classes, whose statistics differ between three truncations."""
    return OpenedModel(varied_generator(0), (), "model", {"path": "m", "kind": "model"}, "m")


@pytest.fixture(autouse=True)
def quick(monkeypatch, opened):
    """Opens the model from memory, and computes standing statistics from two batches of 8.

    The sample command gives image i the key (seed SEED + i, index 0), evaluation gives it
    (seed SEED, index i). Here both keys mean the same latent vector.
    """

    def of_sum(seeds, indices, *arguments):
        return latents(0, np.asarray(seeds) + np.asarray(indices), *arguments)

    monkeypatch.setattr(image_maker, "latents", of_sum)
    monkeypatch.setattr(image_maker, "STANDING_BATCHES", 2)
    monkeypatch.setattr(image_maker, "STANDING_BATCH_SIZE", 8)
    for module in (model_and_output, run_evaluation):
        monkeypatch.setattr(module, "open_model", lambda path, **which: opened)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def sampled(folder, **settings):
    path = str(folder / "set.npz")
    made = dict(model="m", num_images=COUNT, seeds=SEED, batch_size=BATCH_SIZE, output=path)
    sample(SampleConfig(**made, **settings))
    with np.load(path) as file:
        return file["arr_0"]


def evaluated(monkeypatch, **settings):
    made = []

    class Recorded(GeneratedImages):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(np.concatenate(list(self.batches(COUNT))))
            raise ImagesMadeError

    monkeypatch.setattr(run_evaluation, "GeneratedImages", Recorded)
    made_as = dict(model="m", num_images=COUNT, seed=int(SEED), batch_size=BATCH_SIZE)
    with pytest.raises(ImagesMadeError):
        run_evaluation.evaluate(EvaluateConfig(**made_as, reference="digits", **settings))
    return made[0]


@pytest.mark.parametrize("truncation", [None, 0.5])
def test_sample_and_evaluate_make_the_same_images(truncation, tmp_path, monkeypatch):
    images = {}
    for bn in MODES:
        (tmp_path / bn).mkdir()
        images[bn] = sampled(tmp_path / bn, bn=bn, truncation=truncation)
        scored = evaluated(monkeypatch, bn=bn, truncation=truncation)
        # The last batch has two images. With --bn=batch, both commands fill it with equal images.
        np.testing.assert_array_equal(images[bn], scored, err_msg=bn)
    # All modes differ, except that no truncation uses the row of truncation 1.
    different = {pixels.tobytes() for pixels in images.values()}
    assert len(different) == (3 if truncation is None else 4)


def test_both_commands_offer_the_same_modes_and_default():
    fields = [config.__dataclass_fields__["bn"] for config in (SampleConfig, EvaluateConfig)]
    assert [field.default for field in fields] == ["table", "table"]
    assert {tuple(field.metadata["choices"]) for field in fields} == {MODES}
    assert image_maker.BATCH_NORMS == MODES
