"""Checks for ten classic mistakes of GAN training, from facts that are known before a run.

Some of the facts come from a survey of the stored images: their sizes, colours and duplicates.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.data.decoding import naming_unreadable
from tf_biggan.data.source import Source

# Bounds from experience; BigGAN's own settings stay far from them.
FEW_OF_A_CLASS = 50
MOST_OF_ONE_CLASS = 0.9
SMALL_BATCH = 8
FEW_EVALUATION_IMAGES = 1000
NAMED = 3
# Besides `keep_checkpoints`, a run with evaluations keeps the best checkpoint by each of two
# scores. One more checkpoint exists while it is written.
MORE_CHECKPOINTS = 3
MOST_IMAGES = 1000
RGB = 3


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about a run that the checks examine.

    Attributes:
      config: The configuration, with its number of classes.
      class_names: Names of the data's classes; empty if there are none.
      images_per_class: Number of images of each class, without held-out images; empty for an
        unconditional model.
      num_images: Number of images to train on, without held-out images.
      survey: What a survey of some images found.
      shorter_side: Shorter side of the model's images in pixels.
      replicas: Number of replicas.
      plan: Batch size of one accumulation step on one replica, for the discriminator under "d" and
        for the generator under "g".
      checkpoint_bytes: Size of one checkpoint.
      free_bytes: Free space of the disk that the run is written to; None if it is unknown.
      features: Number of features that the extractor of the scores computes; None if it is unknown.
      missing_scores: Maps each score that cannot be computed to the reason.
    """

    config: TrainConfig
    class_names: tuple[str, ...]
    images_per_class: tuple[int, ...]
    num_images: int
    survey: ImageSurvey
    shorter_side: int
    replicas: int
    plan: Mapping[str, int]
    checkpoint_bytes: int
    free_bytes: int | None
    features: int | None = None
    missing_scores: Mapping[str, str] = dataclasses.field(default_factory=dict)


def checked(facts: Facts) -> Iterator[tuple[str, str | None]]:
    """Yields (what was checked, warning) for every check; the warning is None if all is well."""
    for name, check in CHECKS.items():
        yield name, check(facts)


def _labels(facts: Facts) -> str | None:
    counts = np.array(facts.images_per_class)
    if not len(counts):
        return None
    share = counts.max() / counts.sum()
    if len(counts) > 1 and share > MOST_OF_ONE_CLASS:
        return (
            f"{share:.0%} of the images have the label {_name(facts, int(counts.argmax()))}. Check"
            " the folders or the labels; an error in labelling often gives all images one class."
        )
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        return (
            f"{len(empty):,} of {len(counts):,} classes have no images ({_names(facts, empty)})."
            " Remove them, or lower --num_classes."
        )
    return None


def _channels(facts: Facts) -> str | None:
    survey, channels = facts.survey, facts.config.model.image_channels
    if channels >= 3 and survey.grey == survey.count:
        return (
            f"all {survey.count:,} examined images are grey, but the networks have {channels}"
            " channels. Use --image_channels=1."
        )
    if channels <= 2 and survey.grey < survey.count:
        return (
            f"{survey.count - survey.grey:,} of {survey.count:,} examined images have colours,"
            f" which --image_channels={channels} drops. Use --image_channels=3 to keep them."
        )
    return None


def _single_class(facts: Facts) -> str | None:
    classes, found = facts.config.model.num_classes, len(facts.class_names)
    if classes == 1:
        return "there is a single class. Use --num_classes=0 for a model without classes."
    if classes == 0 and found > 1:
        return (
            f"--num_classes=0 ignores the {found:,} classes of the data. Leave the flag out to"
            " train with them."
        )
    return None


def _small_classes(facts: Facts) -> str | None:
    counts = np.array(facts.images_per_class)
    small = np.flatnonzero((counts > 0) & (counts < FEW_OF_A_CLASS))
    if not len(small):
        return None
    return (
        f"{len(small):,} classes have fewer than {FEW_OF_A_CLASS} images ({_names(facts, small)})."
        " They will be memorised. Add images, merge classes, or fine-tune a model (--init_from)."
    )


def _duplicates(facts: Facts) -> str | None:
    survey = facts.survey
    if not survey.copies:
        return None
    return (
        f"{survey.copies:,} of {survey.count:,} examined images are copies of others, such as"
        f" {' and '.join(survey.example)}. Remove the copies; otherwise the model prefers them."
    )


def _resolution(facts: Facts) -> str | None:
    side, smallest, _ = facts.survey.shortest_sides
    if side < facts.shorter_side:
        return (
            f"the shorter sides of the images have a median of {side:,} pixels (smallest"
            f" {smallest:,}), so most images are enlarged to {facts.shorter_side}. Use larger"
            " images, or a lower --resolution if the networks have one."
        )
    return None


