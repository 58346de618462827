"""A run as its user sees it: the files that it writes, its messages and its errors."""

from __future__ import annotations

import functools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.training.small_run import SMALL_RUN
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.schemes import open_source
from tf_biggan.devices.strategy import create_strategy
from tf_biggan.evaluation.features import classifier
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.opened_model import open_model
from tf_biggan.store.run_directory import checkpoint_iterations, read_config
from tf_biggan.training import start
from tf_biggan.training.discriminator_scores import ACCURACIES, SCORES
from tf_biggan.training.logs import read_metrics
from tf_biggan.training.loop import train
from tf_biggan.training.start import create_state, label_distribution, with_classes_of

SETTINGS = SMALL_RUN | dict(
    num_iterations=4, log_every=2, sample_every=4, sigma_every=4, iterations_per_call=3
)


def config(**settings):
    return TrainConfig.from_flat({**SETTINGS, **settings})


EVALUATED = dict(eval_every=2, eval_images=70, held_out_share=0.05)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    quick = functools.partial(classifier.ClassifierSettings, channels=(8, 8), updates=(30, 30))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_BIGGAN_CACHE", str(run_dir.parent / "cache"))
        patch.setattr(classifier, "ClassifierSettings", quick)
        assert train(config(**EVALUATED), str(run_dir))
    return run_dir


def test_files_of_a_run(finished):
    assert read_config(str(finished)) == config(num_classes=10, **EVALUATED)
    lines = [line for line in read_metrics(str(finished)) if "classifier_fid" not in line]
    assert [line["iteration"] for line in lines] == [2, 4, 4]
    for line in lines[:2]:
        assert all(np.isfinite(value) for value in line.values())
        assert line["images_per_second"] > 0
    sigmas = [value for key, value in lines[2].items() if key.startswith("sigma/")]
    # Kernels that started orthogonal have a sigma near 1: 9 in G (the head, two or three per block)
    # and 14 in D.
    assert len(sigmas) == (1 + 2 * 3 + 1) + (2 * 3 + 1 * 2 + 2)
    assert 0.3 < min(sigmas) and max(sigmas) < 3
    sheet = Image.open(finished / "samples" / "iteration-0000004.png")
    assert sheet.text["iteration"] == "4"
    assert (finished / "checkpoints" / "iteration-4.index").exists()


def test_scores_of_a_run_and_its_best_checkpoints(finished):
    lines = {e["iteration"]: e for e in read_metrics(str(finished)) if "classifier_fid" in e}
    assert sorted(lines) == [2, 4]
    assert len({line.pop("scored_as") for line in lines.values()}) == 1
    for line in lines.values():
        assert all(np.isfinite(value) for value in line.values())
        assert {"classifier_fid", "classifier_score", "accuracy", "held_out_accuracy"} <= set(line)
        assert {*SCORES, *ACCURACIES} <= set(line)
    for name, choose in (("classifier_fid", min), ("classifier_score", max)):
        best = choose(lines, key=lambda iteration: lines[iteration][name])
        folder = str(finished / f"best-{name}")
        assert checkpoint_iterations(folder) == [best]
        opened = open_model(folder)
        assert opened.description["iteration"] == best and opened.class_names[3] == "3"


def test_a_finished_run_is_only_told_so(finished, capsys):
    before = (finished / "metrics.jsonl").read_bytes()
    assert train(config(**EVALUATED), str(finished))
    assert "Resuming from iteration 4" in capsys.readouterr().out
    assert (finished / "metrics.jsonl").read_bytes() == before


