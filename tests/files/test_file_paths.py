"""`~` in the paths of all commands: in flags, in flag files and after prefixes."""

from __future__ import annotations

import importlib
import os
import pathlib

import pytest
from absl import flags as absl_flags

import tf_biggan
from tf_biggan.cli import flags
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
from tf_biggan.evaluation.features.extraction import cache_folder
from tf_biggan.files.file_paths import expand_home

CONFIGS = {
    "train": TrainConfig,
    "sample": SampleConfig,
    "interpolate": InterpolateConfig,
    "invert": InvertConfig,
    "neighbours": NeighboursConfig,
    "evaluate": EvaluateConfig,
    "export": ExportConfig,
    "convert": ConvertConfig,
    "prepare": PrepareConfig,
    "report": ReportConfig,
}
# Text flags that do not hold a path. A new flag must be listed here, or its setting must have
# `path=`.
NO_PATHS = {
    *("architecture", "split", "reference_split", "tpu", "suffix", "licence_note", "push_to"),
    *("classes", "class", "class_mix", "seeds", "truncation", "truncations", "truncation_grid"),
    *("metrics", "layer", "protocol", "num_classes_subset"),
    *("diff_augment", "bcr_augment"),
}


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    return str(tmp_path)


def flags_of(command: str) -> dict[str, absl_flags.Flag]:
    values = absl_flags.FlagValues()
    flags.define(CONFIGS[command], values)
    module = importlib.import_module(f"tf_biggan.{command}")
    own = absl_flags.FLAGS.flags_by_module_dict().get(module.__name__, [])
    return {name: values[name] for name in values} | {flag.name: flag for flag in own}


def free_text(command: str) -> dict[str, absl_flags.Flag]:
    """Yields the flags that take any text, without numbers and choices."""
    found = {name: flag for name, flag in flags_of(command).items() if flag.flag_type() != "bool"}
    return {name: flag for name, flag in found.items() if takes_any_text(flag.parser)}


def takes_any_text(parser) -> bool:
    try:
        return parser.parse("any text") == "any text"
    except ValueError:
        return False


def test_all_commands_are_here():
    root = pathlib.Path(tf_biggan.__file__).parent
    commands = {p.stem for p in root.glob("*.py") if "if __name__ ==" in p.read_text("utf-8")}
    assert commands - {"__main__"} == set(CONFIGS)


@pytest.mark.parametrize("command", CONFIGS)
def test_every_flag_of_free_text_is_a_path_or_known_to_be_none(home, command):
    expanded = {name for name, f in free_text(command).items() if f.parser.parse("~/x") != "~/x"}
    assert free_text(command).keys() - expanded <= NO_PATHS
    assert not expanded & NO_PATHS and expanded
    for name in expanded:
        assert free_text(command)[name].parser.parse("~/x") == f"{home}/x"


@pytest.mark.parametrize(
    ("config", "argument", "expected"),
    [
        (TrainConfig, "--dataset=folder:~/birds", "folder:{home}/birds"),
        (TrainConfig, "--dataset=tfrecord:~/birds", "tfrecord:{home}/birds"),
        (TrainConfig, "--dataset=tfds:mnist", "tfds:mnist"),
        (TrainConfig, "--class_map=~/map.txt", "{home}/map.txt"),
        (TrainConfig, "--class_map=finch=~; *=all", "finch=~; *=all"),
        (TrainConfig, "--init_from=none", None),
        (EvaluateConfig, "--reference=~/birds", "{home}/birds"),
        (EvaluateConfig, "--images=~", "{home}"),
        (EvaluateConfig, "--images=/data/~/x", "/data/~/x"),
        (EvaluateConfig, "--images=./~", "./~"),
        (EvaluateConfig, "--images=~root/x", os.path.expanduser("~root") + "/x"),
        (InterpolateConfig, "--endpoints=a@1,~/f.npz, ~/g.npz", "a@1,{home}/f.npz, {home}/g.npz"),
        (InterpolateConfig, "--endpoints=tench, Tinca@1,a~b@2", "tench, Tinca@1,a~b@2"),
    ],
)
def test_a_tilde_begins_a_path_and_nothing_else(home, config, argument, expected):
    values = absl_flags.FlagValues()
    flags.define(config, values)
    values(["command", argument])
    value = values[argument[2:].partition("=")[0]].value
    assert value == (expected and expected.format(home=home))


def test_flag_files_and_what_they_hold(home, tmp_path):
    (tmp_path / "outer.flags").write_text("--flagfile=~/inner/in.flags\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/in.flags").write_text("--data_dir=~/tfds\n")
    values = absl_flags.FlagValues()
    flags.define(TrainConfig, values)
    values(flags.expand_flagfiles(["train", "--flagfile=~/outer.flags"]))
    assert values["data_dir"].value == f"{home}/tfds"


def test_the_cache(home, monkeypatch):
    monkeypatch.setenv("TF_BIGGAN_CACHE", "~/kept")
    assert str(cache_folder()) == f"{home}/kept"
    monkeypatch.delenv("TF_BIGGAN_CACHE")
    assert str(cache_folder()) == f"{home}/.cache/tf_biggan"


def test_a_user_who_does_not_exist_is_refused_and_no_folder_made():
    with pytest.raises(ValueError, match=r"no user 'nobody9'; .* write ./~nobody9/x"):
        expand_home("~nobody9/x")
