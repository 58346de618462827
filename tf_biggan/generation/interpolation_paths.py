"""Computes latents and class embeddings for each frame of an interpolation between end points.

End points are parsed from text such as "tench@3,face.npz", or are random.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.seeds_and_truncations import parse_seeds
from tf_biggan.data.classes import ClassLookup, class_name
from tf_biggan.generation.inversion import ENDING, InvertedImage, read_inverted
from tf_biggan.generation.latents import latents_of_seeds

FORM = "class@seed (@seed for a model without classes) or an .npz file that `invert` wrote"
PARALLEL_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class EndPoint:
    """One image that an interpolation starts from or leads to.

    Attributes:
      label: Class; None if the model has no classes or the point comes from a file.
      seed: Seed of the latents; None if the point comes from a file.
      file: (path, content) of a file that `invert` wrote, or None.
    """

    label: int | None = None
    seed: int | None = None
    file: tuple[str, InvertedImage] | None = None

    def latents(self, truncations: np.ndarray | None, latent_dim: int, mode: str) -> np.ndarray:
        """Returns the point's latents for F frames, float32 [F, latent_dim].

        Latents from a file are the same at each truncation.

        Args:
          truncations: Truncation of each frame, [F]; None for one frame without truncation.
          latent_dim: Length of a latent vector.
          mode: Meaning of a truncation, see `tf_biggan.generation.latents`.
        """
        count = 1 if truncations is None else len(truncations)
        if self.file is not None:
            return np.repeat(self.file[1].z[None], count, axis=0)
        return latents_of_seeds([self.seed] * count, latent_dim, truncations, mode)

    def statistics(self, truncations: np.ndarray | None) -> np.ndarray:
        """Returns the truncations [F] that select rows of the generator's table of statistics.

        Args:
          truncations: As for `latents`.
        """
        count = 1 if truncations is None else len(truncations)
        if self.file is not None:
            return np.full(count, self.file[1].truncation)
        return np.ones(1) if truncations is None else truncations

    def embedding(self, maker) -> np.ndarray | None:
        """Returns the class embedding [E] from an `ImageMaker`, or None without classes."""
        if self.file is not None:
            weights = self.file[1].class_weights
            return None if weights is None else maker.embeddings(weights[None])[0]
        return None if self.label is None else maker.embeddings([self.label])[0]


def point_name(of_class: EndPoint, of_latents: EndPoint, lookup: ClassLookup) -> str:
    """Returns the name of an image, such as "tench@3", from the end points that determine it.

    Args:
      of_class: The end point that gives the class.
      of_latents: The end point that gives the latents.
      lookup: Classes of the model.
    """
    files = [os.path.basename(p.file[0]) if p.file else None for p in (of_class, of_latents)]
    if files[0] is not None and files[0] == files[1]:
        return files[0]
    name = files[0] or ("" if of_class.label is None else class_name(of_class.label, lookup))
    return f"{name}@{files[1] or of_latents.seed}"


def parse_end_points(specification: str, lookup: ClassLookup) -> tuple[EndPoint, ...]:
    """Parses end points such as "tench, Tinca tinca@3,7@0,face.npz".

    Names of classes may contain commas.

    Args:
      specification: End points, separated by commas.
      lookup: Classes of the model.

    Raises:
      ValueError: An end point neither has the form class@seed (@seed without classes) nor is an
        .npz file of `invert`. Or its class is unknown, or its seed is invalid, or there are fewer
        than two end points.
    """
    points, pending = [], []
    for part in specification.split(","):
        pending.append(part)
        if "@" in part or part.strip().endswith(ENDING):
            points.append(_point(",".join(pending).strip(), lookup))
            pending = []
    checks.require(
        not "".join(pending).strip(), f"an end point must be {FORM}", endpoints=",".join(pending)
    )
    checks.require(
        len(points) > 1,
        f"`endpoints` must name at least two end points, each {FORM}",
        endpoints=specification,
    )
    return tuple(points)


def _point(text: str, lookup: ClassLookup) -> EndPoint:
    if text.endswith(ENDING) and "@" not in os.path.basename(text):
        return EndPoint(file=(text, read_inverted(text)))
    name, _, seed = text.rpartition("@")
    seeds = parse_seeds(seed)
    checks.require(
        len(seeds) == 1, "an end point must have exactly one seed after @", endpoints=text
    )
    conditional = lookup.num_classes > 0
    checks.require(
        bool(name.strip()) == conditional,
        "an end point must have the form class@seed"
        if conditional
        else "an end point must have the form @seed, because this model has no classes",
        endpoints=text,
    )
    if not conditional:
        return EndPoint(seed=seeds[0])
    labels = lookup.parse(name)
    checks.require(
        len(labels) == 1, "an end point must name exactly one class before @", endpoints=text
    )
    return EndPoint(labels[0], seeds[0])


def random_routes(
    num_rows: int,
    num_classes: int,
    labels: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    fix_z: bool = False,
    fix_y: bool = False,
) -> tuple[tuple[EndPoint, EndPoint], ...]:
    """Returns the two end points of each row of a sheet.

    A row does not depend on the number of rows.

    Args:
      num_rows: Number of rows.
      num_classes: Number of classes of the model, 0 if it is unconditional.
      labels: Classes, which are assigned in turn to the end points or, with `fix_y`, to the rows.
        There must not be more classes than end points (with `fix_y`: than rows), unless all classes
        of the model are given. None: the end points of a row get two different random classes, even
        with `fix_y`.
      seeds: Two seeds for each row, or one with `fix_z`; None for 0, 1, 2 and so on.
      fix_z: Whether both end points of a row have the same seed.
      fix_y: Whether both end points of a row take the same class from `labels`.

    Raises:
      ValueError: The number of seeds is wrong, or there are too many classes.
    """
    each = 1 if fix_z else 2
    seeds = range(each * num_rows) if seeds is None else seeds
    checks.require(
        len(seeds) == each * num_rows,
        f"the number of `seeds` must be {each * num_rows}, which is {each} for each row",
        seeds=len(seeds),
        num_rows=num_rows,
    )
    rows = []
    for row in range(num_rows):
        of_row = [seeds[each * row], seeds[each * row + each - 1]]
        of_both = (None, None) if not num_classes else _different(num_classes, of_row[0])
        if labels is not None:
            of_both = _in_turn(labels, row, num_rows, num_classes, 1 if fix_y else 2)
        rows.append(tuple(EndPoint(c, s) for c, s in zip(of_both, of_row, strict=True)))
    return tuple(rows)


def _in_turn(labels, row, num_rows, num_classes, each) -> tuple[int, int]:
    """Returns the classes of a row's two end points, which are the same if `each` is 1."""
    checks.require(
        len(labels) in (num_classes, *range(each * num_rows + 1)),
        f"the number of `classes` must be at most {each * num_rows}, which is {each} for each row;"
        " name fewer classes or use a larger --num_rows",
        classes=len(labels),
        num_rows=num_rows,
    )
    return tuple(labels[place % len(labels)] for place in (each * row, each * row + each - 1))


def _different(num_classes: int, seed: int) -> tuple[int, int]:
    """Returns two classes that the seed selects; they differ if the model has two or more."""
    random = np.random.RandomState(seed)
    first = random.randint(num_classes)
    return first, (first + random.randint(1, max(2, num_classes))) % num_classes


def lerp(start, end, fraction):
    """Returns the linear interpolation (1 - fraction) * start + fraction * end of two arrays."""
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
    """Settings of an interpolation path: number of frames, kind of interpolation, truncation.

    Attributes:
      num_midpoints: Number of frames between two points.
      z_path: "slerp" or "lerp" for latents; class embeddings are always interpolated linearly.
      fix_z: Whether all frames have the latents of the first point.
      fix_y: Whether all frames have the class of the first point.
      truncations: (first, last) truncation. The truncation changes linearly along the frames, and
        reaches `last` at the last frame or, with `loop`, halfway. (None, None) for no truncation.
      mode: Meaning of a truncation, see `tf_biggan.generation.latents`.
      loop: Whether the path returns to its first point, and the truncation to its first value.
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
        """Returns the frame numbers of each leg. A leg is the path from one point to the next.

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
          route: Result of the method `route`, at least two points.
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
