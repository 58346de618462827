"""Paths between latents or class embeddings."""

from __future__ import annotations

import numpy as np

PARALLEL_TOLERANCE = 1e-6


def lerp(start, end, fraction):
    """(1 - fraction) * start + fraction * end, for arrays [..., D]."""
    return (1.0 - fraction) * start + fraction * end


def slerp(start, end, fraction):
    """Spherical interpolation of [..., D]: keeps the typical length of Gaussian latents midway.

    sin((1 - t) w) / sin(w) * start + sin(t w) / sin(w) * end, w being the angle between the two;
    (nearly) parallel vectors are lerped. Source: White, 2016, "Sampling generative networks".
    """
    start, end = np.asarray(start), np.asarray(end)
    lengths = np.linalg.norm(start, axis=-1) * np.linalg.norm(end, axis=-1)
    cosine = np.sum(start * end, axis=-1) / lengths
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))[..., None]
    parallel = np.sin(angle) < PARALLEL_TOLERANCE
    sine = np.where(parallel, 1.0, np.sin(angle))
    mixed = np.sin((1.0 - fraction) * angle) * start + np.sin(fraction * angle) * end
    return np.where(parallel, lerp(start, end, fraction), mixed / sine)


def path(start, end, num_midpoints: int, between=lerp):
    """Start, `num_midpoints` points between, end: [N, D] twice to [N, num_midpoints + 2, D].

    Source: BigGAN-PyTorch, utils.py `interp`.
    """
    fractions = np.linspace(0.0, 1.0, num_midpoints + 2)
    return np.stack([between(start, end, fraction) for fraction in fractions], axis=1)
