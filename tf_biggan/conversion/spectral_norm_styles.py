"""Converts PyTorch's own spectral norm to the form of BigGAN-PyTorch: (weight, u0).

`torch.nn.utils.spectral_norm` stores weight_orig, weight_u and weight_v. In eval mode, it divides
the weight by sigma = u W v, computed from the stored vectors. BigGAN-PyTorch and this package store
only u and compute sigma with one step of power iteration. The stored u is therefore replaced by a
vector from which one step gives the same sigma, so that images stay the same except for rounding.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.conversion.rules import ConversionError

MARGIN, ROUNDING, MAX_STEPS = 1.5, 1e-12, 100
WEIGHT, U, V = ".weight_orig", ".weight_u", ".weight_v"


def is_normalized(tensors: Tensors) -> bool:
    """Returns whether tensors with BigGAN-PyTorch's keys include vectors of a spectral norm."""
    return any(key.endswith(".u0") for key in tensors)


def with_authors_keys(tensors: Tensors) -> tuple[Tensors, tuple[str, ...]]:
    """Replaces the tensors (weight_orig, weight_u, weight_v) of each layer by (weight, u0).

    Other tensors stay as they are.

    Returns:
      A tuple: the tensors, and a sentence for the user about each change.
    """
    prefixes = {key.removesuffix(WEIGHT) for key in tensors if key.endswith(WEIGHT)}
    whole = {p for p in prefixes if {p + WEIGHT, p + U, p + V} <= set(tensors)}
    if not whole:
        return tensors, ()
    entries = {}
    for key, entry in tensors.entries.items():
        prefix = key.removesuffix(WEIGHT)
        if key.endswith(WEIGHT) and prefix in whole:
            entries[f"{prefix}.weight"] = entry
            entries[f"{prefix}.u0"] = _vector(tensors, prefix)
        elif not any(key.endswith(part) and key.removesuffix(part) in whole for part in (U, V)):
            entries[key] = entry
    sentence = (
        f"PyTorch's own spectral norm in {len(whole)} layers: (weight_u, weight_v) replaced"
        " by a vector u from which one step of power iteration gives the stored sigma"
    )
    return Tensors(entries), (sentence,)


def _vector(tensors, prefix):
    shapes = {part: tensors.shapes[prefix + part] for part in (WEIGHT, U, V)}
    outputs, *inputs = shapes[WEIGHT]
    wanted = {WEIGHT: shapes[WEIGHT], U: (outputs,), V: (math.prod(inputs),)}
    if shapes != wanted:
        received = ", ".join(f"{prefix}{part} {shape}" for part, shape in shapes.items())
        raise ConversionError(
            "The weights do not fit: the vectors u and v of a spectral norm must have the"
            f" shapes {wanted[U]} and {wanted[V]}. Received: {received}."
        )
    return StoredTensor((1, outputs), "float32", functools.partial(_read, tensors, prefix))


def _read(tensors, prefix):
    weight, u, v = (tensors[prefix + part] for part in (WEIGHT, U, V))
    return starting_vector(weight.reshape(weight.shape[0], -1), u, v)[None].astype("float32")


def starting_vector(weight: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Returns a vector from which one step of power iteration gives sigma = u W v.

    A step from x gives sigma(x)^2 = |W W' x|^2 / |W' x|^2, a ratio of two quadratic forms (W' is W
    transposed). The stored u is already one step ahead, so sigma(u) is larger than the wanted
    value. The function searches for a second vector with a smaller sigma. A quadratic equation then
    gives the mixture of both vectors that has the wanted sigma. If no second vector is found, u is
    returned. This happens for a kernel with one output, and after long training, when all values of
    sigma are equal except for rounding.

    Args:
      weight: Kernel W [outputs, inputs].
      u: Stored vector [outputs].
      v: Stored vector [inputs].

    Returns:
      Unit vector [outputs], float64.
    """
    weight, u, v = (np.asarray(array, "float64") for array in (weight, u, v))
    target = float(u @ (weight @ v)) ** 2
    u = u / np.linalg.norm(u)
    low = _of_smaller_sigma(weight, u, target)
    if low is None:
        return u
    inner = weight.T @ np.stack([u, low], axis=1)
    outer = weight @ inner
    form = outer.T @ outer - target * (inner.T @ inner)
    roots = np.roots([form[1, 1], 2 * form[0, 1], form[0, 0]])
    if not len(roots) or np.abs(roots.imag).max() > 0:
        return u
    made = u + roots[np.argmin(np.abs(roots))] * low
    return made / np.linalg.norm(made)


def _of_smaller_sigma(weight, u, target):
    """Returns a unit vector x with sigma(x)^2 at most `target`, or None if none is found.

    The search starts orthogonally to u, within the range of W. Each step damps the directions with
    large singular values.
    """
    image = weight @ (weight.T @ u)
    bound = MARGIN * np.linalg.norm(image)
    low = image - (u @ image) * u
    if np.linalg.norm(low) <= ROUNDING * bound:
        return None
    for _ in range(MAX_STEPS):
        low /= np.linalg.norm(low)
        inner = weight.T @ low
        image = weight @ inner
        ratio = (image @ image) / (inner @ inner)
        if ratio <= target:
            return low
        bound = max(bound, MARGIN * ratio)
        low = bound * low - image
    return None
