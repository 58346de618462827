"""Files of feature statistics: our own, and those of pytorch-fid and TTUR.

A file is an npz of "mu" [D] and "sigma" [D, D], which other programs can read too. Our own files
also have a "description" of the images and the extractor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from tf_biggan import checks
from tf_biggan.evaluation.scores.frechet import FeatureStatistics
from tf_biggan.files.array_files import read_npz
from tf_biggan.files.atomic import replaced
from tf_biggan.files.json_files import field, parse_json

DESCRIPTION = "description"
# Parts of the descriptions that must agree for a distance between two sets of images to make sense.
COMPARED = ("resolution", "crop", "resize")


def write_statistics(path: str, statistics: FeatureStatistics, description: Mapping) -> None:
    """Writes a file of statistics. An interrupted write leaves no incomplete file.

    Args:
      path: path of the file, which ends in .npz.
      statistics: the statistics.
      description: description of the `ImageSet`, with the identity of the extractor as "extractor"
        and the hash of the images as "sha256".
    """
    checks.require(path.endswith(".npz"), "a file of statistics must end in .npz", path=path)
    text = json.dumps({**description, "count": statistics.count})
    with replaced(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, mu=statistics.mean, sigma=statistics.covariance, **{DESCRIPTION: text})


def read_statistics(path: str) -> tuple[FeatureStatistics, dict]:
    """Reads a file of statistics.

    Returns:
      The statistics, and the description; {} for files of other programs.

    Raises:
      ValueError: the file cannot be read, or its shapes do not match.
    """
    arrays = read_npz(path)
    checks.require(
        {"mu", "sigma"} <= set(arrays),
        "a file of statistics must hold the arrays mu and sigma",
        path=path,
        arrays=sorted(arrays),
    )
    mean, covariance = arrays["mu"], arrays["sigma"]
    checks.require(
        mean.ndim == 1
        and covariance.shape == (len(mean), len(mean))
        and mean.dtype.kind == covariance.dtype.kind == "f",
        "in a file of statistics, mu must be floats [D] and sigma floats [D, D]",
        path=path,
        mu=f"{mean.dtype} {mean.shape}",
        sigma=f"{covariance.dtype} {covariance.shape}",
    )
    checks.require(
        bool(np.isfinite(mean).all() and np.isfinite(covariance).all()),
        "mu and sigma of the file of statistics must be finite numbers; compute the file again",
        path=path,
    )
    described = DESCRIPTION in arrays
    description = parse_json(str(arrays[DESCRIPTION]), path) if described else {}
    # If the file does not record the number of images, enough images are assumed.
    count = field(description, "count", "int", path, len(mean) + 1)
    return FeatureStatistics(mean, covariance, count), description


def require_comparable(
    path: str,
    statistics: FeatureStatistics,
    stored: Mapping,
    images: Mapping,
    extractor: Mapping,
    feature_dim: int,
) -> None:
    """Refuses statistics of another feature extractor or of images with other preprocessing.

    Args:
      path: path of the file, for the message.
      statistics: statistics in the file.
      stored: description in the file; if it is empty, only size and precision are checked.
      images: description of the images to evaluate.
      extractor: identity of the extractor of their features.
      feature_dim: number of features of that extractor.

    Raises:
      ValueError: the statistics do not fit; the message says what differs.
    """
    checks.require(
        len(statistics.mean) == feature_dim,
        "the file of statistics belongs to an extractor with another number of features; use"
        " that extractor or another file",
        path=path,
        of_file=len(statistics.mean),
        of_extractor=feature_dim,
    )
    if not stored:
        checks.require(
            "precision" not in extractor,
            "the file of statistics does not record its extractor and is taken as computed"
            " in float32; use --extractor=inception",
            path=path,
            extractor=extractor.get("precision"),
        )
        return
    checks.require(
        stored.get("extractor") == dict(extractor),
        "the file of statistics was computed with another extractor; use that extractor or"
        " another file",
        path=path,
        of_file=stored.get("extractor"),
        now=dict(extractor),
    )
    differing = {
        name: (stored.get(name), images[name])
        for name in COMPARED
        if name in images and stored.get(name) is not None and stored[name] != images[name]
    }
    checks.require(
        not differing,
        "the images of the file of statistics were preprocessed differently (in the file,"
        " now); use the same preprocessing or another file",
        path=path,
        **differing,
    )
