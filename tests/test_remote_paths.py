"""Commands with addresses in place of local paths do what they do on the local file system."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.killed_files import every_moment
from tests.remote_files import CHANGES, copied, names_below, new_address
from tests.training.loop_without_networks import content, replace_networks
from tests.training.small_run import SMALL_RUN
from tf_biggan.cli.convert_settings import ConvertConfig
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.cli.interpolate_settings import InterpolateConfig
from tf_biggan.cli.invert_settings import InvertConfig
from tf_biggan.cli.neighbours_settings import NeighboursConfig
from tf_biggan.cli.prepare_settings import PrepareConfig
from tf_biggan.cli.report_settings import ReportConfig
from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.conversion.run_conversion import convert
from tf_biggan.data.tfrecord_writer import prepare
from tf_biggan.evaluation.evaluator import read_statistics
from tf_biggan.evaluation.run_evaluation import evaluate
from tf_biggan.exporting.exporter import export
from tf_biggan.exporting.saved_model_description import description
from tf_biggan.files import file_system
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.pictures import samples
from tf_biggan.pictures.interpolations import interpolate
from tf_biggan.pictures.inversions import invert_file
from tf_biggan.pictures.nearest_images import draw_neighbours
from tf_biggan.pictures.samples import sample
from tf_biggan.reporting.run_report import report, report_after_training
from tf_biggan.serving.served_model import find_versions
from tf_biggan.store.opened_model import open_model
from tf_biggan.training.loop import train

VERSION_0_1 = pathlib.Path(__file__).parent / "version_0_1"
MODEL = str(VERSION_0_1 / "model")
RUN = dict(eval_every=1, sample_every=1, keep_checkpoints=2)


@pytest.fixture
def without_networks(monkeypatch):
    return replace_networks(monkeypatch)


def test_a_run_stops_and_resumes(without_networks, tmp_path):
    address = f"{new_address()}/runs/a"
    for iterations in (2, 3):
        for place in (address, tmp_path / "local"):
            without_networks(place, num_iterations=iterations, **RUN)
    assert content(copied(address, tmp_path / "copy")) == content(tmp_path / "local")
    stored = [name.partition(".data")[0] for name in names_below(f"{address}/checkpoints")]
    assert stored == ["checkpoint", *("iteration-2", "iteration-2.index")] + [
        *("iteration-3", "iteration-3.index")
    ]
    with pytest.raises(ValueError, match=f"Cannot resume {address}: .*seed was 0, now 1"):
        without_networks(address, num_iterations=3, seed=1, **RUN)


@pytest.mark.slow
def test_a_run_killed_at_any_change_of_a_file_goes_on(without_networks, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = dict(num_iterations=2, **RUN)
    others = (*CHANGES, (tf.io, "TFRecordWriter"), (tf.train.Checkpoint, "write"))
    without_networks(tmp_path / "whole", **settings)
    whole, address, count = content(tmp_path / "whole"), new_address(), 0
    for moment in every_moment(
        lambda m: without_networks(f"{address}/{m:03d}", **settings), others
    ):
        without_networks(f"{address}/{moment:03d}", **settings)
        assert content(copied(f"{address}/{moment:03d}", tmp_path / f"copy{moment}")) == whole, (
            moment
        )
        count += 1
    assert count > 60


SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", ["run", "model", pytest.param("export/1", marks=SLOW)])
def test_a_model_makes_the_images_of_its_local_copy(name, eagerly):
    address = copied(VERSION_0_1 / name, f"{new_address()}/1")
    z = np.random.default_rng(0).standard_normal((2, open_model(MODEL).generator.latent_dim))
    images = [
        np.asarray(open_model(str(path)).generator(z.astype(np.float32), np.int32([3, 5])))
        for path in (address, VERSION_0_1 / name)
    ]
    np.testing.assert_array_equal(*images)


class Killed(BaseException):
    """Ends a command in its middle."""


@pytest.mark.parametrize("kind", ["images", pytest.param("images.npz", marks=SLOW)])
def test_a_set_of_images_resumes(kind, tmp_path, monkeypatch, eagerly):
    """Interrupted while it makes images, and while it sends them."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    opened = open_model(MODEL)
    monkeypatch.setattr(samples, "open_model_of", lambda _: opened)
    address, local = f"{new_address()}/out", tmp_path / "out"
    settings = dict(model=MODEL, classes="0,1", seeds="0-3", batch_size=2)
    local.mkdir()
    sample(SampleConfig(output=str(local / kind), **settings))
    made, calls = ImageMaker.sampled_batches, []

    def interrupted(self, seeds, *rest):
        calls.append(len(seeds))
        for number, images in enumerate(made(self, seeds, *rest)):
            if len(calls) == 1 and number == 2:
                raise Killed
            yield images

    monkeypatch.setattr(ImageMaker, "sampled_batches", interrupted)
    with pytest.raises(Killed):
        sample(SampleConfig(output=f"{address}/{kind}", **settings))
    assert not file_system.exists(f"{address}/{kind}")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        send = file_system.upload

        def killed(source, path):
            if path.endswith("0003.png") or "/tmp." in path:
                raise Killed
            send(source, path)

        patch.setattr(file_system, "upload", killed)
        sample(SampleConfig(output=f"{address}/{kind}", **settings))
    assert not file_system.exists(f"{address}/{kind}/request.json")
    sample(SampleConfig(output=f"{address}/{kind}", **settings))
    assert calls == [8, 4, 0]
    copied(address, tmp_path / "copy")
    assert names_below(str(tmp_path / "copy")) == names_below(str(local))
    for name in names_below(str(local)):
        assert (tmp_path / "copy" / name).read_bytes() == (local / name).read_bytes()
    assert not list((tmp_path / "home" / ".cache" / "tf_biggan" / "unfinished").iterdir())


