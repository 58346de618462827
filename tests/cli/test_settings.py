"""Settings hold the same bounds, choices and types in Python as on the command line."""

from __future__ import annotations

import importlib
import os
import pathlib
import re
import resource
import subprocess
import sys

import pytest
from absl import flags as absl_flags

import tf_biggan
from tf_biggan.cli.commands import COMMANDS
from tf_biggan.cli.convert_settings import ConvertConfig
from tf_biggan.cli.evaluate_settings import EvaluateConfig
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.cli.flags import command_help, define, parsed
from tf_biggan.cli.interpolate_settings import InterpolateConfig
from tf_biggan.cli.invert_settings import InvertConfig
from tf_biggan.cli.neighbours_settings import NeighboursConfig
from tf_biggan.cli.prepare_settings import PrepareConfig
from tf_biggan.cli.report_settings import ReportConfig
from tf_biggan.cli.sample_settings import SampleConfig
from tf_biggan.cli.settings import Kind, flag_name
from tf_biggan.cli.train_settings import TrainConfig

ROOT = pathlib.Path(tf_biggan.__file__).parents[1]
# For each command: settings that are accepted, and the settings class.
ACCEPTED = {
    "prepare": (PrepareConfig, dict(source="digits", resolution=32, output="o")),
    "train": (TrainConfig, {}),
    "evaluate": (EvaluateConfig, dict(model="m")),
    "sample": (SampleConfig, dict(model="m")),
    "interpolate": (InterpolateConfig, dict(model="m")),
    "invert": (InvertConfig, dict(model="m", image="i.png")),
    "neighbours": (NeighboursConfig, dict(model="m")),
    "report": (ReportConfig, dict(run_dir="r")),
    "convert": (ConvertConfig, dict(input="i", output="o")),
    "export": (ExportConfig, dict(model="m", output="o")),
}
WRONG_TYPES = {
    "bool": "yes",
    "int": 1.5,
    "float": "1",
    "str": 7,
    "tuple[int, ...]": (1.5,),
    "str | dict": 7,
}
SECONDS = 2


def refused_values():
    """Yields (command, field, value) with values outside of the bounds, choices or types."""
    for command, (config_class, _) in ACCEPTED.items():
        kinds = config_class.kinds()
        for field in config_class.settings():
            limits, kind = field.metadata, kinds[field.name]
            is_parsed = limits["parse"] and kind.name != "str | dict"
            values = ["much"] if is_parsed else [WRONG_TYPES[kind.name]]
            values += [] if kind.optional else [None]
            values += ["nothing of that name"] if limits["choices"] else []
            values += [] if limits["minimum"] is None else [limits["minimum"] - 1]
            values += [] if limits["maximum"] is None else [limits["maximum"] + 1]
            values += [float("nan")] if kind.name == "float" else []
            yield from ((command, field.name, value) for value in values)


def test_every_command_has_settings():
    assert set(ACCEPTED) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_accepted_settings_are_made(command):
    config_class, values = ACCEPTED[command]
    config_class.from_flat(values)


@pytest.mark.parametrize(("command", "name", "value"), list(refused_values()))
def test_bounds_choices_and_types_hold_in_python(command, name, value):
    config_class, values = ACCEPTED[command]
    with pytest.raises(ValueError, match=f"`{name}` must"):
        config_class.from_flat({**values, name: value})


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"`batch_size` must be at least 1.*batch_size=0"):
        SampleConfig(model="m", batch_size=0)


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_settings_are_named(command):
    config_class, values = ACCEPTED[command]
    with pytest.raises(ValueError, match=r"do not exist; see --help.*\['modle'\]"):
        config_class.from_flat({**values, "modle": 1})


def test_types_are_those_of_the_annotations():
    kinds = TrainConfig.kinds()
    assert kinds["num_d_steps"] == Kind("int", False)
    assert kinds["resolution"] == Kind("int | str", False)
    assert kinds["architecture"].annotation == "str | dict | None"
    assert kinds["g_attention"] == Kind("tuple[int, ...]", True)
    assert kinds["jit"].annotation == "bool | None"
    assert SampleConfig.kinds()["truncations"] == Kind("tuple[float, ...]", True)


