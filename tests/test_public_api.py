"""The public names of the package, and what importing them loads and prints."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import pathlib
import subprocess
import sys

import pytest

import tf_biggan
from tf_biggan.cli.commands import COMMANDS


def run_python(code: str, **environment) -> subprocess.CompletedProcess:
    """Runs code in a new process."""
    variables = {name: value for name, value in os.environ.items() if name[:3] != "TF_"}
    variables |= {"PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False
    )


def test_every_public_name_is_there_and_no_other():
    for name in tf_biggan.__all__:
        assert getattr(tf_biggan, name) is not None
        assert name in dir(tf_biggan)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = tf_biggan.Nothing


def test_editors_see_the_names_that_are_loaded_at_run_time():
    tree = ast.parse(pathlib.Path(tf_biggan.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname or alias.name: f"{statement.module}:{alias.name}"
        for statement in block.body
        for alias in statement.names
    }
    assert seen == tf_biggan._HOMES


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_a_function_even_if_its_module_was_imported(name):
    importlib.import_module(f"tf_biggan.{name}")
    function = getattr(tf_biggan, name)
    assert inspect.isfunction(function)
    (first, *_) = inspect.signature(function).parameters.values()
    assert first.name == "config" and first.annotation.endswith("Config")
    assert first.annotation in tf_biggan.__all__


def test_settings_and_architectures_load_no_framework():
    names = sorted(tf_biggan._WITHOUT_TENSORFLOW)
    assert {"Architecture", "TrainConfig"} <= set(names)
    code = f"import sys, tf_biggan\nfor name in {names}: getattr(tf_biggan, name)\n"
    code += "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules)"
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_model_is_made_without_start_up_lines():
    code = "import tf_biggan, os\ntf_biggan.Generator('biggan32', 2, base_channels=1)\n"
    done = run_python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