def journey(place: str, run: str):
    """Uses a run with every command that reads or writes paths, below `place`."""
    chosen = dict(classes="0,1", seeds="0-2")
    file_system.makedirs(place)
    for name in ("sheet.png", "images.npz", "folder"):
        sample(SampleConfig(model=run, output=f"{place}/{name}", **chosen))
    sample(SampleConfig(model=run, output=f"{place}/progress.gif", progress=True, **chosen))
    interpolate(
        InterpolateConfig(model=run, output=f"{place}/path.webp", num_rows=1, num_midpoints=2)
    )
    photo = f"{place}/folder/0/seed0000.png"
    invert_file(InvertConfig(model=run, image=photo, output=f"{place}/z.npz", num_steps=2))
    ends = f"{place}/z.npz,3@1"
    interpolate(InterpolateConfig(model=run, output=f"{place}/ends.png", endpoints=ends))
    given = dict(images=f"{place}/folder", extractor="pixels", reference="digits")
    draw_neighbours(NeighboursConfig(output=f"{place}/near.png", reference_images=50, **given))
    scored = dict(feature_cache=f"{place}/cache", num_images=60, bootstrap=0)
    scores = f"{place}/scores/a.json"
    for _ in range(2):
        evaluate(
            EvaluateConfig(model=run, output=scores, save_statistics=f"{place}/s.npz", **scored)
        )
    assert read_statistics(f"{place}/s.npz")[0].count > 100
    against = dict(images=f"{place}/images.npz", reference="digits", output=f"{place}/b.json")
    evaluate(EvaluateConfig(**against, **scored))
    export(ExportConfig(model=run, output=f"{place}/birds/1", standing_batches=1))
    assert len(description(f"{place}/birds/1")) > 5
    assert find_versions(f"{place}/birds").folders == {1: f"{place}/birds/1"}
    sample(SampleConfig(model=f"{place}/birds/1", output=f"{place}/exported.png", **chosen))
    convert(ConvertConfig(input=run, output=f"{place}/torch", to="biggan_pytorch"))
    convert(ConvertConfig(input=f"{place}/torch", output=f"{place}/model", resolution=16))
    sample(SampleConfig(model=f"{place}/model", output=f"{place}/converted.png", **chosen))
    report(ReportConfig(run_dir=run, output=f"{place}/report.html"))
    prepare(
        PrepareConfig(source=f"folder:{place}/folder", resolution=16, output=f"{place}/records")
    )


@pytest.mark.slow
def test_the_whole_journey(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    remote, local = f"{new_address()}/a", tmp_path / "local"
    run = f"{new_address()}/run"
    settings = SMALL_RUN | dict(save_every=2, sample_every=2, eval_every=2, eval_images=64)
    for iterations in (3, 5):
        config = TrainConfig.from_flat(settings | dict(num_iterations=iterations))
        assert train(config, run, completed=report_after_training)
    assert {"report.html", "metrics.jsonl", "samples/iteration-0000004.png"} < set(names_below(run))
    journey(remote, run)
    journey(str(local), copied(run, tmp_path / "run"))
    there = pathlib.Path(copied(remote, tmp_path / "copy"))
    assert names_below(str(there)) == names_below(str(local))
    for name in names_below(str(local)):
        if name.endswith((".png", ".webp")):
            # The rounding of another trace of a graph may change a level.
            pages = [np.asarray(Image.open(folder / name), int) for folder in (there, local)]
            np.testing.assert_allclose(*pages, atol=1, err_msg=name)
    scores = [
        json.loads((folder / "scores/a.json").read_text())["scores"] for folder in (there, local)
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
    for start in (dict(init_from=f"{remote}/model"), dict(dataset=f"tfrecord:{remote}/records")):
        target = f"{remote}/runs/{next(iter(start))}"
        train(
            TrainConfig.from_flat(settings | dict(num_iterations=1, eval_every=0) | start), target
        )
        assert open_model(target).description["iteration"] == 1


FAULTS = {
    "train": lambda path: train(TrainConfig.from_flat(SMALL_RUN), path),
    "train on": lambda path: train(
        TrainConfig.from_flat(SMALL_RUN | dict(dataset=f"folder:{path}")), "unused"
    ),
    "train from": lambda path: train(
        TrainConfig.from_flat(SMALL_RUN | dict(init_from=path)), "unused"
    ),
    "open": open_model,
    "sample": lambda path: sample(SampleConfig(model=MODEL, output=f"{path}/a.png")),
    "sample from": lambda path: sample(SampleConfig(model=path)),
    "evaluate": lambda path: evaluate(EvaluateConfig(images=path, reference="digits")),
    "statistics": lambda path: evaluate(EvaluateConfig(model=MODEL, reference=f"{path}/a.npz")),
    "export": lambda path: export(ExportConfig(model=MODEL, output=path)),
    "convert": lambda path: convert(ConvertConfig(input=path, output="unused")),
    "convert to": lambda path: convert(
        ConvertConfig(input=MODEL, output=path, to="biggan_pytorch")
    ),
    "report": lambda path: report(ReportConfig(run_dir=path)),
    "prepare": lambda path: prepare(PrepareConfig(source="digits", resolution=32, output=path)),
}


@pytest.mark.parametrize("command", FAULTS)
def test_an_unknown_scheme_is_bad_input(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match="nowhere://bucket/a") as caught:
        FAULTS[command]("nowhere://bucket/a")
    assert "\n" not in str(caught.value) and not os.listdir(tmp_path)