@pytest.mark.parametrize(
    ("config_class", "name", "given", "value"),
    [
        (SampleConfig, "truncation", "0.5", 0.5),
        (SampleConfig, "truncation", 1, 1.0),
        (SampleConfig, "truncations", "0.02, 1", (0.02, 1.0)),
        (SampleConfig, "truncations", [0.5, 1], (0.5, 1.0)),
        (InterpolateConfig, "truncation", "0.5", (0.5, 0.5)),
        (InterpolateConfig, "truncation", "0.2:1", (0.2, 1.0)),
        (InterpolateConfig, "truncation", (0.2, 1), (0.2, 1.0)),
        (EvaluateConfig, "truncation", "0.5", (0.5,)),
        (EvaluateConfig, "truncation", 0.5, (0.5,)),
        (EvaluateConfig, "truncation", "0.2:1:0.4", (0.2, 0.6, 1.0)),
        (EvaluateConfig, "truncation", (0.3, 0.2), (0.3, 0.2)),
    ],
)
def test_truncations_are_values_whether_text_or_numbers_are_given(config_class, name, given, value):
    assert getattr(config_class(model="m", **{name: given}), name) == value


def test_none_is_a_value_where_it_has_a_meaning():
    for config_class, name, required in (
        (InvertConfig, "extractor", ["--model=m", "--image=i"]),
        (ConvertConfig, "class_names", ["--input=i", "--output=o"]),
    ):
        values = absl_flags.FlagValues()
        define(config_class, values)
        values(["command", *required, f"--{name}=none"])
        assert getattr(parsed(config_class, values), name) == "none"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_stands_in_one_group_of_help(command):
    config_class = ACCEPTED[command][0]
    grouped = [name for names in config_class.help_groups.values() for name in names]
    flags = {flag_name(field) for field in config_class.settings()} | set(config_class.aliases)
    # Neither is part of a run's settings, which stay the same if the folder is moved.
    extra = {"run_dir", "dry_run"} if command == "train" else set()
    assert sorted(grouped) == sorted(flags | extra)
    assert set(config_class.required) <= set(grouped)


def processor_seconds() -> float:
    """Returns the CPU time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_fast_and_has_an_example_groups_choices_and_defaults(command):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-X", "importtime", "-m", f"tf_biggan.{command}", "--help"]
    begin = processor_seconds()
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert processor_seconds() - begin < SECONDS
    assert not re.search(r"\| +(tensorflow|keras|numpy)$", done.stderr, re.MULTILINE)
    assert f"  python -m tf_biggan.{command} --" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    config_class = ACCEPTED[command][0]
    for title in config_class.help_groups:
        assert f"\n{title}:\n" in done.stdout
    words = " ".join(done.stdout.split())
    for field in config_class.settings():
        assert field.metadata["help"] in words or "-" in field.metadata["help"]
        assert "|".join(field.metadata["choices"] or ()) in words


@pytest.mark.parametrize("command", COMMANDS)
def test_helps_are_sentences_that_name_their_default(command):
    config_class = ACCEPTED[command][0]
    for field in config_class.settings():
        text = field.metadata["help"]
        assert text[0].isupper() or text.startswith(("beta_", "png", "An .npz")), text
        assert text.endswith("."), text


def test_help_shows_values_defaults_and_bounds():
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("run_dir", None, "Folder of the run.", values)
    absl_flags.DEFINE_boolean("dry_run", False, "Only check.", values)
    define(TrainConfig, values)
    shown = command_help(TrainConfig, values, "Trains.")
    assert shown.startswith("Trains.\n\nRun:\n  --run_dir=PATH\n      Folder of the run. Required.")
    assert (
        "  --[no]split_d\n" in shown
        and "  --[no]dry_run\n      Only check.\n" in shown
        and "(default: false)" in shown
    )
    assert "  --loss=hinge|nonsaturating|wasserstein|MODULE:ATTRIBUTE\n" in shown
    words = " ".join(shown.split())
    assert "Epsilon of both Adam optimisers. (default: 1e-08; at least 0.0)" in words
    assert "moving average of the generator. (default: 0.9999; from 0.0 to 1.0)" in words


def test_every_command_module_takes_its_settings():
    for command, (config_class, _) in ACCEPTED.items():
        module = importlib.import_module(f"tf_biggan.{command}")
        assert getattr(module, config_class.__name__) is config_class
