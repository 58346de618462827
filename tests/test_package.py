"""The structure of the package: imports point downwards, and nothing heavy is imported early."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

import tf_biggan

ROOT = pathlib.Path(tf_biggan.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

# A module may import from its own folder and from those before it.
ORDER = (
    "checks",
    "files",
    "networks",
    "cli",
    "devices",
    "data",
    "store",
    "generation",
    "conversion",
    "evaluation",
    "pictures",
    "training",
    "serving",
    "exporting",
    "reporting",
)
COMMANDS = len(ORDER)
# Networks and losses run on every Keras backend. Among them, only the modules below import
# TensorFlow.
KERAS_ONLY = ("networks/", "training/losses.py")
TENSORFLOW_INSIDE = {
    "networks/layers/attention.py",
    "networks/layers/batch_norm.py",
    "networks/layers/fused_convolutions.py",
    "networks/layers/seeded_values.py",
    "networks/layers/spectral_norm.py",
}


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def level(module: str) -> int:
    """Returns the position of a module's folder in `ORDER`; -1 for the package itself."""
    _, _, inside = module.partition(".")
    name = inside.partition(".")[0]
    if not name:
        return -1
    if name in ORDER:
        return ORDER.index(name)
    return COMMANDS if (ROOT / f"{name}.py").exists() else -1


def imports(path: pathlib.Path) -> list[tuple[str, bool]]:
    """Returns (module, whether at the top level) for every import in a file."""
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
    here = module_name(path)
    if here == "tf_biggan":
        return  # The public names come from all folders.
    folder = here.split(".")[:2]
    for name, _ in imports(path):
        if name.startswith("tf_biggan.") and (name.split(".")[:2] != folder or level(here) < 0):
            is_below = level(name) < level(here)
            assert is_below or here == "tf_biggan.__main__", f"{name} is not below {here}"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_networks_and_losses_are_keras_alone(path):
    place = path.relative_to(ROOT).as_posix()
    if place.startswith(KERAS_ONLY) and place not in TENSORFLOW_INSIDE:
        assert not [name for name, _ in imports(path) if name.split(".")[0] == "tensorflow"]
    assert not [name for name, top in imports(path) if name.split(".")[0] == "torch" and top]


def test_every_folder_has_its_place():
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(ORDER) - {"checks"}


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_is_content(arguments):
    command = [sys.executable, "-m", "ruff", *arguments, "--quiet", str(ROOT.parent)]
    assert subprocess.run(command, check=False).returncode == 0
