"""Access to tests/golden: arrays, rule-made weights, and the tolerances that come with them."""

from __future__ import annotations

import fnmatch
import functools
import json
import pathlib

import numpy as np

from tests.golden import rule

FOLDER = pathlib.Path(__file__).parent / "golden"


class Golden:
    """One fixture: `arrays`, `info` (its JSON) and `tolerance`."""

    def __init__(self, name: str):
        self.name = name
        path = FOLDER / f"{name}.npz"
        self.arrays = np.load(path if path.exists() else FOLDER / f"{name}_inputs.npz")
        self.info = json.loads((FOLDER / f"{name}.json").read_text())

    def weights(self, network: str) -> dict[str, np.ndarray]:
        """Tensors by checkpoint key, made by the rule; `network` is "G", "D" or "" (one only)."""
        return manifest_weights(f"{self.name}_{network}" if network else self.name)

    def buffers(self, prefix: str) -> dict[str, np.ndarray]:
        """Stored arrays below "Gbuf/" or the like, by checkpoint key."""
        return {
            key.removeprefix(prefix): self.arrays[key]
            for key in self.arrays.files
            if key.startswith(prefix)
        }

    def stored(self, part: str) -> dict[str, np.ndarray]:
        """Arrays of the file of that part, such as "final64_G", by checkpoint key."""
        return dict(np.load(FOLDER / f"{self.name}_{part}.npz"))

    def atol(self, key: str) -> float:
        """Recommended absolute tolerance of an array; keys of buffers are matched as patterns."""
        entries = _tolerances()[self.name]
        matches = [entry for pattern, entry in entries.items() if fnmatch.fnmatch(key, pattern)]
        assert len(matches) == 1, key
        return matches[0]["atol"]

    def gradient_norm_rtol(self, network: str) -> float:
        """Recommended relative tolerance of the L2 norms of gradients."""
        return _tolerances()[self.name][f"{network}_grad_l2"]["rtol"]

    def assert_close(self, actual, key: str):
        """Compares with a stored array within its own tolerance; of images, what is stored."""
        expected = self.arrays[key]
        if key.startswith("G_"):
            stride = self.info["config"].get("save_stride", 1)
            actual = np.asarray(actual)[:, ::stride, ::stride]
        actual = np.asarray(actual).reshape(expected.shape)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=self.atol(key), err_msg=key)


@functools.cache
def golden(name: str) -> Golden:
    """The fixture of that name."""
    return Golden(name)


@functools.cache
def manifest_weights(name: str) -> dict[str, np.ndarray]:
    """Tensors of one manifest by checkpoint key."""
    manifest = rule.load_manifest(FOLDER / f"{name}.manifest.json")
    return dict(rule.tensors(manifest))


@functools.cache
def _tolerances() -> dict:
    return json.loads((FOLDER / "tolerances.json").read_text())
