"""Checks of feature matrices [N, D], and their rows in blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tf_biggan.checks import require

# A block of 2048 features takes 32 MiB in float64: large enough for fast matrix products, and
# small compared with all features.
BLOCK_ROWS = 2048


def checked_features(name: str, features, minimum: int = 1) -> np.ndarray:
    """Returns features as an array [N, D] without changing their dtype.

    Args:
      name: name of the argument, for messages.
      features: real numbers [N, D].
      minimum: smallest N.

    Raises:
      ValueError: the features are not a matrix of finite real numbers with at least `minimum` rows
        and one column.
    """
    features = np.asarray(features)
    require(
        features.ndim == 2 and features.shape[1] > 0 and features.dtype.kind in "fiu",
        f"`{name}` must be real numbers of shape [N, D]",
        shape=features.shape,
        dtype=str(features.dtype),
    )
    require(
        len(features) >= minimum,
        f"`{name}` must have at least {minimum} {'rows' if minimum > 1 else 'row'}",
        shape=features.shape,
    )
    for start in range(0, len(features), BLOCK_ROWS):
        finite = np.isfinite(features[start : start + BLOCK_ROWS]).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            require(False, f"`{name}` must be finite numbers", first_bad_row=row)
    return features


def checked_pair(generated, real, minimum: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Returns generated features [N, D] and real features [M, D] as arrays.

    Raises:
      ValueError: one of them is not a matrix of features (see `checked_features`), or they differ
        in their number of columns.
    """
    generated = checked_features("generated", generated, minimum)
    real = checked_features("real", real, minimum)
    require(
        generated.shape[1] == real.shape[1],
        "generated and real features must have the same number of columns",
        generated=generated.shape,
        real=real.shape,
    )
    return generated, real


def blocks(features: np.ndarray, rows: int = BLOCK_ROWS) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields consecutive blocks of rows as (slice of the rows, rows in float64)."""
    for start in range(0, len(features), rows):
        here = slice(start, min(start + rows, len(features)))
        yield here, np.asarray(features[here], np.float64)
