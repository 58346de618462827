"""Files of statistics, our own and pytorch-fid's, and statistics that must not be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tf_biggan.evaluation.evaluator import read_statistics, require_comparable, write_statistics
from tf_biggan.evaluation.scores.frechet import feature_statistics

STATISTICS = feature_statistics(np.random.RandomState(0).standard_normal((50, 4)))
IMAGES = {"images": "digits", "resolution": [8, 8, 1], "crop": "central", "resize": "bilinear"}
EXTRACTOR = {"kind": "inception", "sha256": "abc"}


def test_what_was_written_is_read(tmp_path):
    path = str(tmp_path / "s.npz")
    write_statistics(path, STATISTICS, {**IMAGES, "sha256": "f00", "extractor": EXTRACTOR})
    found, description = read_statistics(path)
    np.testing.assert_array_equal(found.mean, STATISTICS.mean)
    np.testing.assert_array_equal(found.covariance, STATISTICS.covariance)
    assert found.count == 50
    assert description == {**IMAGES, "sha256": "f00", "extractor": EXTRACTOR, "count": 50}
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.npz"]
    require_comparable(path, found, description, IMAGES, EXTRACTOR, 4)
    # pytorch-fid reads the file in this way.
    with np.load(path) as stored:
        assert stored["mu"].shape == (4,) and stored["sigma"].shape == (4, 4)


def test_files_of_pytorch_fid_and_ttur(tmp_path):
    path = tmp_path / "fid_stats.npz"
    np.savez(path, mu=STATISTICS.mean, sigma=STATISTICS.covariance.astype(np.float32))
    found, description = read_statistics(str(path))
    assert description == {} and found.mean.dtype == found.covariance.dtype == np.float64
    require_comparable(str(path), found, description, IMAGES, EXTRACTOR, 4)
    with pytest.raises(ValueError, match=r"another number of features.*of_extractor=2048"):
        require_comparable(str(path), found, description, IMAGES, EXTRACTOR, 2048)


FAULTS = {
    "no sigma": (dict(mu=np.zeros(3)), "the arrays mu and sigma"),
    "no square": (dict(mu=np.zeros(3), sigma=np.zeros((3, 4))), r"sigma='float64 \(3, 4\)'"),
    "other sizes": (dict(mu=np.zeros(3), sigma=np.eye(4)), r"mu='float64 \(3,\)'"),
    "a matrix of means": (dict(mu=np.zeros((1, 3)), sigma=np.eye(3)), r"mu='float64 \(1, 3\)'"),
    "integers": (dict(mu=np.zeros(3, int), sigma=np.eye(3)), "mu='int64"),
    "not finite": (dict(mu=np.array([0.0, np.nan]), sigma=np.eye(2)), "must be finite numbers"),
}


@pytest.mark.parametrize("arrays, message", FAULTS.values(), ids=FAULTS)
def test_files_that_hold_something_else(tmp_path, arrays, message):
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_statistics(str(tmp_path / "s.npz"))


def test_a_damaged_file(tmp_path):
    write_statistics(str(tmp_path / "s.npz"), STATISTICS, {})
    content = (tmp_path / "s.npz").read_bytes()
    (tmp_path / "s.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"Cannot read the \.npz file .*s\.npz"):
        read_statistics(str(tmp_path / "s.npz"))
    with pytest.raises(ValueError, match=r"must end in \.npz"):
        write_statistics(str(tmp_path / "s.pkl"), STATISTICS, {})


OTHERS = {
    "extractor": (IMAGES, {"kind": "inception", "sha256": "other"}, "with another extractor"),
    "resolution": ({**IMAGES, "resolution": [16, 16, 1]}, EXTRACTOR, r"same preprocessing.*16, 16"),
    "resize": ({**IMAGES, "resize": "nearest"}, EXTRACTOR, "same preprocessing.*nearest"),
}


@pytest.mark.parametrize("images, extractor, message", OTHERS.values(), ids=OTHERS)
def test_another_preprocessing_or_network_is_refused(images, extractor, message):
    stored = json.loads(json.dumps({**IMAGES, "extractor": EXTRACTOR}))
    with pytest.raises(ValueError, match=message):
        require_comparable("s.npz", STATISTICS, stored, images, extractor, 4)


def test_statistics_of_unknown_origin_are_of_float32():
    require_comparable("s.npz", STATISTICS, {}, IMAGES, EXTRACTOR, 4)
    narrow = {**EXTRACTOR, "precision": "bfloat16"}
    with pytest.raises(ValueError, match=r"assumed to be computed in float32.*bfloat16"):
        require_comparable("s.npz", STATISTICS, {}, IMAGES, narrow, 4)
