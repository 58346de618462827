"""The invert command: reads an image, finds its latents and class, and writes both."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.cli.invert_settings import NO_FEATURES, InvertConfig
from tf_biggan.data import decoding
from tf_biggan.data.classes import ClassLookup, class_name
from tf_biggan.evaluation.comparison import Comparison, cache_of, open_real_images
from tf_biggan.evaluation.features.extractors import FEATURES
from tf_biggan.evaluation.features.image_sets import SourceImages
from tf_biggan.files import file_system
from tf_biggan.files.png import save_png, to_uint8
from tf_biggan.generation.inversion import (
    ENDING,
    Descent,
    FeatureFunction,
    InvertedImage,
    Reconstruction,
    invert,
    write_inverted,
)
from tf_biggan.pictures.model_and_output import (
    as_text,
    check_output_file,
    describe,
    describe_latents,
    image_maker_of,
    open_model_of,
)
from tf_biggan.pictures.sheets_and_animations import sheet
from tf_biggan.store.opened_model import OpenedModel

GREY_CHANNELS, COLOUR_CHANNELS = (1, 2), 3
SMALLEST_CELL = 96
SHOWN_WEIGHT = 0.01
MOST_SHOWN = 5


def read_target(path: str, image_size: tuple[int, int], channels: int) -> tuple[np.ndarray, str]:
    """Reads an image and preprocesses it as training does.

    Args:
      path: JPEG, PNG, BMP or WebP file.
      image_size: (height, width) of the result.
      channels: Number of channels of the result.

    Returns:
      The image, uint8 [height, width, channels], and a line that says how the image was changed.

    Raises:
      ValueError: The file does not exist or is damaged, or its name is not valid UTF-8.
    """
    checks.require_utf8(path)
    file_system.require_existing("image", path, "a JPEG, PNG, BMP or WebP file")
    checks.require(file_system.isfile(path), "`image` must be a file", image=path)
    with file_system.open_file(path, "rb") as file:
        contents = tf.data.Dataset.from_tensors(file.read())
    with decoding.naming_unreadable():
        pixels = decoding.decode_named(contents, tf.constant(path), channels)
        colour = decoding.decode_named(contents, tf.constant(path), COLOUR_CHANNELS).numpy()
    pixels = decoding.crop_and_resize(pixels, *image_size).numpy()
    return pixels, f"{path}: {_changes(colour, image_size, channels)}"


def _changes(colour: np.ndarray, image_size, channels) -> str:
    height, width = colour.shape[:2]
    steps = [f"{height}x{width}"]
    if width * image_size[0] != height * image_size[1]:
        steps.append("cropped to its centre")
    if (height, width) != tuple(image_size):
        steps.append(f"resized to {image_size[0]}x{image_size[1]}")
    was_grey = bool(np.all(colour == colour[..., :1]))
    if channels in GREY_CHANNELS and not was_grey:
        steps.append("made grey")
    if channels not in GREY_CHANNELS and was_grey:
        steps.append("grey in all channels")
    return ", ".join(steps)


def invert_file(config: InvertConfig) -> None:
    """Inverts the image that the settings name, writes the result and prints a summary.

    Raises:
      ValueError: A setting does not fit the model or the image; nothing is written.
    """
    check_output_file(config.output, (ENDING,))
    _check_picture(config)
    opened = open_model_of(config)
    generator = opened.generator
    shape = (*generator.image_size, generator.image_channels)
    pixels, changes = read_target(config.image, shape[:2], shape[2])
    lookup = ClassLookup(opened.class_names, generator.num_classes)
    labels = _labels(config, lookup)
    print(changes)
    features, by = _features(config, opened, shape)
    print(f"Loss: {by}")
    descent = descent_of(config)
    target = pixels / np.float32(127.5) - 1
    found = invert(image_maker_of(config, opened), target, descent, labels, features)
    _write(config, opened, pixels, found, descent, by, lookup)


def _picture_path(config):
    return f"{os.path.splitext(config.output)[0]}.png"


def _real(path: str) -> str:
    """Returns a path without symbolic links."""
    return path if file_system.is_remote(path) else os.path.realpath(path)


def _check_picture(config):
    """Raises ValueError if the picture beside the output would replace the image to invert."""
    picture = _picture_path(config)
    checks.require(
        _real(picture) != _real(config.image),
        "the picture that is written beside `output` would replace `image`; use another `output`",
        output=config.output,
        picture=picture,
    )
    check_output_file(picture, (".png",))


def _labels(config: InvertConfig, lookup: ClassLookup):
    if config.classes is None:
        return None
    checks.require(
        lookup.num_classes > 0,
        "this model has no classes; leave out --class",
        classes=config.classes,
    )
    return lookup.parse(config.classes)


def descent_of(config: InvertConfig) -> Descent:
    """Returns the settings of the gradient descent."""
    truncation = config.truncation
    of_table = config.bn == "table" and truncation is not None
    return Descent(
        config.num_starts,
        config.num_steps,
        config.seed,
        config.learning_rate,
        config.feature_weight,
        truncation,
        config.truncation_mode,
        min(1.0, truncation) if of_table else 1.0,
    )


def _features(config, opened: OpenedModel, shape) -> tuple[FeatureFunction | None, str]:
    """Returns (feature extractor or None, description of the loss)."""
    pixels = "pixels at several scales"
    kind = config.extractor
    if kind is None and config.inception_weights is not None:
        kind = "inception"
    if kind == NO_FEATURES or not config.feature_weight:
        return None, f"{pixels}, no features"
    try:
        extractor = _extractor(config, opened, shape, kind or "classifier")
    except (ValueError, OSError) as error:
        if kind is not None:
            raise
        return None, f"{pixels}, no features: {error}"
    function = extractor.build()
    return lambda images: function(images)[FEATURES], f"{pixels}, features of {extractor.name}"


def _extractor(config, opened, shape, kind):
    strategy, source, images = tf.distribute.get_strategy(), None, None
    if kind == "classifier":
        source = open_real_images(
            config.reference,
            config.reference_split,
            config.data_dir,
            config.download,
            opened.description["path"],
        )
        images = SourceImages(source, shape[:2], shape[2])
    comparison = Comparison(
        strategy,
        source,
        images,
        cache_of(config.feature_cache),
        layer=config.layer,
        inception_weights=config.inception_weights,
    )
    return comparison.extractor(kind)


def _write(config, opened, pixels, found: Reconstruction, descent: Descent, by, lookup) -> None:
    settings = {
        "image": config.image,
        "psnr": round(found.psnr, 3),
        "classes": _class_weights(found, lookup),
        "compared_by": by,
        "seed": descent.seed,
        "starts": descent.num_starts,
        "steps": descent.num_steps,
        "bn": config.bn,
        **describe_latents(descent.truncation, descent.mode),
    }
    description = describe(opened, settings)
    inverted = InvertedImage(
        found.z, found.class_weights, found.embedding, descent.statistics, found.psnr, description
    )
    picture = _picture_path(config)
    both = np.stack([pixels, to_uint8(found.image)])
    page = sheet(both, columns=2, smallest_cell=SMALLEST_CELL)
    write_inverted(config.output, inverted)
    save_png(page, picture, as_text(description))
    classes = settings["classes"]
    mixture = ", ".join(f"{name} {weight:.0%}" for name, weight in classes.items())
    print(f"PSNR {found.psnr:.1f} dB{', class ' if classes else ''}{mixture}")
    print(f"Written: {config.output}, {picture} (the image and its reconstruction)")


def _class_weights(found: Reconstruction, lookup: ClassLookup) -> dict[str, float]:
    """Returns the largest class weights of the result, by class name."""
    if found.class_weights is None:
        return {}
    largest = np.argsort(-found.class_weights, kind="stable")[:MOST_SHOWN]
    return {
        class_name(int(label), lookup): round(float(found.class_weights[label]), 4)
        for label in largest
        if found.class_weights[label] >= SHOWN_WEIGHT
    }
