"""PyTorch's own spectral norm under the keys of BigGAN-PyTorch's: (weight, u0).

`torch.nn.utils.spectral_norm` keeps weight_orig, weight_u and weight_v, and in eval mode divides by
sigma = u W v of the stored vectors. BigGAN-PyTorch, and we, keep u alone and take one step of power
iteration from it. So that images stay the same to rounding, u is exchanged for one whose step gives
the stored sigma; training goes on from there.
"""

from __future__ import annotations

import functools

import numpy as np

from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors

WEIGHT, U, V = ".weight_orig", ".weight_u", ".weight_v"


def with_authors_keys(tensors: Tensors) -> tuple[Tensors, tuple[str, ...]]:
    """Every (weight_orig, weight_u, weight_v) as (weight, u0); all else as it is.

    Returns:
      The tensors; and what was changed, in sentences.
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
        f"spectral norm of PyTorch's own kind in {len(whole)} layers: (weight_u, weight_v)"
        " exchanged for the u whose first step of power iteration gives the stored sigma"
    )
    return Tensors(entries), (sentence,)


def _vector(tensors, prefix):
    (outputs,) = tensors.shapes[prefix + U]
    return StoredTensor((1, outputs), "float32", functools.partial(_read, tensors, prefix))


def _read(tensors, prefix):
    weight, u, v = (tensors[prefix + part] for part in (WEIGHT, U, V))
    return starting_vector(weight.reshape(weight.shape[0], -1), u, v)[None].astype("float32")


def starting_vector(weight: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A vector whose first step of power iteration gives sigma = u W v.

    sigma(x)^2 = |W W' x|^2 / |W' x|^2 is a ratio of two quadratic forms. In the plane of u and
    W W' u it takes the wanted value on a line that a quadratic equation gives; that line nearest to
    u is taken. Where there is none (u, v of converged training differ from a step by rounding only,
    and a kernel of one output has one sigma) u stays.

    Args:
      weight: W [outputs, inputs].
      u, v: stored vectors [outputs] and [inputs].

    Returns:
      [outputs] in float64, a unit vector.
    """
    weight, u, v = (np.asarray(array, "float64") for array in (weight, u, v))
    target = float(u @ (weight @ v)) ** 2
    u = u / np.linalg.norm(u)
    once = weight.T @ u
    image = weight @ once
    # The part of W W' u across u: the second direction of the plane.
    across = image - (u @ image) * u
    length = np.linalg.norm(across)
    if length <= 1e-12 * np.linalg.norm(image):
        return u
    across /= length
    inner = np.stack([once, weight.T @ across], axis=1)
    outer = np.stack([image, weight @ inner[:, 1]], axis=1)
    form = outer.T @ outer - target * (inner.T @ inner)
    roots = np.roots([form[1, 1], 2 * form[0, 1], form[0, 0]])
    real = roots[np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots.real))].real
    if not len(real):
        return u
    made = u + real[np.argmin(np.abs(real))] * across
    return made / np.linalg.norm(made)
