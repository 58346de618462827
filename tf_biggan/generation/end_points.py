"""Ends of paths: from "tench@3,face.npz" or from random draws to seeds, latents and embeddings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from tf_biggan import checks
from tf_biggan.cli.seeds import parse_seeds
from tf_biggan.data.classes import ClassLookup
from tf_biggan.generation.found_latents import ENDING, InvertedImage, read_inverted
from tf_biggan.generation.latents import latents_of_seeds

FORM = "class@seed (@seed of a model without classes) or an .npz that invert wrote"


@dataclasses.dataclass(frozen=True)
class EndPoint:
    """One image that paths go from or to.

    Attributes:
      label: its class; None if the model has no classes, or the point comes from a file.
      seed: of its latents; None if they come from a file.
      file: (path, what invert found), or None.
    """

    label: int | None = None
    seed: int | None = None
    file: tuple[str, InvertedImage] | None = None

    def latents(self, truncations: np.ndarray | None, latent_dim: int, mode: str) -> np.ndarray:
        """z [F, latent_dim] at truncations [F], or [1, latent_dim] without truncation.

        What invert found is the same at every truncation.
        """
        count = 1 if truncations is None else len(truncations)
        if self.file is not None:
            return np.repeat(self.file[1].z[None], count, axis=0)
        return latents_of_seeds([self.seed] * count, latent_dim, truncations, mode)

    def statistics(self, truncations: np.ndarray | None) -> np.ndarray:
        """Truncations [F] whose row of a table of statistics is used; [1] without truncation."""
        count = 1 if truncations is None else len(truncations)
        if self.file is not None:
            return np.full(count, self.file[1].truncation)
        return np.ones(1) if truncations is None else truncations

    def embedding(self, maker) -> np.ndarray | None:
        """What an `ImageMaker` mixes for its class; None of a model without classes."""
        if self.file is not None:
            weights = self.file[1].class_weights
            return None if weights is None else maker.embeddings(weights[None])[0]
        return None if self.label is None else maker.embeddings([self.label])[0]


def point_name(of_class: EndPoint, of_latents: EndPoint, lookup: ClassLookup) -> str:
    """How a user would write the image of one point's class and another point's z."""
    files = [os.path.basename(p.file[0]) if p.file else None for p in (of_class, of_latents)]
    if files[0] is not None and files[0] == files[1]:
        return files[0]
    name = files[0] or ("" if of_class.label is None else class_name(of_class.label, lookup))
    return f"{name}@{files[1] or of_latents.seed}"


def class_name(label: int, lookup: ClassLookup) -> str:
    """The first of a class's names; its index where it has none."""
    return lookup.class_names[label].split(",")[0] if lookup.class_names else str(label)


def parse_end_points(specification: str, lookup: ClassLookup) -> tuple[EndPoint, ...]:
    """The points of a text such as "tench, Tinca tinca@3,7@0,face.npz": names may have commas.

    Raises:
      ValueError: a point has another form, an unknown class or seed; or there is only one.
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
        len(points) > 1, f"`endpoints` must be two or more, each {FORM}", endpoints=specification
    )
    return tuple(points)


def _point(text: str, lookup: ClassLookup) -> EndPoint:
    if text.endswith(ENDING) and "@" not in os.path.basename(text):
        return EndPoint(file=(text, read_inverted(text)))
    name, _, seed = text.rpartition("@")
    seeds = parse_seeds(seed)
    checks.require(len(seeds) == 1, "an end point must have one seed", endpoints=text)
    conditional = lookup.num_classes > 0
    checks.require(
        bool(name.strip()) == conditional,
        "an end point must be class@seed" if conditional else "a model without classes takes @seed",
        endpoints=text,
    )
    if not conditional:
        return EndPoint(seed=seeds[0])
    labels = lookup.parse(name)
    checks.require(len(labels) == 1, "an end point must be of one class", endpoints=text)
    return EndPoint(labels[0], seeds[0])


def random_routes(
    num_rows: int,
    num_classes: int,
    labels: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    fix_z: bool = False,
    fix_y: bool = False,
) -> tuple[tuple[EndPoint, EndPoint], ...]:
    """Two ends for every row, each row the same whatever other rows there are.

    Args:
      num_classes: 0 for a model without classes.
      labels: classes that ends have in turn (with `fix_y` rows), all or as many as there are ends;
        None for random ones, different within a row.
      seeds: two a row, one with `fix_z`; None for all from 0.
      fix_z, fix_y: whether the ends of a row share their seed or class.

    Raises:
      ValueError: there are not as many seeds, or more classes than ends.
    """
    each = 1 if fix_z else 2
    seeds = range(each * num_rows) if seeds is None else seeds
    checks.require(
        len(seeds) == each * num_rows,
        f"there must be {each} of `seeds` for every row",
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
    """Two classes of a row that has `each` different ones."""
    checks.require(
        len(labels) in (num_classes, *range(each * num_rows + 1)),
        f"there must be at most as many `classes` as rows have ends, {each * num_rows}",
        classes=len(labels),
        num_rows=num_rows,
    )
    return tuple(labels[place % len(labels)] for place in (each * row, each * row + each - 1))


def _different(num_classes: int, seed: int) -> tuple[int, int]:
    """Two classes that a seed chooses, different where there are two."""
    random = np.random.RandomState(seed)
    first = random.randint(num_classes)
    return first, (first + random.randint(1, max(2, num_classes))) % num_classes