def _batch(facts: Facts) -> str | None:
    step = facts.config.step
    used = step.global_batch_size * step.num_d_steps
    if used > facts.num_images:
        return (
            f"one iteration uses {used:,} real images ({step.num_d_steps} D steps of"
            f" {step.global_batch_size:,}), but the data have only {facts.num_images:,}. Use a"
            " smaller --global_batch_size or fewer --num_d_steps."
        )
    together = facts.replicas if facts.config.model.bn_synchronized else 1
    seen = facts.plan["g"] * together
    if seen < SMALL_BATCH:
        return (
            f"batch norm sees {seen} images at a time, which makes its statistics noisy. Use a"
            " larger batch, or fewer --g_accumulations."
        )
    return None


def _moving_average(facts: Facts) -> str | None:
    step, total = facts.config.step, facts.config.run.num_iterations
    if step.ema_start >= total:
        return (
            f"the average starts at iteration {step.ema_start:,}, but the run ends at {total:,}."
            " Use a lower --ema_start or a longer run."
        )
    span = 1 / (1 - step.ema_decay) if step.ema_decay < 1 else np.inf
    left = total - step.ema_start
    if span > left:
        return (
            f"--ema_decay={step.ema_decay:g} averages over about {span:,.0f} iterations, but only"
            f" {left:,} remain after its start, so samples lag behind the generator. Use a lower"
            " --ema_decay."
        )
    return None


def _disk_space(facts: Facts) -> str | None:
    run = facts.config.run
    count = run.keep_checkpoints + (MORE_CHECKPOINTS if run.eval_every else 1)
    needed = facts.checkpoint_bytes * count
    if facts.free_bytes is None or needed <= facts.free_bytes:
        return None
    return (
        f"{count} checkpoints of {facts.checkpoint_bytes / 1e9:.2f} GB need {needed / 1e9:.2f} GB,"
        f" but {facts.free_bytes / 1e9:.2f} GB are free. Use fewer --keep_checkpoints or another"
        " --run_dir."
    )


def _evaluation_images(facts: Facts) -> str | None:
    run = facts.config.run
    if not run.eval_every:
        return None
    if facts.missing_scores:
        listed = "; ".join(f"no {name}: {why}" for name, why in facts.missing_scores.items())
        return f"{listed}."
    needed = max(FEW_EVALUATION_IMAGES, (facts.features or 0) + 1)
    for flag, count in (("--eval_images", run.eval_images), ("the data", facts.num_images)):
        if count < needed:
            return (
                f"{flag} gives {count:,} images, but distances such as FID are noisy and too large"
                f" with fewer than {needed:,} images. Use more images, or compare runs only at"
                " equal numbers."
            )
    return None


def _name(facts: Facts, label: int) -> str:
    return facts.class_names[label] if label < len(facts.class_names) else str(label)


def _names(facts: Facts, labels: np.ndarray) -> str:
    shown = [_name(facts, int(label)) for label in labels[:NAMED]]
    return ", ".join([*shown, *(["..."] if len(labels) > NAMED else [])])


CHECKS: Mapping[str, Callable[[Facts], str | None]] = {
    "labels": _labels,
    "channels": _channels,
    "number of classes": _single_class,
    "images per class": _small_classes,
    "duplicate images": _duplicates,
    "resolution": _resolution,
    "batch size": _batch,
    "moving average": _moving_average,
    "disk space": _disk_space,
    "evaluation images": _evaluation_images,
}


@dataclasses.dataclass(frozen=True)
class ImageSurvey:
    """What a survey found in the images that it examined.

    Attributes:
      count: Number of examined images.
      grey: Number of examined images without colours.
      shortest_sides: Median, smallest and largest length of the shorter side in pixels.
      copies: Number of examined images with the same pixels as an earlier image.
      example: Places of two images with the same pixels; () if there are none.
    """

    count: int
    grey: int
    shortest_sides: tuple[int, int, int]
    copies: int
    example: tuple[str, ...] = ()


def survey(source: Source, most: int = MOST_IMAGES) -> ImageSurvey:
    """Examines up to `most` images, evenly spread over the data, and returns what it found.

    Raises:
      ValueError: An image is unreadable. The message names it.
    """
    count = min(most, source.num_images)
    indices = np.arange(count, dtype=np.int64) * source.num_images // count
    found = tf.data.Dataset.from_tensor_slices(indices).map(
        lambda index: source.load(index, RGB), num_parallel_calls=tf.data.AUTOTUNE
    )
    grey, sides, places, copies = 0, [], {}, []
    with naming_unreadable():
        for index, pixels in zip(indices.tolist(), found.as_numpy_iterator(), strict=True):
            grey += bool((pixels == pixels[..., :1]).all())
            sides.append(min(pixels.shape[:2]))
            key = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
            first = places.setdefault(key, index)
            copies += [(first, index)] if first != index else []
    example = tuple(map(source.locate, copies[0])) if copies else ()
    shortest = (int(np.median(sides)), min(sides), max(sides))
    return ImageSurvey(count, grey, shortest, len(copies), example)
