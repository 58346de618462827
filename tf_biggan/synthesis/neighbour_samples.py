"""The images whose neighbours are looked for: samples of a model, or images from files."""

from __future__ import annotations

import os

import numpy as np

from tf_biggan import checks
from tf_biggan.classes import ClassLookup
from tf_biggan.evaluation.image_sets import ArrayImages, ImageSet, open_images
from tf_biggan.images import to_uint8
from tf_biggan.open_model import OpenedModel
from tf_biggan.synthesis.end_points import EndPoint, point_name
from tf_biggan.synthesis.image_maker import ImageMaker, latents_of_seeds
from tf_biggan.synthesis.neighbour_settings import (
    MOST_CLASSES,
    UNCONDITIONAL_SEEDS,
    NeighboursConfig,
)
from tf_biggan.synthesis.seeds import parse_seeds

RGB = 3


def made_samples(config: NeighboursConfig, opened: OpenedModel) -> tuple[ImageSet, list[str]]:
    """(samples of the model, what they are called): every seed of every class."""
    generator = opened.generator
    lookup = ClassLookup(opened.class_names, generator.num_classes)
    checks.require(
        lookup.num_classes > 0 or config.classes is None,
        "a model without classes takes no --classes",
        classes=config.classes,
    )
    seeds = parse_seeds(config.seeds or ("0" if lookup.num_classes else UNCONDITIONAL_SEEDS))
    if config.classes:
        labels = lookup.parse(config.classes)
    else:
        labels = range(min(MOST_CLASSES, lookup.num_classes))
    points = [EndPoint(label, seed) for label in (labels or (None,)) for seed in seeds]
    truncation = config.truncation_ends()[0]
    z = latents_of_seeds(
        [point.seed for point in points], generator.latent_dim, truncation, config.truncation_mode
    )
    of_points = [point.label for point in points] if lookup.num_classes else None
    maker = ImageMaker(generator, config.batch_size)
    statistics = truncation if config.bn == "table" else None
    pixels = to_uint8(maker.images(z, maker.embeddings(of_points), statistics))
    samples = ArrayImages("samples", pixels, of_points)
    samples.class_names, samples.cached = opened.class_names, False
    return samples, [point_name(point, point, lookup) for point in points]


def given_images(
    config: NeighboursConfig, opened: OpenedModel | None
) -> tuple[ImageSet, list[str]]:
    """(images from files, what they are called); of the model's size where there is a model."""
    size, channels = None, RGB
    if opened is not None:
        size, channels = opened.generator.image_size, opened.generator.image_channels
    images = open_images(config.images, size, channels, config.num_images)
    checks.require(
        opened is None or images.image_shape == (*size, channels),
        "images must have the size of the model's",
        images=images.image_shape,
        model=(*(size or ()), channels),
    )
    kept = ArrayImages(
        images.name, np.concatenate(list(images.batches(config.batch_size))), images.labels
    )
    kept.cached, kept.class_names, kept.notes = False, images.class_names, images.notes
    places = [images.place(number) for number in range(images.count)]
    if os.path.isdir(config.images):
        places = [os.path.relpath(place, config.images) for place in places]
    return kept, places
