"""Exports of the golden fixtures, loaded by hub.load in a process without tf_biggan."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.exporting.goldens import exported
from tests.golden_files import golden
from tests.networks.golden_models import truncation_of_ours

STRANGER = pathlib.Path(__file__).with_name("stranger.py")


def _loaded_elsewhere(name, path, folder):
    fixture, random = golden(name), np.random.RandomState(0)
    z, labels = fixture.arrays["in/z"], fixture.arrays["in/y"]
    classes = fixture.info["config"]["num_classes"]
    keys = sorted(key for key in fixture.arrays.files if key.startswith("out_t"))
    assert {"out_t1.0", "out_t0.43"} <= set(keys)
    truncations = [truncation_of_ours(float(key.removeprefix("out_t")), 51) for key in keys]
    np.savez(
        folder / "inputs.npz",
        z=z,
        y=np.eye(classes, dtype="float32")[labels],
        truncations=np.array(truncations),
        each=np.array([0.5, 0.31, 1.0, 0.07], "float32")[: len(z)],
        weights=random.standard_normal(fixture.arrays[keys[0]].shape).astype("float32"),
    )
    command = [sys.executable, str(STRANGER), path, "inputs.npz", "outputs.npz"]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return fixture, keys, np.load(folder / "outputs.npz")


def _check(fixture, keys, made):
    for index, key in enumerate(keys):
        fixture.assert_close(made[f"t{index}"], key)
    for name in ("positional", "signature"):
        np.testing.assert_allclose(made[name], made["keywords"], atol=1e-6)
    np.testing.assert_allclose(made["each"], made["alone"], atol=2e-5)
    assert np.abs(made["each"][0] - made["each"][1]).max() > 0.01
    for name in ("dz", "dy"):
        assert abs(made[name]) > 0.1
        np.testing.assert_allclose(made[f"{name}_numeric"], made[name], rtol=0.02)
    assert made["trained"].all() and made["counts"][1] == len(made["trained"]) > 20
    assert made["counts"][0] > made["counts"][1]


def test_a_process_without_the_package_makes_the_images_of_hf_tiny32(export_path, tmp_path):
    _check(*_loaded_elsewhere("hf_tiny32", export_path, tmp_path))


@pytest.mark.slow
def test_a_process_without_the_package_makes_the_images_of_hf_tiny128(tmp_path):
    path = exported("hf_tiny128", tmp_path)
    _check(*_loaded_elsewhere("hf_tiny128", path, tmp_path))
