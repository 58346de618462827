"""Which images are asked for: a seed and a class for each, and how they stand in a picture."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np

from tf_biggan import checks
from tf_biggan.cli.sample_settings import (
    ANIMATION,
    MOST_ROWS,
    NUM_PER_CLASS,
    SHEET,
    UNCONDITIONAL_IMAGES,
    SampleConfig,
)
from tf_biggan.cli.seeds import MAX_SEED, seeds_text
from tf_biggan.data.classes import ClassLookup
from tf_biggan.generation.class_mix import mix_weights, parse_class_mix
from tf_biggan.generation.end_points import class_name

COLUMNS = 10
LISTED_CLASSES = 10
OF_CLASSES = ("classes", "class_mix", "num_per_class")


@dataclasses.dataclass(frozen=True)
class ImageRequest:
    """Images in the order in which they are made.

    Attributes:
      seeds: int64 [N].
      labels: int32 [N]; None of a mixture or without classes.
      mix: class weights [num_classes] of all images; None where labels say it.
      columns: images in a row of a picture.
      row_labels: a name for each row of a picture, or None.
      description: JSON values that say which classes and seeds.
    """

    seeds: np.ndarray
    labels: np.ndarray | None
    mix: np.ndarray | None
    columns: int
    row_labels: tuple[str, ...] | None
    description: Mapping[str, object]

    def conditions(self, start: int, stop: int) -> np.ndarray | None:
        """Labels, or class weights [n, num_classes], of a part of the images."""
        if self.mix is not None:
            return np.repeat(self.mix[None], len(self.seeds[start:stop]), axis=0)
        return None if self.labels is None else self.labels[start:stop]

    def sha256(self) -> str:
        """A hash of seeds and classes in their order, which `description` does not tell."""
        parts = (self.seeds, self.labels, self.mix)
        rows = (b"none" if part is None else np.ascontiguousarray(part).tobytes() for part in parts)
        return hashlib.sha256(b"/".join(rows)).hexdigest()


def requested_images(config: SampleConfig, lookup: ClassLookup) -> ImageRequest:
    """The images that the settings ask for.

    Raises:
      ValueError: a class is unknown, the model has no classes, or seeds are too large.
    """
    given = {name: getattr(config, name) for name in OF_CLASSES if getattr(config, name)}
    checks.require(
        lookup.num_classes > 0 or not given,
        "a model without classes takes --num_images and --seeds alone; leave these out",
        **given,
    )
    in_picture = config.output_kind() in (SHEET, ANIMATION)
    if config.class_mix is not None:
        return _mixed(config, lookup)
    if lookup.num_classes == 0 or config.num_images is not None:
        return _each_once(config, _classes(config, lookup, lookup.num_classes), lookup)
    most = MOST_ROWS if in_picture else lookup.num_classes
    return _by_class(config, _classes(config, lookup, most), lookup, in_picture)


def _by_class(config, classes, lookup, in_picture):
    """Class after class, each with as many seeds."""
    seeds = _seeds(config, NUM_PER_CLASS)
    named = config.seeds is not None and config.num_per_class is None
    each = len(seeds)
    if in_picture or named or config.truncations is not None:
        all_seeds = np.tile(seeds, len(classes))
    else:
        # Rows of a picture are compared; images of a set should all differ.
        all_seeds = seeds[0] + np.arange(each * len(classes), dtype=np.int64)
    _check_seeds(all_seeds)
    rows = tuple(row_name(label, lookup) for label in classes)
    labels = np.repeat(np.array(classes, np.int32), each)
    described = describe_classes(classes, lookup)
    return ImageRequest(all_seeds, labels, None, each, rows, described | _described(all_seeds))


def _balanced(classes, count):
    """Labels [count], every class once in as many images as there are classes, in random order.

    Classes in turn would be all of one class to who takes every tenth image.
    """
    rounds = -(-count // len(classes))
    order = np.random.RandomState(0).random_sample((rounds, len(classes))).argsort(axis=1)
    return np.array(classes, np.int32)[order].ravel()[:count]


def _each_once(config, classes, lookup):
    """As many images as asked for, each with a seed of its own."""
    seeds = _seeds(config, config.num_images or UNCONDITIONAL_IMAGES)
    labels = _balanced(classes, len(seeds)) if classes else None
    described = describe_classes(classes, lookup) if classes else {}
    columns = min(COLUMNS, len(seeds))
    return ImageRequest(seeds, labels, None, columns, None, described | _described(seeds))


def _mixed(config, lookup):
    mix = parse_class_mix(config.class_mix, lookup)
    named = {row_name(label, lookup): weight for label, weight in mix.items()}
    seeds = _seeds(config, config.num_images or NUM_PER_CLASS)
    title = " + ".join(f"{name} {weight:.0%}" for name, weight in named.items())
    columns = min(COLUMNS, len(seeds)) if config.num_images else len(seeds)
    weights = mix_weights(mix, lookup.num_classes)
    described = {"class_mix": named} | _described(seeds)
    rows = None if columns < len(seeds) else (title,)
    return ImageRequest(seeds, None, weights, columns, rows, described)


def row_name(label: int, lookup: ClassLookup) -> str:
    """Index and first name of a class, or only its index."""
    name = class_name(label, lookup)
    return name if name == str(label) else f"{label} {name}"


def describe_classes(classes, lookup: ClassLookup) -> dict[str, object]:
    """The entry of a description that says which classes."""
    if len(classes) > LISTED_CLASSES:
        return {"classes": seeds_text(classes)}
    return {"classes": [lookup.label(label) for label in classes]}


def _classes(config, lookup, most):
    if config.classes is not None:
        return lookup.parse(config.classes)
    count = min(most, lookup.num_classes)
    spread = np.linspace(0, max(0, lookup.num_classes - 1), count).round()
    return tuple(int(label) for label in spread)


def _seeds(config, usual_count):
    """The seeds that are named, or as many from the first as asked for."""
    named = config.seed_list()
    count = config.num_images or config.num_per_class
    if config.truncations is not None:
        return np.array(named or (0,), np.int64)
    if named is not None and count is None:
        return np.array(named, np.int64)
    seeds = (named[0] if named else 0) + np.arange(count or usual_count, dtype=np.int64)
    _check_seeds(seeds)
    return seeds


def _check_seeds(seeds):
    checks.require(
        int(seeds.max()) <= MAX_SEED,
        f"seeds must lie from 0 to {MAX_SEED}, the last one too",
        last=int(seeds.max()),
    )


def _described(seeds):
    return {"seeds": seeds_text([int(seed) for seed in dict.fromkeys(seeds.tolist())])}
