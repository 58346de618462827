"""Paths between latents and class embeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_biggan.generation.end_points import EndPoint

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


PATHS = {"lerp": lerp, "slerp": slerp}


@dataclasses.dataclass(frozen=True)
class Frames:
    """Inputs of a generator, frame by frame.

    Attributes:
      z: float32 [F, latent_dim].
      embeddings: float32 [F, E]; None of a model without classes.
      truncation: [F], which row of a table of statistics.
      drawn_at: [F], truncations that z are drawn at; NaN where z comes from files, None without
        truncation.
    """

    z: np.ndarray
    embeddings: np.ndarray | None
    truncation: np.ndarray
    drawn_at: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class PathPlan:
    """How paths run.

    Attributes:
      num_midpoints: frames between two points.
      z_path: "slerp" or "lerp"; class embeddings are always lerped.
      fix_z, fix_y: whether z, or the class, is that of the first point all along.
      truncations: at the first and at the last frame, evenly between; (None, None) for none.
      mode: what a truncation means, see `tf_biggan.generation.latents`.
      loop: whether the last point is the first again; the truncation then goes there and back.
    """

    num_midpoints: int
    z_path: str = "slerp"
    fix_z: bool = False
    fix_y: bool = False
    truncations: tuple[float | None, float | None] = (None, None)
    mode: str = "scale"
    loop: bool = False

    def route(self, points: Sequence[EndPoint]) -> tuple[EndPoint, ...]:
        """The points that a path visits."""
        return (*points, points[0]) if self.loop else tuple(points)

    def num_frames(self, num_points: int) -> int:
        """Frames of a path that visits so many points, each point once."""
        return (num_points - 1) * (self.num_midpoints + 1) + 1

    def legs(self, num_points: int) -> np.ndarray:
        """Places [num_points - 1, num_midpoints + 2] in the path of the frames of every leg."""
        step = self.num_midpoints + 1
        return np.arange(num_points - 1)[:, None] * step + np.arange(step + 1)

    def _drawn_at(self, route, truncations):
        if truncations is None or self.fix_z:
            return truncations
        shown = truncations.copy()
        for place, leg in enumerate(self.legs(len(route))):
            of_files = [point.file is not None for point in route[place : place + 2]]
            frames = leg if all(of_files) else leg[[0, -1]][of_files]
            shown[frames] = np.nan
        return shown

    def _truncation_of_frames(self, num_points):
        first, last = self.truncations
        if first is None:
            return None
        position = np.linspace(0.0, 1.0, self.num_frames(num_points))
        if self.loop:
            position = 1.0 - np.abs(2.0 * position - 1.0)
        return lerp(first, last, position)

    def frames(self, route: Sequence[EndPoint], maker) -> Frames:
        """All frames of the path along `route`.

        Args:
          route: two points or more.
          maker: the `ImageMaker` that is to make the images.
        """
        truncations = self._truncation_of_frames(len(route))
        dim = maker.generator.latent_dim
        legs = self.legs(len(route))
        fractions = np.linspace(0.0, 1.0, legs.shape[1])[:, None]
        count = self.num_frames(len(route))
        z, statistics = np.empty((count, dim), np.float32), np.empty(count)
        ends = [point.embedding(maker) for point in route]
        embeddings = None if ends[0] is None else np.empty((count, len(ends[0])), np.float32)
        for place, leg in enumerate(legs):
            here = None if truncations is None else truncations[leg]
            start, end = route[place : place + 2]
            if self.fix_z:
                z[leg] = route[0].latents(here, dim, self.mode)
                statistics[leg] = route[0].statistics(here)
            else:
                both = (np.float64(p.latents(here, dim, self.mode)) for p in (start, end))
                z[leg] = PATHS[self.z_path](*both, fractions)
                both = (point.statistics(here) for point in (start, end))
                statistics[leg] = lerp(*both, fractions[:, 0])
            if embeddings is not None:
                both = ends[place : place + 2]
                embeddings[leg] = ends[0] if self.fix_y else lerp(*both, fractions)
        return Frames(z, embeddings, statistics, self._drawn_at(route, truncations))
