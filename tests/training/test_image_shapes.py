"""Runs whose images are not square, or squares that no publication has."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import tf_biggan
from tests.training.small_run import SMALL_RUN
from tests.training.test_loop_resume import finish, start
from tests.training.test_loop_workers import SETTINGS, assert_close
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.schemes import open_source
from tf_biggan.data.tfrecord_writer import write_tfrecords
from tf_biggan.store.run_directory import image_size_from, write_config
from tf_biggan.training.start import plan_lines, prepare

ITERATIONS = SETTINGS["save_every"]


def config(**settings):
    return TrainConfig.from_flat({**SMALL_RUN, **settings})


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        (dict(resolution="32x48"), (32, 48)),
        (dict(resolution=(64, 32)), (64, 32)),
        (dict(resolution="64x64"), (64, 64)),
        (dict(resolution=48), (48, 48)),
        (dict(architecture="biggan32_studiogan", resolution="40x32"), (40, 32)),
        (dict(architecture="biggan128"), (128, 128)),
    ],
)
def test_image_sizes_of_settings_before_and_after_json(settings, size):
    made = config(**settings)
    assert image_size_from(made.model) == size
    assert TrainConfig.from_groups(json.loads(made.to_json()), "config.json") == made


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(resolution="32x50"), r"sides of at least 16 that are multiples of 4.*'32x50'"),
        (dict(resolution="12x48"), r"sides of at least 16 that are multiples of 4.*'12x48'"),
        (dict(architecture="biggan64", resolution="72x96"), r"must be multiples of 16 for this"),
        (dict(architecture="biggan32", resolution=64), r"makes images of 32 pixels; leave out"),
    ],
)
def test_sizes_that_no_networks_make_are_refused_before_anything_is_written(
    settings, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        prepare(config(**settings), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_run_that_ignored_its_resolution_still_resumes(tmp_path):
    ignored = config(architecture="biggan32", resolution=64, num_classes=10)
    write_config(str(tmp_path / "run"), ignored)
    assert image_size_from(prepare(ignored, str(tmp_path / "run")).config.model) == (32, 32)


def test_the_start_names_unusual_sizes_and_records_that_lose_their_sides(tmp_path):
    write_tfrecords(open_source("digits"), str(tmp_path / "records"), image_size=8)
    records = f"tfrecord:{tmp_path}/records"

    def lines(**settings):
        started = prepare(config(dataset=records, **settings), str(tmp_path / "run"))
        return [line for line in plan_lines(started) if not line.startswith("In each iteration")]

    assert lines() == []
    assert lines(resolution="32x48") == [
        "Images of 32x48 pixels (height x width): architecture biggan32 with a first feature map of"
        " 4x6",
        "Warning: the records hold images of 8x8 pixels, which are cropped to the aspect ratio of"
        " 32x48. Prepare them with --resolution=32x48 to keep more.",
    ]
    assert len(lines(resolution=48)) == 1


@pytest.mark.slow
def test_a_journey_with_images_that_are_not_square(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_BIGGAN_CACHE", str(tmp_path / "cache"))
    records, run = str(tmp_path / "records"), str(tmp_path / "run")
    tf_biggan.prepare(
        tf_biggan.PrepareConfig(
            source="digits", resolution="32x48", image_channels=1, output=records
        )
    )
    settings = dict(dataset=f"tfrecord:{records}", resolution="32x48", save_every=1)
    settings |= dict(sample_every=1, latent_injection="split", embedding_dim=4)
    for count in (1, 2):  # starts, then resumes
        assert tf_biggan.train(config(**settings, num_iterations=count), run)
    assert Image.open(f"{run}/samples/iteration-0000002.png").width > 8 * 48
    exported = str(tmp_path / "exported" / "1")
    tf_biggan.export(tf_biggan.ExportConfig(model=run, output=exported, truncation_grid="none"))
    made = []
    for number, model in enumerate((run, exported)):
        generator = tf_biggan.open_model(model).generator
        assert generator.image_size == (32, 48)
        output = tmp_path / f"samples{number}"
        tf_biggan.sample(
            tf_biggan.SampleConfig(model=model, num_images=2, output=str(output), batch_size=2)
        )
        files = sorted(output.rglob("*.png"))
        made.append(np.stack([np.asarray(Image.open(file)) for file in files]).astype(int))
        assert made[-1].shape == (2, 32, 48)
    assert np.abs(made[0] - made[1]).max() <= 1
    scores = str(tmp_path / "scores.json")
    tf_biggan.evaluate(
        tf_biggan.EvaluateConfig(
            model=run, num_images=200, metrics="kid", extractor="classifier", output=scores
        )
    )
    assert json.load(open(scores))


@pytest.mark.slow
def test_two_replicas_equal_one_with_images_that_are_not_square(tmp_path):
    shape = dict(resolution="32x48", diff_augment="translation,cutout")
    for name, replicas in (("alone", 1), ("two", 2)):
        strategy = "mirrored" if replicas > 1 else "one_device"
        made = start(tmp_path / name, ITERATIONS, replicas, **SETTINGS, **shape, strategy=strategy)
        finish(made)
    assert_close(tmp_path / "two", tmp_path / "alone", ITERATIONS)
