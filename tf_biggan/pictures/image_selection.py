"""Selects the images of the sample command: their seeds, their classes and the rows of a sheet."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from collections.abc import Mapping

import numpy as np

from tf_biggan import checks
from tf_biggan.cli.sample_settings import (
    MOST_ROWS,
    NUM_PER_CLASS,
    UNCONDITIONAL_IMAGES,
    SampleConfig,
)
from tf_biggan.cli.seeds_and_truncations import MAX_SEED, seeds_text
from tf_biggan.data.classes import ClassLookup, class_name

COLUMNS = 10
LISTED_CLASSES = 10
OF_CLASSES = ("classes", "class_mix", "num_per_class")
# Names may contain commas and colons. A weight follows the last colon before a comma.
_ENTRY = re.compile(r"\s*(.+?)\s*:\s*([^,:]+?)\s*(?:,|$)")
FORM = "`class_mix` must be classes with weights above 0, such as tench:0.5,goldfish:0.5"


@dataclasses.dataclass(frozen=True)
class ImageSelection:
    """Seeds and classes of N images in order, and their layout in a picture.

    Attributes:
      seeds: Seed of each image, int64 [N].
      labels: Class of each image, int32 [N]; None for a mixture or a model without classes.
      mix: Class weights that all images share, float32 [num_classes]; None without a mixture.
      columns: Number of images in a row of the picture.
      row_labels: Name of each row, or None.
      description: JSON values that describe the classes and seeds.
    """

    seeds: np.ndarray
    labels: np.ndarray | None
    mix: np.ndarray | None
    columns: int
    row_labels: tuple[str, ...] | None
    description: Mapping[str, object]

    def conditions(self, start: int, stop: int) -> np.ndarray | None:
        """Returns the labels or class weights of the images from `start` to before `stop`.

        Returns:
          Labels [n], or class weights [n, num_classes] for a mixture; None for a model without
          classes.
        """
        if self.mix is not None:
            return np.repeat(self.mix[None], len(self.seeds[start:stop]), axis=0)
        return None if self.labels is None else self.labels[start:stop]

    def sha256(self) -> str:
        """Returns a hash of all seeds and classes in order; `description` lacks the order."""
        parts = (self.seeds, self.labels, self.mix)
        rows = (b"none" if part is None else np.ascontiguousarray(part).tobytes() for part in parts)
        return hashlib.sha256(b"/".join(rows)).hexdigest()


def selected_images(
    config: SampleConfig, lookup: ClassLookup, in_picture: bool = True
) -> ImageSelection:
    """Returns the images that the settings of the sample command select.

    Args:
      config: Settings of the command.
      lookup: Classes of the model.
      in_picture: Whether the images are shown in one picture. This matters only for a model with
        classes, if the settings name neither `num_images` nor `class_mix`. A picture has a row for
        each of a few classes, and all rows have the same seeds, so that classes can be compared. A
        set of images contains all classes, and each image has its own seed. If the settings name
        `seeds` without `num_per_class`, however, every class has these seeds. If the settings name
        `classes`, only these classes are shown, in a picture as well as in a set.

    Raises:
      ValueError: A class is unknown, classes are given for a model without classes, or a seed is
        too large.
    """
    given = {name: getattr(config, name) for name in OF_CLASSES if getattr(config, name)}
    checks.require(
        lookup.num_classes > 0 or not given,
        "this model has no classes; leave out these flags and use --num_images and --seeds",
        **given,
    )
    named = config.seed_list()
    labels = mix = rows = None
    if config.class_mix is not None:
        weights = parse_class_mix(config.class_mix, lookup)
        by_name = {row_name(label, lookup): weight for label, weight in weights.items()}
        seeds = _seeds(config, named, config.num_images or NUM_PER_CLASS)
        columns = min(COLUMNS, len(seeds)) if config.num_images else len(seeds)
        mix = mix_weights(weights, lookup.num_classes)
        if columns == len(seeds):
            rows = (" + ".join(f"{name} {weight:.0%}" for name, weight in by_name.items()),)
        described = {"class_mix": by_name}
    elif lookup.num_classes == 0 or config.num_images is not None:
        classes = _classes(config, lookup, lookup.num_classes)
        seeds = _seeds(config, named, config.num_images or UNCONDITIONAL_IMAGES)
        columns = min(COLUMNS, len(seeds))
        labels = _balanced(classes, len(seeds)) if classes else None
        described = describe_classes(classes, lookup) if classes else {}
    else:
        classes = _classes(config, lookup, MOST_ROWS if in_picture else lookup.num_classes)
        of_class = _seeds(config, named, NUM_PER_CLASS)
        columns = len(of_class)
        for_every_class = named is not None and config.num_per_class is None
        if in_picture or for_every_class:
            seeds = np.tile(of_class, len(classes))
        else:
            seeds = of_class[0] + np.arange(columns * len(classes), dtype=np.int64)
        labels = np.repeat(np.array(classes, np.int32), columns)
        rows = tuple(row_name(label, lookup) for label in classes)
        described = describe_classes(classes, lookup)
    _check_seeds(seeds)
    described["seeds"] = seeds_text([int(seed) for seed in dict.fromkeys(seeds.tolist())])
    return ImageSelection(seeds, labels, mix, columns, rows, described)


def _balanced(classes, count):
    """Returns labels [count] that contain each class equally often, shuffled.

    The labels are shuffled, because readers that take every tenth image would otherwise see a
    single class.
    """
    rounds = -(-count // len(classes))
    order = np.random.RandomState(0).random_sample((rounds, len(classes))).argsort(axis=1)
    return np.array(classes, np.int32)[order].ravel()[:count]


def row_name(label: int, lookup: ClassLookup) -> str:
    """Returns the index and first name of a class, or only its index if it has no name."""
    name = class_name(label, lookup)
    return name if name == str(label) else f"{label} {name}"


def describe_classes(classes, lookup: ClassLookup) -> dict[str, object]:
    """Returns the entry of a description that lists classes."""
    if len(classes) > LISTED_CLASSES:
        return {"classes": seeds_text(classes)}
    return {"classes": [lookup.label(label) for label in classes]}


def _classes(config, lookup, most):
    if config.classes is not None:
        return lookup.parse(config.classes)
    count = min(most, lookup.num_classes)
    spread = np.linspace(0, max(0, lookup.num_classes - 1), count).round()
    return tuple(int(label) for label in spread)


def _seeds(config, named, usual_count):
    """Returns the seeds that the settings name, or consecutive seeds.

    Consecutive seeds begin at the first seed that the settings name, by default at 0.
    """
    count = config.num_images or config.num_per_class
    if config.truncations is not None:
        return np.array(named or (0,), np.int64)
    if named is not None and count is None:
        return np.array(named, np.int64)
    return (named[0] if named else 0) + np.arange(count or usual_count, dtype=np.int64)


def _check_seeds(seeds):
    checks.require(
        int(seeds.max()) <= MAX_SEED,
        f"`seeds` must be from 0 to {MAX_SEED}; use a smaller first seed or fewer images",
        last=int(seeds.max()),
    )


def parse_class_mix(specification: str, lookup: ClassLookup) -> dict[int, float]:
    """Parses a mixture of classes such as "tench:0.5,goldfish:0.5".

    Returns:
      The weight of each class, in the order of the text. The sum of the weights is 1.

    Raises:
      ValueError: The text does not have the form CLASS:WEIGHT,CLASS:WEIGHT. Or a weight is not
        above 0. Or a class is unknown or occurs twice.
    """
    entries, end = [], 0
    for match in _ENTRY.finditer(specification):
        checks.require(match.start() == end, FORM, class_mix=specification)
        entries.append(match.groups())
        end = match.end()
    checks.require(bool(entries) and end == len(specification), FORM, class_mix=specification)
    weights: dict[int, float] = {}
    for name, weight in entries:
        classes = lookup.parse(name)
        checks.require(
            len(classes) == 1, f"{FORM}; give every class its own weight", class_mix=name
        )
        checks.require(
            classes[0] not in weights, "`class_mix` must not name a class twice", class_mix=name
        )
        weights[classes[0]] = _weight(weight, specification)
    total = sum(weights.values())
    return {index: weight / total for index, weight in weights.items()}


def mix_weights(mix: Mapping[int, float], num_classes: int) -> np.ndarray:
    """Returns a mixture as class weights, float32 [num_classes]."""
    weights = np.zeros(num_classes, np.float32)
    weights[list(mix)] = list(mix.values())
    return weights


def _weight(text: str, specification: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    checks.require(0 < value < math.inf, FORM, class_mix=specification)
    return value
