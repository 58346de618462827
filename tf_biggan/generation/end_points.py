"""End points of interpolations: parsed from text such as "tench@3,face.npz", or random."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from tf_biggan import checks
from tf_biggan.cli.seeds_and_truncations import parse_seeds
from tf_biggan.data.classes import ClassLookup
from tf_biggan.generation.inversion import ENDING, InvertedImage, read_inverted
from tf_biggan.generation.latents import latents_of_seeds

FORM = "class@seed (@seed for a model without classes) or an .npz file that `invert` wrote"


@dataclasses.dataclass(frozen=True)
class EndPoint:
    """One image that an interpolation starts from or leads to.

    Attributes:
      label: Class; None if the model has no classes or the point comes from a file.
      seed: Seed of the latents; None if the point comes from a file.
      file: Path of a file that `invert` wrote and its content, or None.
    """

    label: int | None = None
    seed: int | None = None
    file: tuple[str, InvertedImage] | None = None

    def latents(self, truncations: np.ndarray | None, latent_dim: int, mode: str) -> np.ndarray:
        """Returns the point's latents at truncations [F], float32 [F, latent_dim].

        Latents from a file are the same at each truncation.

        Args:
          truncations: One truncation for each frame; None for one frame without truncation.
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
        """Returns the class embedding [E] by an `ImageMaker`; None if there are no classes."""
        if self.file is not None:
            weights = self.file[1].class_weights
            return None if weights is None else maker.embeddings(weights[None])[0]
        return None if self.label is None else maker.embeddings([self.label])[0]


def point_name(of_class: EndPoint, of_latents: EndPoint, lookup: ClassLookup) -> str:
    """Returns the name, such as "tench@3", of an image with one point's class and another's z."""
    files = [os.path.basename(p.file[0]) if p.file else None for p in (of_class, of_latents)]
    if files[0] is not None and files[0] == files[1]:
        return files[0]
    name = files[0] or ("" if of_class.label is None else class_name(of_class.label, lookup))
    return f"{name}@{files[1] or of_latents.seed}"


def class_name(label: int, lookup: ClassLookup) -> str:
    """Returns the first name of a class, or its index as text if it has no name."""
    return lookup.class_names[label].split(",")[0] if lookup.class_names else str(label)


def parse_end_points(specification: str, lookup: ClassLookup) -> tuple[EndPoint, ...]:
    """Parses end points such as "tench, Tinca tinca@3,7@0,face.npz"; names may contain commas.

    Args:
      specification: End points, separated by commas.
      lookup: Classes of the model.

    Raises:
      ValueError: A point has another form or an unknown class or seed, or there is only one point.
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
    """Returns two end points for each row. A row does not depend on the number of rows.

    Args:
      num_rows: Number of rows.
      num_classes: Number of classes of the model, 0 if it is unconditional.
      labels: Classes that are assigned to the end points in turn (with `fix_y`, to the rows), at
        most one for each; None for random classes, which differ within a row.
      seeds: Two seeds for each row, or one with `fix_z`; None for 0, 1, 2 and so on.
      fix_z, fix_y: Whether both end points of a row share the seed or the class.

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
    """Returns both classes of a row that has `each` different classes."""
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
