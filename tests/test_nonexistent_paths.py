"""Every command says that a path does not exist, for each of its flags."""

from __future__ import annotations

import pathlib

import pytest
from absl import flags as absl_flags

from tf_biggan.cli import flags
from tf_biggan.cli.convert_settings import ConvertConfig
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.cli.interpolate_settings import InterpolateConfig
from tf_biggan.cli.invert_settings import InvertConfig
from tf_biggan.cli.neighbours_settings import NeighboursConfig
from tf_biggan.cli.report_settings import ReportConfig
from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.conversion.run_conversion import convert
from tf_biggan.data.schemes import open_source
from tf_biggan.evaluation.run_evaluation import evaluate
from tf_biggan.exporting.exporter import export
from tf_biggan.exporting.saved_model_description import description
from tf_biggan.pictures.interpolations import interpolate
from tf_biggan.pictures.inversions import invert_file
from tf_biggan.pictures.nearest_images import draw_neighbours
from tf_biggan.pictures.samples import sample
from tf_biggan.reporting.run_report import report
from tf_biggan.serving.server import serve
from tf_biggan.training.finetuning.class_map import read_class_map
from tf_biggan.training.loop import train

MODEL = f"--model={pathlib.Path(__file__).parent / 'version_0_1' / 'model'}"
OUTPUT = "--output=written"
COMMANDS = {
    "train": (TrainConfig, lambda config: train(config, "written")),
    "evaluate": (EvaluateConfig, evaluate),
    "sample": (SampleConfig, sample),
    "interpolate": (InterpolateConfig, interpolate),
    "invert": (InvertConfig, invert_file),
    "neighbours": (NeighboursConfig, draw_neighbours),
    "report": (ReportConfig, report),
    "export": (ExportConfig, export),
    "serve": (ExportConfig, lambda config: serve(config.serve, config.port)),
    "describe": (ExportConfig, lambda config: description(config.describe)),
}

NOWHERE = r"nowhere.* (does not exist|exists)|(does not exist|exists).*nowhere"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("train", ["--dataset=nowhere"]),
        ("train", ["--dataset=folder:nowhere"]),
        ("train", ["--dataset=tfrecord:nowhere"]),
        ("train", ["--init_from=nowhere"]),
        ("evaluate", ["--model=nowhere"]),
        ("evaluate", ["--images=nowhere", "--reference=digits"]),
        ("evaluate", ["--images=nowhere.npz", "--reference=digits"]),
        ("evaluate", [MODEL, "--reference=nowhere"]),
        ("evaluate", [MODEL, "--reference=nowhere.npz"]),
        ("evaluate", [MODEL, "--reference=folder:nowhere"]),
        ("evaluate", [MODEL, "--reference=tfrecord:nowhere"]),
        ("evaluate", [MODEL, "--reference=digits", "--extractor=nowhere.keras"]),
        ("evaluate", [MODEL, "--reference=digits", "--inception_weights=nowhere"]),
        ("sample", ["--model=nowhere", "--output=written.png"]),
        ("interpolate", ["--model=nowhere"]),
        ("interpolate", [MODEL, "--endpoints=nowhere.npz,0@1"]),
        ("invert", ["--model=nowhere", "--image=nowhere"]),
        ("invert", [MODEL, "--image=nowhere"]),
        ("neighbours", ["--model=nowhere"]),
        ("neighbours", [MODEL, "--reference=nowhere"]),
        ("neighbours", [MODEL, "--reference=nowhere.npz"]),
        ("neighbours", ["--images=nowhere", "--reference=digits"]),
        ("report", ["--run_dir=nowhere"]),
        ("export", ["--model=nowhere", OUTPUT]),
        ("serve", ["--serve=nowhere"]),
        ("describe", ["--describe=nowhere"]),
    ],
)
def test_every_flag_with_a_path(tmp_path, monkeypatch, command, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_BIGGAN_CACHE", "cache")
    config_class, run = COMMANDS[command]
    values = absl_flags.FlagValues()
    flags.define(config_class, values)
    values([command, *arguments])
    with pytest.raises(ValueError, match=NOWHERE):
        run(flags.parsed(config_class, values))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["--to=biggan_pytorch"]])
def test_convert(arguments):
    values = absl_flags.FlagValues()
    flags.define(ConvertConfig, values)
    values(["convert", "--input=nowhere", OUTPUT, *arguments])
    with pytest.raises(ValueError, match=r"The input does not exist: 'nowhere'"):
        convert(flags.parsed(ConvertConfig, values))


@pytest.mark.parametrize("kind", ["folder", "tfrecord"])
def test_the_sub_folder_is_named(tmp_path, kind):
    with pytest.raises(ValueError, match=f"does not exist: '{tmp_path}/nowhere'"):
        open_source(f"{kind}:{tmp_path}", split="nowhere")


def test_a_folder_without_its_kind_is_told_so(tmp_path):
    with pytest.raises(ValueError, match=f"this path exists, so write folder:{tmp_path} "):
        open_source(str(tmp_path))


def test_class_maps_and_flag_files():
    with pytest.raises(ValueError, match="no file of that name exists"):
        read_class_map("nowhere")
    with pytest.raises(ValueError, match="No such file or directory"):
        flags.expand_flagfiles(["train", "--flagfile=nowhere"])
