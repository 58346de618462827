"""From the settings of the neighbours command to its picture and its table."""

from __future__ import annotations

import json
import os

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.classes import match_classes, name_differences
from tf_biggan.data.source import Source
from tf_biggan.evaluation.cache import ArrayCache
from tf_biggan.evaluation.extractors import pixel_extractor
from tf_biggan.evaluation.features import FeatureExtraction
from tf_biggan.evaluation.image_sets import ImageSet, SourceImages
from tf_biggan.evaluation.matched_labels import BY_INDEX
from tf_biggan.evaluation.networks import named_network
from tf_biggan.evaluation.report import write_text
from tf_biggan.images import save_png, sheet
from tf_biggan.reference import ReferenceChoice, cache_of
from tf_biggan.synthesis.captions import captioned
from tf_biggan.synthesis.description import as_text, describe, describe_latents
from tf_biggan.synthesis.drawing_model import open_drawing_model
from tf_biggan.synthesis.neighbour_samples import given_images, made_samples
from tf_biggan.synthesis.neighbour_search import Neighbours, find_neighbours
from tf_biggan.synthesis.neighbour_settings import NeighboursConfig
from tf_biggan.synthesis.neighbour_table import class_of, medians, table_lines, table_rows
from tf_biggan.synthesis.output_files import check_output_file

PIXELS = "pixels"
DISTANCES = {PIXELS: "root mean square of pixels, of 255"}
FEATURES_FOLDER = "features"
TABLE_ENDING = ".json"


def draw_neighbours(config: NeighboursConfig) -> None:
    """Finds, draws, tabulates and writes what the settings ask for.

    Raises:
      ValueError: something is unknown, missing or does not fit; nothing is written.
    """
    table = f"{os.path.splitext(config.output)[0]}{TABLE_ENDING}"
    check_output_file(config.output, (".png",))
    check_output_file(table, (TABLE_ENDING,))
    opened = None
    if config.model is not None:
        opened = open_drawing_model(config)
    source = _reference_choice(config).open()
    samples, names = given_images(config, opened) if config.images else made_samples(config, opened)
    height, width, channels = samples.image_shape
    reference = SourceImages(source, (height, width), channels, config.reference_images)
    notes = _with_labels_of(source, samples) if config.same_class else ()
    extraction = _extraction(config, source, reference)
    found = find_neighbours(
        samples, reference, extraction, config.num_neighbours, config.same_class
    )
    settings = {
        "reference": reference.name,
        "reference_images": reference.count,
        "distance": DISTANCES.get(extraction.extractor.name, extraction.extractor.name),
        "same_class": config.same_class,
        "images": samples.name,
        "samples": names,
        **medians(found),
    }
    if config.images is None:
        settings |= describe_latents(config.truncation_ends()[0], config.truncation_mode)
    described = settings if opened is None else describe(opened, settings)
    report = {**described, "neighbours": table_rows(names, source, reference, found)}
    print(*samples.notes, *reference.notes, *notes, *table_lines(report), sep="\n")
    page = _page(samples, names, reference, found)
    write_text(table, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    save_png(page, config.output, as_text(described))
    print(f"Written: {config.output} (a sample, then the real images nearest to it), {table}")


def _reference_choice(config) -> ReferenceChoice:
    return ReferenceChoice(
        config.reference, config.reference_split, config.data_dir, config.download, config.model
    )


def _with_labels_of(source: Source, samples: ImageSet) -> tuple[str, ...]:
    """Gives samples the labels that the reference has for their classes; returns notes on it.

    Raises:
      ValueError: one side has no classes, or the reference lacks a class of the samples.
    """
    checks.require(
        source.num_classes > 0 and samples.labels is not None,
        "--same_class needs samples and a reference of known classes",
        samples=samples.name,
        reference_classes=source.num_classes,
    )
    names, others = samples.class_names, source.class_names
    if not names:
        largest = int(samples.labels.max())
        checks.require(
            largest < source.num_classes,
            "--same_class needs samples of the reference's classes",
            largest_label=largest,
            reference_classes=source.num_classes,
        )
        return (BY_INDEX,)
    matched = np.array(match_classes(names, others), np.int32)[samples.labels]
    checks.require(
        bool((matched >= 0).all()),
        "--same_class needs samples of the reference's classes;"
        f" {name_differences(names, others, 'the samples', 'the reference')}",
        reference=source.name,
    )
    samples.labels = matched
    return ()


def _extraction(config: NeighboursConfig, source, reference) -> FeatureExtraction:
    strategy, cache = tf.distribute.get_strategy(), cache_of(config.feature_cache)
    kind = config.extractor or ("inception" if config.inception_weights else "classifier")
    if kind == PIXELS:
        return FeatureExtraction(pixel_extractor(), strategy, config.batch_size, ArrayCache(None))
    extractor = named_network(
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
        captions.append([*reversed(os.path.split(name))])
        for row, distance in zip(found.rows[number], found.distances[number], strict=True):
            captions.append(
                [f"{distance:#.4g}", class_of(reference, row)] if row >= 0 else ["", ""]
            )
    large = captioned(cells.reshape(-1, *pixels.shape[1:]), captions)
    return sheet(large, columns=k + 1, smallest_cell=1)
