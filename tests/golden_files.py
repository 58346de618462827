"""Access to tests/golden: arrays, weights made by a rule, and recorded tolerances."""

from __future__ import annotations

import fnmatch
import functools
import json
import pathlib

import numpy as np

from tests.golden import rule

FOLDER = pathlib.Path(__file__).parent / "golden"


class Golden:
    """One fixture: its arrays, its JSON `info` and its `tolerance`."""

    def __init__(self, name: str):
        self.name = name
        path = FOLDER / f"{name}.npz"
        self.arrays = np.load(path if path.exists() else FOLDER / f"{name}_inputs.npz")
        self.info = json.loads((FOLDER / f"{name}.json").read_text())

    def weights(self, network: str) -> dict[str, np.ndarray]:
        """Returns tensors by checkpoint key, made by the rule; `network` is "G", "D" or ""."""
        return manifest_weights(f"{self.name}_{network}" if network else self.name)

    def buffers(self, prefix: str) -> dict[str, np.ndarray]:
        """Returns stored arrays below a prefix such as "Gbuf/", by checkpoint key."""
        return {
            key.removeprefix(prefix): self.arrays[key]
            for key in self.arrays.files
            if key.startswith(prefix)
        }

    def stored(self, part: str) -> dict[str, np.ndarray]:
        """Returns the arrays in the file of a part, such as "final64_G", by checkpoint key."""
        return dict(np.load(FOLDER / f"{self.name}_{part}.npz"))

    def atol(self, key: str) -> float:
        """Returns the recorded absolute tolerance of an array. Keys of buffers match patterns."""
        entries = _tolerances()[self.name]
        matches = [entry for pattern, entry in entries.items() if fnmatch.fnmatch(key, pattern)]
        assert len(matches) == 1, key
        return matches[0]["atol"]

    def gradient_norm_rtol(self, network: str) -> float:
        """Returns the recorded relative tolerance of the L2 norms of gradients."""
        return _tolerances()[self.name][f"{network}_grad_l2"]["rtol"]

    def assert_close(self, actual, key: str):
        """Compares an array with the recorded one. Of images, a part may be recorded."""
        expected = self.arrays[key]
        if key.startswith("G_"):
            stride = self.info["config"].get("save_stride", 1)
            actual = np.asarray(actual)[:, ::stride, ::stride]
        actual = np.asarray(actual).reshape(expected.shape)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=self.atol(key), err_msg=key)


@functools.cache
def golden(name: str) -> Golden:
    """Returns the fixture with a name."""
    return Golden(name)


@functools.cache
def manifest_weights(name: str) -> dict[str, np.ndarray]:
    """Returns the tensors of one manifest by checkpoint key."""
    manifest = rule.load_manifest(FOLDER / f"{name}.manifest.json")
    return dict(rule.tensors(manifest))


@functools.cache
def _tolerances() -> dict:
    return json.loads((FOLDER / "tolerances.json").read_text())
