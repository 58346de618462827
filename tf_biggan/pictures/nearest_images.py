"""The neighbours command: shows the real images nearest to samples, to check for memorisation."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from tf_biggan import checks
from tf_biggan.cli.neighbours_settings import MOST_CLASSES, UNCONDITIONAL_SEEDS, NeighboursConfig
from tf_biggan.cli.seeds_and_truncations import parse_seeds
from tf_biggan.data.classes import ClassLookup, match_classes, name_differences
from tf_biggan.data.source import Source
from tf_biggan.evaluation.comparison import BY_INDEX, Comparison, cache_of, open_real_images
from tf_biggan.evaluation.features.extraction import ArrayCache, FeatureExtraction
from tf_biggan.evaluation.features.extractors import FEATURES, pixel_extractor
from tf_biggan.evaluation.features.image_sets import (
    ArrayImages,
    ImageSet,
    SourceImages,
    open_images,
)
from tf_biggan.evaluation.scores.feature_scores import NearestRows, blocks
from tf_biggan.files import file_system
from tf_biggan.files.atomic import write_text
from tf_biggan.files.png import save_png, to_uint8
from tf_biggan.generation.interpolation_paths import EndPoint, point_name
from tf_biggan.pictures.model_and_output import (
    as_text,
    check_output_file,
    describe,
    describe_latents,
    image_maker_of,
    open_model_of,
)
from tf_biggan.pictures.sheets_and_animations import captioned, sheet
from tf_biggan.store.opened_model import OpenedModel

RGB = 3
# Reference features up to this size are kept in memory and cached; larger ones are streamed.
HELD_BYTES = 1 << 30
# Number of real images whose distance to the nearest other real image is measured for comparison.
PROBES = 100
MOST_LINES = 20
SHOWN_IN_LINE = 3
PIXELS = "pixels"
TABLE_ENDING = ".json"


def made_samples(config: NeighboursConfig, opened: OpenedModel) -> tuple[ImageSet, list[str]]:
    """Generates an image for each combination of a class and a seed in the settings.

    Returns:
      The images, and a name for each image.

    Raises:
      ValueError: The settings do not fit the model.
    """
    generator = opened.generator
    lookup = ClassLookup(opened.class_names, generator.num_classes)
    checks.require(
        lookup.num_classes > 0 or config.classes is None,
        "this model has no classes; leave out --classes",
        classes=config.classes,
    )
    seeds = parse_seeds(config.seeds or ("0" if lookup.num_classes else UNCONDITIONAL_SEEDS))
    if config.classes:
        labels = lookup.parse(config.classes)
    else:
        labels = range(min(MOST_CLASSES, lookup.num_classes))
    points = [EndPoint(label, seed) for label in (labels or (None,)) for seed in seeds]
    truncation = config.truncation
    of_points = [point.label for point in points] if lookup.num_classes else None
    made = image_maker_of(config, opened).sampled_batches(
        [point.seed for point in points], 0, of_points, truncation
    )
    pixels = to_uint8(np.concatenate(list(made)))
    samples = ArrayImages("samples", pixels, of_points)
    samples.class_names, samples.cached = opened.class_names, False
    return samples, [point_name(point, point, lookup) for point in points]


def given_images(
    config: NeighboursConfig, opened: OpenedModel | None
) -> tuple[ImageSet, list[str]]:
    """Reads the images of `config.images`, at the size of the model's images if a model is given.

    Returns:
      The images, and the file or number of each image.

    Raises:
      ValueError: The images do not have the size and channels of the model's images.
    """
    size, channels = None, RGB
    if opened is not None:
        size, channels = opened.generator.image_size, opened.generator.image_channels
    images = open_images(config.images, size, channels, config.num_images)
    checks.require(
        opened is None or images.image_shape == (*size, channels),
        "`images` must have the size and channels of the model's images; use other images or leave"
        " out --model",
        images=images.image_shape,
        model=(*(size or ()), channels),
    )
    kept = ArrayImages(
        images.name, np.concatenate(list(images.batches(config.batch_size))), images.labels
    )
    kept.cached, kept.class_names, kept.notes = False, images.class_names, images.notes
    places = [images.place(number) for number in range(images.count)]
    if file_system.isdir(config.images):
        places = [os.path.relpath(place, config.images) for place in places]
    return kept, places


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The k nearest reference images of N samples.

    Attributes:
      rows: Positions of the neighbours in the reference, nearest first, int64 [N, k]; -1 for
        missing neighbours.
      distances: Feature distances, float64 [N, k]; infinite for missing neighbours.
      real_distances: Distances from some real images to the nearest other real image, float64 [P].
    """

    rows: np.ndarray
    distances: np.ndarray
    real_distances: np.ndarray


