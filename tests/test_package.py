"""The structure of the package: one direction of imports, nothing heavy at import, small files."""

from __future__ import annotations

import ast
import hashlib
import pathlib
import subprocess
import sys

import pytest

import tf_biggan

ROOT = pathlib.Path(tf_biggan.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

# A module may import from its own level's package and from levels before it. A package's entry
# holds for everything below it that has no longer entry.
LEVELS = [
    {"tf_biggan"},
    {"tf_biggan.input_bounds"},
    {
        "tf_biggan.checks",
        "tf_biggan.hardware",
        "tf_biggan.json_files",
        "tf_biggan.plain_folder",
        "tf_biggan.progress",
        "tf_biggan.terminal",
        "tf_biggan.text_files",
    },
    {
        "tf_biggan.architectures",
        "tf_biggan.archives",
        "tf_biggan.home_folder",
        "tf_biggan.initializers",
        "tf_biggan.named_objects",
        "tf_biggan.replaced_file",
        "tf_biggan.protobuf_files",
    },
    {
        "tf_biggan.augmentation",
        "tf_biggan.checkpoint_files",
        "tf_biggan.losses",
        "tf_biggan.npz_files",
    },
    {
        "tf_biggan.animation",
        "tf_biggan.block_specs",
        "tf_biggan.interpolation",
        "tf_biggan.config",
        "tf_biggan.flags",
        "tf_biggan.images",
        "tf_biggan.classes",
    },
    {"tf_biggan.layers", "tf_biggan.sampling", "tf_biggan.saved_model_files"},
    {"tf_biggan.regularizers", "tf_biggan.models", "tf_biggan.truncation"},
    {"tf_biggan.data", "tf_biggan.model_store"},
    {"tf_biggan.serving"},
    {"tf_biggan.conversion"},
    {"tf_biggan.evaluation"},
    {"tf_biggan.training"},
    {"tf_biggan.open_model", "tf_biggan.reference"},
    {"tf_biggan.scoring", "tf_biggan.exporting", "tf_biggan.synthesis"},
    # the commands
    {
        "tf_biggan.convert",
        "tf_biggan.evaluate",
        "tf_biggan.export",
        "tf_biggan.interpolate",
        "tf_biggan.invert",
        "tf_biggan.neighbours",
        "tf_biggan.prepare",
        "tf_biggan.sample",
        "tf_biggan.train",
    },
]
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}
# Only these may import TensorFlow at all; layers, models and losses are Keras alone.
TENSORFLOW_FREE = ("layers", "models", "losses.py", "regularizers.py", "architectures.py")
TENSORFLOW_INSIDE = {"layers/replicas.py", "layers/fused_convolutions.py"}


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def home(module: str) -> str:
    while module not in LEVEL_OF:
        module = module.rpartition(".")[0]
        assert module
    return module


def imports(path: pathlib.Path) -> list[tuple[str, bool]]:
    """(module, whether at the top level) of every import in a file."""
    tree = ast.parse(path.read_text())
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [(name, node in tree.body) for name in names]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_one_way(path):
    here = home(module_name(path))
    for name, _ in imports(path):
        if name.startswith("tf_biggan"):
            there = home(name)
            assert there == here or LEVEL_OF[there] < LEVEL_OF[here], f"{name} is not below {here}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_layers_and_models_are_keras_alone(path):
    place = path.relative_to(ROOT).as_posix()
    if place.startswith(TENSORFLOW_FREE) and place not in TENSORFLOW_INSIDE:
        assert not [name for name, _ in imports(path) if name.split(".")[0] == "tensorflow"]
    assert not [name for name, top in imports(path) if name.split(".")[0] == "torch" and top]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_names_and_sizes(path):
    names = set(path.relative_to(ROOT).with_suffix("").parts)
    assert not {"utils", "common", "misc", "helpers"} & names
    assert len(path.read_text().splitlines()) <= 450


def test_importing_the_package_loads_no_framework():
    code = (
        "import sys, tf_biggan, tf_biggan.architectures\n"
        "assert not {'tensorflow', 'keras', 'torch', 'numpy'} & set(sys.modules)\n"
        "from tf_biggan import Generator\n"
        "assert 'keras' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_resolve_and_others_do_not():
    for name in tf_biggan.__all__:
        assert getattr(tf_biggan, name) is not None
        assert name in dir(tf_biggan)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = tf_biggan.Nothing


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_is_content(arguments):
    command = [sys.executable, "-m", "ruff", *arguments, "--quiet", str(ROOT.parent)]
    assert subprocess.run(command, check=False).returncode == 0


def test_the_licence_and_the_notices_of_bundled_data_are_declared(monkeypatch):
    # From Python 3.12 on it is setuptools that provides distutils.
    pytest.importorskip("setuptools")
    from distutils.core import run_setup

    monkeypatch.chdir(ROOT.parent)
    declared = run_setup("setup.py", stop_after="init").metadata
    assert declared.license == "Apache-2.0"
    notices = {path.relative_to(ROOT.parent).as_posix() for path in ROOT.rglob("*attribution.txt")}
    assert len(notices) == 2 and set(declared.license_files) == {"LICENSE", *notices}
    # The sha256 of https://www.apache.org/licenses/LICENSE-2.0.txt.
    assert hashlib.sha256((ROOT.parent / "LICENSE").read_bytes()).hexdigest() == (
        "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    )
