"""Files of inverted images: what is written is read, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from tf_biggan.generation.found_latents import InvertedImage, read_inverted, write_inverted


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / "a.npz")
    z, weights = np.arange(4, dtype=np.float32), np.array([0.25, 0.75], np.float32)
    found = InvertedImage(z, weights, 2 * weights, 0.5, 31.5, {"model": "m", "classes": {"é": 1}})
    write_inverted(path, found)
    read = read_inverted(path)
    np.testing.assert_array_equal(read.z, z)
    np.testing.assert_array_equal(read.class_weights, weights)
    np.testing.assert_array_equal(read.embedding, 2 * weights)
    assert (read.truncation, read.psnr, read.description) == (0.5, 31.5, found.description)
    # Plain arrays: other programs read them without this package.
    assert set(np.load(path).files) >= {"z", "embedding", "class_weights", "psnr", "description"}


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, z=np.ones(2), description="[1]")
    with pytest.raises(ValueError, match="must be a file that invert wrote"):
        read_inverted(str(path))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="complete"):
        read_inverted(str(path))