def find_neighbours(
    samples: ImageSet,
    reference: SourceImages,
    extraction: FeatureExtraction,
    k: int,
    same_class: bool = False,
) -> Neighbours:
    """Finds the `k` reference images that are nearest to each sample.

    The reference is read in batches, so that it does not need to fit into memory.

    Args:
      samples: Images whose neighbours are searched.
      reference: Real images.
      extraction: Feature extractor that defines the distance.
      k: Number of neighbours of each sample.
      same_class: Whether only images of the sample's class are searched.

    Raises:
      ValueError: `same_class` is set, but the samples or the reference have no classes. Or features
        cannot be computed.
    """
    checks.require(
        not same_class or (samples.labels is not None and reference.labels is not None),
        "--same_class needs samples and a reference with classes",
        samples=samples.name,
        reference=reference.name,
    )
    probes = np.unique(np.linspace(0, reference.count - 1, PROBES).astype(np.int64))
    real = ArrayImages("real images", reference.take(probes))
    real.cached = False
    queries = np.concatenate([extraction.of(images).features for images in (samples, real)])
    labels = None
    if same_class:
        labels = np.concatenate([samples.labels, reference.labels[probes]])
    excluded = np.concatenate([np.full(samples.count, -1), probes])
    nearest = NearestRows(queries, k, labels, excluded)
    start = 0
    for block in _feature_blocks(reference, extraction, queries.shape[1]):
        here = slice(start, start + len(block))
        nearest.add(block, reference.labels[here] if same_class else None)
        start = here.stop
    split = samples.count
    beside = nearest.distances[split:, 0]
    return Neighbours(nearest.rows[:split], nearest.distances[:split], beside[np.isfinite(beside)])


def _feature_blocks(
    images: ImageSet, extraction: FeatureExtraction, dim: int
) -> Iterator[np.ndarray]:
    if images.count * dim * np.dtype(np.float32).itemsize <= HELD_BYTES:
        for _, block in blocks(extraction.of(images).features):
            yield block
        return
    for made in extraction.batches(images):
        yield made[FEATURES]


def table_rows(
    names: Sequence[str], source: Source, reference: SourceImages, found: Neighbours
) -> list[dict[str, object]]:
    """Returns JSON values for each sample: its name, and its neighbours with their distances.

    Args:
      names: Name of each sample.
      source: Data source of the reference. The index of a neighbour is its index in this source.
      reference: Real images.
      found: Neighbours of the samples.
    """
    return [
        {
            "sample": name,
            "neighbours": [
                {
                    "index": int(reference.indices[row]),
                    "place": source.locate(int(reference.indices[row])),
                    "class": class_of(reference, row),
                    "distance": float(distance),
                }
                for row, distance in zip(found.rows[number], found.distances[number], strict=True)
                if row >= 0
            ],
        }
        for number, name in enumerate(names)
    ]


def medians(found: Neighbours) -> dict[str, float | None]:
    """Returns two median distances, None if unknown, to the nearest real image.

    One is the distance from a sample, the other from a real image to the nearest other real image.
    """
    return {
        "median_distance": _median(found.distances[:, 0]),
        "median_distance_between_real_images": _median(found.real_distances),
    }


