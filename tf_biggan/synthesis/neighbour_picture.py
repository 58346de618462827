"""From the settings of the neighbours command to its picture and its table."""

from __future__ import annotations

import json
import os

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.classes import ClassLookup
from tf_biggan.data.source import Source
from tf_biggan.evaluation.cache import ArrayCache
from tf_biggan.evaluation.extractors import pixel_extractor
from tf_biggan.evaluation.features import FeatureExtraction
from tf_biggan.evaluation.image_sets import ArrayImages, ImageSet, SourceImages, open_images
from tf_biggan.evaluation.report import write_text
from tf_biggan.images import save_png, sheet, to_uint8
from tf_biggan.open_model import OpenedModel, open_model
from tf_biggan.reference import ReferenceChoice, cache_of, network
from tf_biggan.synthesis.captions import captioned
from tf_biggan.synthesis.description import as_text, describe, describe_latents
from tf_biggan.synthesis.end_points import EndPoint, point_name
from tf_biggan.synthesis.image_maker import ImageMaker, latents_of_seeds
from tf_biggan.synthesis.neighbour_search import Neighbours, find_neighbours
from tf_biggan.synthesis.neighbour_settings import (
    MOST_CLASSES,
    UNCONDITIONAL_SEEDS,
    NeighboursConfig,
)
from tf_biggan.synthesis.output_files import check_output_file
from tf_biggan.synthesis.seeds import parse_seeds

PIXELS = "pixels"
FEATURES_FOLDER = "features"
MOST_LINES = 20
SHOWN_IN_LINE = 3


def draw_neighbours(config: NeighboursConfig) -> None:
    """Finds, draws, tabulates and writes what the settings ask for.

    Raises:
      ValueError: something is unknown, missing or does not fit; nothing is written.
    """
    check_output_file(config.output, (".png",))
    opened = None
    if config.model is not None:
        opened = open_model(config.model, raw=config.raw, iteration=config.iteration)
    samples, names = _given(config, opened) if config.images else _made(config, opened)
    source = _reference_choice(config).open()
    height, width, channels = samples.image_shape
    reference = SourceImages(source, (height, width), channels, config.reference_images)
    if config.same_class:
        _require_same_classes(opened, samples, source)
    extraction = _extraction(config, source, reference)
    found = find_neighbours(
        samples, reference, extraction, config.num_neighbours, config.same_class
    )
    report = _report(config, opened, samples, names, source, reference, extraction, found)
    print(*_lines(report), sep="\n")
    page = _page(samples, names, reference, found)
    table = f"{os.path.splitext(config.output)[0]}.json"
    write_text(table, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    save_png(page, config.output, as_text({k: v for k, v in report.items() if k != "samples"}))
    print(f"Written: {config.output} (a sample, then the real images nearest to it), {table}")


def _made(config: NeighboursConfig, opened: OpenedModel) -> tuple[ImageSet, list[str]]:
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


def _given(config: NeighboursConfig, opened: OpenedModel | None) -> tuple[ImageSet, list[str]]:
    """(images from files, what they are called); of the model's size where there is a model."""
    size, channels = None, 3
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
    kept.cached, kept.class_names = False, images.class_names
    return kept, [f"image {index}" for index in range(kept.count)]


def _reference_choice(config) -> ReferenceChoice:
    return ReferenceChoice(
        config.reference, config.reference_split, config.data_dir, config.download, config.model
    )


def _require_same_classes(opened, samples: ImageSet, source: Source) -> None:
    classes = opened.generator.num_classes if opened else len(samples.class_names)
    checks.require(
        source.num_classes > 0 and classes in (0, source.num_classes),
        "--same_class needs samples and a reference of the same classes",
        classes=classes,
        reference_classes=source.num_classes,
    )


def _extraction(config: NeighboursConfig, source, reference) -> FeatureExtraction:
    strategy, cache = tf.distribute.get_strategy(), cache_of(config.feature_cache)
    kind = config.extractor or ("inception" if config.inception_weights else "classifier")
    if kind == PIXELS:
        return FeatureExtraction(pixel_extractor(), strategy, config.batch_size, ArrayCache(None))
    extractor = network(
        kind,
        source,
        reference,
        strategy,
        cache=cache,
        layer=config.layer,
        inception_weights=config.inception_weights,
    )
    features = None if cache is None else os.path.join(cache, FEATURES_FOLDER)
    return FeatureExtraction(extractor, strategy, config.batch_size, ArrayCache(features))


def _report(
    config, opened, samples, names, source, reference, extraction, found: Neighbours
) -> dict[str, object]:
    """What the JSON file says."""
    made = (
        {}
        if config.images
        else describe_latents(config.truncation_ends()[0], config.truncation_mode)
    )
    settings = {
        "reference": reference.name,
        "reference_images": reference.count,
        "distance": f"Euclidean, {extraction.extractor.name}",
        "same_class": config.same_class,
        "median_distance": _median(found.distances[:, 0]),
        "median_distance_between_real_images": _median(found.real_distances),
        **made,
    }
    described = settings if opened is None else describe(opened, settings)
    rows = [
        {
            "sample": name,
            "neighbours": [
                {
                    "index": int(reference.indices[row]),
                    "place": source.locate(int(reference.indices[row])),
                    "class": _class_of(reference, row),
                    "distance": float(distance),
                }
                for row, distance in zip(found.rows[number], found.distances[number], strict=True)
                if row >= 0
            ],
        }
        for number, name in enumerate(names)
    ]
    return {**described, "images": samples.name, "samples": rows}


def _median(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def _class_of(reference: ImageSet, row: int) -> str:
    if reference.labels is None or row < 0:
        return ""
    label = int(reference.labels[row])
    return reference.class_names[label].split(",")[0] if reference.class_names else str(label)


def _lines(report) -> list[str]:
    lines = []
    for sample in report["samples"][:MOST_LINES]:
        nearest = ", ".join(
            f"{n['place']} ({n['class']}) {n['distance']:#.4g}"
            if n["class"]
            else f"{n['place']} {n['distance']:#.4g}"
            for n in sample["neighbours"][:SHOWN_IN_LINE]
        )
        lines.append(f"{sample['sample']}: {nearest}")
    more = len(report["samples"]) - MOST_LINES
    lines += [f"and {more:,} more"] if more > 0 else []
    medians = report["median_distance"], report["median_distance_between_real_images"]
    if None not in medians:
        lines.append(
            f"Median distance to the nearest real image: {medians[0]:#.4g}; from a real image to"
            f" the nearest other one: {medians[1]:#.4g} ({report['distance']})"
        )
    return lines


def _page(samples: ImageSet, names, reference: SourceImages, found: Neighbours):
    """Rows of a sample and its neighbours, with distances and classes below."""
    pixels = np.concatenate(list(samples.batches(samples.count)))
    k = found.rows.shape[1]
    beside = np.full((samples.count, k, *pixels.shape[1:]), 255, np.uint8)
    there = found.rows >= 0
    beside[there] = reference.take(found.rows[there])
    cells = np.concatenate([pixels[:, None], beside], axis=1)
    captions = []
    for number, name in enumerate(names):
        captions.append([name, ""])
        for row, distance in zip(found.rows[number], found.distances[number], strict=True):
            captions.append(
                [f"{distance:#.4g}", _class_of(reference, row)] if row >= 0 else ["", ""]
            )
    large = captioned(cells.reshape(-1, *pixels.shape[1:]), captions)
    return sheet(large, columns=k + 1, smallest_cell=1)
