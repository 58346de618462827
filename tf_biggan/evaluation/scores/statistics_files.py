"""Means and covariances of features in files: ours, and those of pytorch-fid and TTUR.

An npz of "mu" [D] and "sigma" [D, D], which other codes read too; ours says in "description" what
it is made of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from tf_biggan import checks
from tf_biggan.evaluation.scores.frechet import FeatureStatistics
from tf_biggan.files.atomic import replaced
from tf_biggan.files.json_files import field, parse_json
from tf_biggan.files.npz_files import read_npz

DESCRIPTION = "description"
# What must be the same of both sets of images for a distance between them to mean anything.
COMPARED = ("resolution", "crop", "resize")


def write_statistics(path: str, statistics: FeatureStatistics, description: Mapping) -> None:
    """Writes a file under a temporary name, then renames it.

    Args:
      description: of the images (an `ImageSet`'s), with the network's identity as "extractor" and
        the hash of the images as "sha256".
    """
    checks.require(path.endswith(".npz"), "a file of statistics must end in .npz", path=path)
    text = json.dumps({**description, "count": statistics.count})
    with replaced(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, mu=statistics.mean, sigma=statistics.covariance, **{DESCRIPTION: text})


def read_statistics(path: str) -> tuple[FeatureStatistics, dict]:
    """(statistics, description) of a file; the description is empty for files of others.

    Raises:
      ValueError: it cannot be read, or its shapes do not fit.
    """
    arrays = read_npz(path)
    checks.require(
        {"mu", "sigma"} <= set(arrays),
        "a file of statistics must have the arrays mu and sigma",
        path=path,
        arrays=sorted(arrays),
    )
    mean, covariance = arrays["mu"], arrays["sigma"]
    checks.require(
        mean.ndim == 1
        and covariance.shape == (len(mean), len(mean))
        and mean.dtype.kind == covariance.dtype.kind == "f",
        "mu must be floats [D] and sigma [D, D]",
        path=path,
        mu=f"{mean.dtype} {mean.shape}",
        sigma=f"{covariance.dtype} {covariance.shape}",
    )
    checks.require(
        bool(np.isfinite(mean).all() and np.isfinite(covariance).all()),
        "mu and sigma must be finite numbers",
        path=path,
    )
    described = DESCRIPTION in arrays
    description = parse_json(str(arrays[DESCRIPTION]), path) if described else {}
    # Where nothing says how many images it was, enough of them are assumed.
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
    """Refuses statistics that were made by another network or of images of another size.

    Args:
      path: of the file, for the message.
      stored: its description; where that is empty, only size and precision are checked.
      images: description of the images to evaluate.
      extractor: identity of the network that takes their features.
      feature_dim: size of those features.

    Raises:
      ValueError: they do not fit, with what differs.
    """
    checks.require(
        len(statistics.mean) == feature_dim,
        "statistics must be of features of the same size",
        path=path,
        of_file=len(statistics.mean),
        of_extractor=feature_dim,
    )
    if not stored:
        checks.require(
            "precision" not in extractor,
            "statistics of unknown origin must be taken as those of float32; use"
            " --extractor=inception",
            path=path,
            extractor=extractor.get("precision"),
        )
        return
    checks.require(
        stored.get("extractor") == dict(extractor),
        "statistics must be made by the same extractor",
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
        "statistics must be of images with the same preprocessing (of the file, now)",
        path=path,
        **differing,
    )