def _median(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def class_of(reference: SourceImages, row: int) -> str:
    """Returns the first name of an image's class, or its index as text; "" if it is unknown."""
    if reference.labels is None or row < 0:
        return ""
    label = int(reference.labels[row])
    return reference.class_names[label].split(",")[0] if reference.class_names else str(label)


def table_lines(report: Mapping[str, object]) -> list[str]:
    """Returns lines to print: neighbours of the first samples, and median distances."""
    lines = []
    for sample in report["neighbours"][:MOST_LINES]:
        nearest = ", ".join(
            f"{n['place']} ({n['class']}) {n['distance']:#.4g}"
            if n["class"]
            else f"{n['place']} {n['distance']:#.4g}"
            for n in sample["neighbours"][:SHOWN_IN_LINE]
        )
        lines.append(f"{sample['sample']}: {nearest}")
    more = len(report["neighbours"]) - MOST_LINES
    lines += [f"and {more:,} more"] if more > 0 else []
    both = report["median_distance"], report["median_distance_between_real_images"]
    if None not in both:
        lines.append(
            f"Median distance to the nearest real image: {both[0]:#.4g}; from a real image to"
            f" the nearest other one: {both[1]:#.4g} ({report['distance']})"
        )
    return lines


DISTANCES = {PIXELS: "root mean square difference of pixels, from 0 to 255"}


def draw_neighbours(config: NeighboursConfig) -> None:
    """Finds neighbours as the settings say and writes a picture and a JSON file.

    Raises:
      ValueError: A setting does not fit the model, the images or the reference; nothing is written.
    """
    table = f"{os.path.splitext(config.output)[0]}{TABLE_ENDING}"
    check_output_file(config.output, (".png",))
    check_output_file(table, (TABLE_ENDING,))
    opened = None
    if config.model is not None:
        opened = open_model_of(config)
    source = open_real_images(
        config.reference, config.reference_split, config.data_dir, config.download, config.model
    )
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
        settings |= describe_latents(config.truncation, config.truncation_mode)
    described = settings if opened is None else describe(opened, settings)
    report = {**described, "neighbours": table_rows(names, source, reference, found)}
    print(*samples.notes, *reference.notes, *notes, *table_lines(report), sep="\n")
    page = neighbours_sheet(samples, names, reference, found)
    write_text(table, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    save_png(page, config.output, as_text(described))
    print(f"Written: {config.output} (each row: a sample and its nearest real images), {table}")


def _with_labels_of(source: Source, samples: ImageSet) -> tuple[str, ...]:
    """Replaces the samples' labels by the reference's labels of the same classes. Returns notes.

    Raises:
      ValueError: The samples or the reference have no classes, or the reference lacks a class of
        the samples.
    """
    checks.require(
        source.num_classes > 0 and samples.labels is not None,
        "--same_class needs samples and a reference with classes",
        samples=samples.name,
        reference_classes=source.num_classes,
    )
    names, others = samples.class_names, source.class_names
    if not names:
        largest = int(samples.labels.max())
        checks.require(
            largest < source.num_classes,
            "--same_class needs a reference that has all classes of the samples",
            largest_label=largest,
            reference_classes=source.num_classes,
        )
        return (BY_INDEX,)
    matched = np.array(match_classes(names, others), np.int32)[samples.labels]
    checks.require(
        bool((matched >= 0).all()),
        "--same_class needs a reference that has all classes of the samples;"
        f" {name_differences(names, others, 'the samples', 'the reference')}",
        reference=source.name,
    )
    samples.labels = matched
    return ()


def _extraction(config: NeighboursConfig, source, reference) -> FeatureExtraction:
    strategy = tf.distribute.get_strategy()
    kind = config.extractor or ("inception" if config.inception_weights else "classifier")
    if kind == PIXELS:
        return FeatureExtraction(pixel_extractor(), strategy, config.batch_size, ArrayCache(None))
    comparison = Comparison(
        strategy,
        source,
        reference,
        cache_of(config.feature_cache),
        config.batch_size,
        config.layer,
        config.inception_weights,
    )
    return comparison.extraction(kind)


def neighbours_sheet(
    samples: ImageSet, names: Sequence[str], reference: SourceImages, found: Neighbours
) -> Image.Image:
    """Returns a sheet with each sample and its neighbours in a row, with captions."""
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