def test_another_configuration_is_refused_and_named(finished):
    with pytest.raises(ValueError, match=r"d_channels was 2, now 4, seed was 0, now 1") as error:
        train(config(**EVALUATED, seed=1, d_channels=4, num_iterations=9), str(finished))
    assert "run_dir=" in str(error.value)
    assert read_config(str(finished)) == config(num_classes=10, **EVALUATED)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="`run_dir` must be a new or empty folder, or a run"):
        train(config(), str(tmp_path))


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(5, id="seen when logged", marks=pytest.mark.slow),
        pytest.param(3, id="seen at the end"),
    ],
)
def test_a_loss_that_is_not_finite_ends_the_run_before_it_is_saved(tmp_path, monkeypatch, end):
    run = str(tmp_path / "run")
    train(config(num_iterations=2, save_every=1, log_every=1), run)
    # After three iterations nothing is due, so only the last check can find the value.
    due = 1 if end == 5 else 100
    settings = dict(save_every=due, log_every=due, sigma_every=100, sample_every=0)

    def poisoned(strategy, state, *rest):
        def step(iterator, count):
            state.iteration.assign_add(1)
            return {
                "d_loss_real": np.zeros(1),
                "d_loss_fake": np.zeros(1),
                "g_loss": np.array(np.nan),
            }

        return step

    monkeypatch.setattr(start, "compile_iterations", poisoned)
    message = r"diverged: at iteration 3, these values are not finite.*Received: g_loss=nan"
    with pytest.raises(ValueError, match=message):
        train(config(num_iterations=end, **settings), run)
    state = create_state(config(num_classes=10, **settings))
    assert Checkpoints(state, run, 2).restore() == 2
    assert [line["iteration"] for line in read_metrics(run)] == [1, 2]


# The documented commands train on a folder as well, and are slow too.
@pytest.mark.slow
def test_a_folder_trains_without_a_split_and_without_samples(tmp_path):
    for number in range(8):
        folder = tmp_path / "birds" / ("finch", "wren")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 36), (30 * number, 0, 0)).save(folder / f"{number}.png")
    settings = dict(num_iterations=1, log_every=1, sample_every=0, image_channels=3)
    run = tmp_path / "run"
    assert train(config(dataset=f"folder:{tmp_path / 'birds'}", **settings), str(run))
    assert read_config(str(run)).model.num_classes == 2
    assert [line["iteration"] for line in read_metrics(str(run))] == [1]
    assert not (run / "samples").exists()


def test_classes_come_from_the_data_unless_told():
    digits = open_source("digits")
    assert with_classes_of(config(), digits).model.num_classes == 10
    assert with_classes_of(config(num_classes=0), digits).model.num_classes == 0
    with pytest.raises(
        ValueError, match="Labels must be from 0 to 8, because the model has 9 classes"
    ):
        with_classes_of(config(num_classes=9), digits)


def test_labels_are_drawn_uniformly_or_as_in_the_data():
    digits = open_source("digits")
    uniform = label_distribution(config(num_classes=10), digits)
    np.testing.assert_allclose(uniform.probabilities, 0.1)
    of_data = label_distribution(config(num_classes=10, label_sampling="data"), digits)
    np.testing.assert_allclose(of_data.probabilities * 1797, digits.label_counts())
    assert uniform.weights is None and of_data.weights is None
    assert label_distribution(config(num_classes=0), digits) is None


def test_strategies_that_are_not_there():
    with pytest.raises(ValueError, match="No TPU answers"):
        create_strategy("tpu")
    with pytest.raises(ValueError, match="TF_CONFIG"):
        create_strategy("multi_worker")
    with pytest.raises(ValueError, match="one of auto, one_device, mirrored"):
        create_strategy("horovod")


def command(*arguments):
    process = subprocess.run(
        [sys.executable, "-m", "tf_biggan.train", *arguments], capture_output=True, text=True
    )
    return process.returncode, process.stdout, process.stderr.strip().splitlines()


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--resolution=33"], 2, "--run_dir"),
        (["--run_dir=R", "--resolution=3"], 2, "resolution"),
        (["--run_dir=R", "--learning_rate=1"], 2, "learning_rate"),
        (["--run_dir={tmp}/r", "--dataset=folder:/nowhere"], 1, "/nowhere"),
    ],
    ids=["no run_dir", "bad value", "unknown flag", "no data"],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, code, message, tmp_path):
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    actual, _, lines = command("--image_channels=1", *arguments)
    assert actual == code
    assert len(lines) == 1 and message in lines[0]
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(resolution=50), "`resolution` must be one of 16, 32"),
        (dict(dataset="tfds:cifar10", data_dir="{tmp}"), "--download"),
        (dict(global_batch_size=9, d_accumulations=2), "1 x 2 = 2"),
    ],
    ids=["no such size", "no tfds data", "indivisible"],
)
def test_bad_settings_are_refused_and_leave_nothing(settings, message, tmp_path):
    settings = {
        name: value.format(tmp=tmp_path) if isinstance(value, str) else value
        for name, value in settings.items()
    }
    with pytest.raises(ValueError, match=message):
        train(TrainConfig.from_flat(dict(image_channels=1, **settings)), str(tmp_path / "r"))
    assert not (tmp_path / "r").exists()
