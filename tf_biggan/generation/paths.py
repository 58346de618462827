"""Interpolation paths through latents and class embeddings, frame by frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_biggan.generation.end_points import EndPoint

PARALLEL_TOLERANCE = 1e-6


def lerp(start, end, fraction):
    """Returns the linear interpolation (1 - fraction) * start + fraction * end of [..., D]."""
    return (1.0 - fraction) * start + fraction * end


def slerp(start, end, fraction):
    """Returns the spherical interpolation of vectors [..., D].

    The result is sin((1 - t) w) / sin(w) * start + sin(t w) / sin(w) * end, where t is the fraction
    and w the angle between both vectors. Midpoints keep the typical length of Gaussian latents.
    Nearly parallel vectors are interpolated linearly, because sin(w) is close to 0.
    Source: White, 2016, "Sampling generative networks".
    """
    start, end = np.asarray(start), np.asarray(end)
    lengths = np.linalg.norm(start, axis=-1) * np.linalg.norm(end, axis=-1)
    cosine = np.sum(start * end, axis=-1) / lengths
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))[..., None]
    parallel = np.sin(angle) < PARALLEL_TOLERANCE
    sine = np.where(parallel, 1.0, np.sin(angle))
    mixed = np.sin((1.0 - fraction) * angle) * start + np.sin(fraction * angle) * end
    return np.where(parallel, lerp(start, end, fraction), mixed / sine)


def slerp_in_graph(start: tf.Tensor, end: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    """Returns the same as `slerp`, computed by TensorFlow for the rows of two tensors.

    Args:
      start, end: Latent vectors [N, D].
      fraction: Position on each path [N], from 0 (start) to 1 (end).

    Returns:
      Interpolated vectors [N, D], float32. The interpolation is linear for parallel rows.
    """
    start, end = tf.cast(start, tf.float64), tf.cast(end, tf.float64)
    fraction = tf.cast(fraction, tf.float64)[:, None]
    lengths = tf.norm(start, axis=-1) * tf.norm(end, axis=-1)
    cosine = tf.math.divide_no_nan(tf.reduce_sum(start * end, axis=-1), lengths)
    angle = tf.acos(tf.clip_by_value(cosine, -1.0, 1.0))[:, None]
    parallel = tf.sin(angle) < PARALLEL_TOLERANCE
    sine = tf.where(parallel, tf.ones_like(angle), tf.sin(angle))
    mixed = tf.sin((1.0 - fraction) * angle) * start + tf.sin(fraction * angle) * end
    return tf.cast(tf.where(parallel, lerp(start, end, fraction), mixed / sine), tf.float32)


PATHS = {"lerp": lerp, "slerp": slerp}


@dataclasses.dataclass(frozen=True)
class Frames:
    """Inputs of the generator for F frames.

    Attributes:
      z: Latents, float32 [F, latent_dim].
      embeddings: Class embeddings, float32 [F, E]; None if the model has no classes.
      truncation: Truncations [F] that select rows of the generator's table of statistics.
      shown_truncation: Truncations [F] that captions show: NaN where z comes from a file; None
        without truncation.
    """

    z: np.ndarray
    embeddings: np.ndarray | None
    truncation: np.ndarray
    shown_truncation: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class PathPlan:
    """How interpolations run from point to point.

    Attributes:
      num_midpoints: Number of frames between two points.
      z_path: "slerp" or "lerp" for latents; class embeddings are always interpolated linearly.
      fix_z, fix_y: Whether all frames have the first point's latents, or its class.
      truncations: Truncation at the first and last frame, linear in between; (None, None) for no
        truncation.
      mode: Meaning of a truncation, see `tf_biggan.generation.latents`.
      loop: Whether the path returns to its first point. If so, the truncation also returns.
    """

    num_midpoints: int
    z_path: str = "slerp"
    fix_z: bool = False
    fix_y: bool = False
    truncations: tuple[float | None, float | None] = (None, None)
    mode: str = "scale"
    loop: bool = False

    def route(self, points: Sequence[EndPoint]) -> tuple[EndPoint, ...]:
        """Returns the points that the path visits in order."""
        return (*points, points[0]) if self.loop else tuple(points)

    def num_frames(self, num_points: int) -> int:
        """Returns the number of frames of a path through `num_points` points."""
        return (num_points - 1) * (self.num_midpoints + 1) + 1

    def legs(self, num_points: int) -> np.ndarray:
        """Returns the frame numbers of each leg, a part from one point to the next.

        Returns:
          Integers [num_points - 1, num_midpoints + 2]; a leg includes both of its points.
        """
        step = self.num_midpoints + 1
        return np.arange(num_points - 1)[:, None] * step + np.arange(step + 1)

    def _shown_truncation(self, route, truncations):
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
        """Returns the generator's inputs for all frames of a path.

        Args:
          route: Result of `route`, at least two points.
          maker: `ImageMaker` that will make the images.
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
        return Frames(z, embeddings, statistics, self._shown_truncation(route, truncations))
