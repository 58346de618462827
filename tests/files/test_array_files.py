"""Files of weights get the permissions that the umask gives to every file."""

from __future__ import annotations

import os
import pathlib
import re
import stat

import numpy as np
import pytest
from safetensors.numpy import load_file

import tf_biggan
from tf_biggan.files.array_files import write_safetensors
from tf_biggan.networks.generator import Generator
from tf_biggan.store.model_directory import OptimizerSlots, write_directory

ARRAYS = {"a/kernel": np.arange(6.0).reshape(2, 3), "b": np.float32([1])}
WRITES_ITSELF = r"from safetensors\S* import [^\n]*\bsave_file\b"


@pytest.fixture(params=[0o022, 0o027])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_files_mode_follows_the_umask(umask, tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, ARRAYS, {"from": "a test"})
    assert _mode(path) == 0o666 & ~umask
    for key, value in load_file(path).items():
        np.testing.assert_array_equal(value, ARRAYS[key])


def test_everything_in_a_models_folder_can_be_read_by_others(umask, tmp_path):
    network = Generator("biggan32", 2, base_channels=1, latent_dim=4, initializer="n02")
    slots = {"generator": OptimizerSlots(3, {"x": np.ones(2)}, {"x": np.ones(2)})}
    folder = tmp_path / "model"
    write_directory(str(folder), {"generator": network}, slots=slots)
    files = {file.name: _mode(file) for file in folder.iterdir()}
    assert len(files) == 3
    assert set(files.values()) == {0o666 & ~umask}
    assert _mode(folder) == 0o777 & ~umask


def test_no_other_module_writes_safetensors_files():
    """The library's own function creates files with mode 600."""
    package = pathlib.Path(tf_biggan.__file__).parent
    writers = [
        path.name
        for path in package.rglob("*.py")
        if re.search(WRITES_ITSELF, path.read_text(encoding="utf-8"))
    ]
    assert writers == ["array_files.py"]
