"""From the settings of the interpolate command to its sheet or animation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tf_biggan import checks
from tf_biggan.cli.interpolate_settings import (
    ANIMATION_MIDPOINTS,
    NUM_ROWS,
    SECONDS_PER_FRAME,
    SHEET_ENDING,
    SHEET_MIDPOINTS,
    InterpolateConfig,
)
from tf_biggan.cli.seeds import parse_seeds
from tf_biggan.data.classes import ClassLookup
from tf_biggan.files.png import save_png
from tf_biggan.generation.end_points import (
    EndPoint,
    parse_end_points,
    point_name,
    random_routes,
)
from tf_biggan.generation.image_maker import ImageMaker, pixels_with_progress
from tf_biggan.generation.paths import Frames, PathPlan
from tf_biggan.pictures.animations import ENDINGS, check_animation_path, save_animation
from tf_biggan.pictures.models import as_text, describe, image_maker_of, open_model_of
from tf_biggan.pictures.output_paths import check_output_file
from tf_biggan.pictures.sheets import SMALLEST_CELL, captioned, sheet
from tf_biggan.store.opened_model import OpenedModel

ANIMATION_CELL = 96


def interpolate(config: InterpolateConfig) -> None:
    """Makes the picture that the settings describe and writes it.

    Raises:
      ValueError: something is unknown, missing or does not fit; nothing is written.
    """
    check_output_file(config.output, (SHEET_ENDING, *ENDINGS))
    if config.animates:
        check_animation_path(config.output)
    opened = open_model_of(config)
    lookup = ClassLookup(opened.class_names, opened.generator.num_classes)
    plan = _plan(config, ANIMATION_MIDPOINTS if config.animates else SHEET_MIDPOINTS)
    routes = [plan.route(points) for points in _points(config, lookup)]
    _check_points(routes, opened)
    _check_truncation(routes, plan)
    maker = image_maker_of(config, opened)
    paths = [plan.frames(route, maker) for route in routes]
    images = frame_images(paths, maker)
    names = [_names(route, plan, lookup) for route in routes]
    description = describe(opened, _settings(config, plan, names))
    text = as_text(description)
    if config.animates:
        seconds = config.seconds_per_frame or SECONDS_PER_FRAME
        save_animation(animation_frames(images, plan), config.output, seconds, text)
    else:
        save_png(interpolation_sheet(images, names, plan, paths), config.output, text)
    print(*_notes(routes, description), f"Written: {config.output}", sep="\n")


def frame_images(paths: Sequence[Frames], maker: ImageMaker) -> np.ndarray:
    """Images of every frame of every path: uint8 [R, F, H, W, C]; paths have as many frames."""
    z = np.concatenate([path.z for path in paths])
    conditional = paths[0].embeddings is not None
    embeddings = np.concatenate([path.embeddings for path in paths]) if conditional else None
    truncations = np.concatenate([path.truncation for path in paths])
    batches = maker.batches(z, truncation=truncations, embeddings=embeddings)
    images = pixels_with_progress(batches, len(z), "Interpolation")
    return images.reshape(len(paths), -1, *images.shape[1:])


def interpolation_sheet(
    images: np.ndarray,
    names: Sequence[Sequence[str]],
    plan: PathPlan,
    paths: Sequence[Frames],
) -> Image.Image:
    """A page of one row for every two points; truncations that change stand below the images.

    Args:
      images: of `frame_images`.
      names: of every path's points.
      paths: what the images are of.
    """
    legs = plan.legs(len(names[0]))
    rows = images[:, legs].reshape(-1, *images.shape[2:])
    labels = [f"{a} to {b}" for path in names for a, b in itertools.pairwise(path)]
    if plan.truncations[0] == plan.truncations[1]:
        return sheet(rows, columns=legs.shape[1], row_labels=labels)
    truncations = np.concatenate([path.shown_truncation[legs] for path in paths], axis=None)
    captions = [["" if np.isnan(value) else f"{value:.2f}"] for value in truncations]
    large = captioned(rows, captions, SMALLEST_CELL)
    return sheet(large, columns=legs.shape[1], row_labels=labels, smallest_cell=1)


def animation_frames(images: np.ndarray, plan: PathPlan) -> list[Image.Image]:
    """Pages that show all paths side by side, frame after frame.

    The last frame of a loop is its first: it is left out.
    """
    shown = images[:, :-1] if plan.loop else images
    columns = math.ceil(math.sqrt(len(images)))
    padding = 0 if len(images) == 1 else 2
    return [
        sheet(frame, columns, padding=padding, smallest_cell=ANIMATION_CELL)
        for frame in shown.swapaxes(0, 1)
    ]


def _plan(config, usual_midpoints):
    return PathPlan(
        usual_midpoints if config.num_midpoints is None else config.num_midpoints,
        config.z_path,
        config.fix_z,
        config.fix_y,
        config.truncation_ends(),
        config.truncation_mode,
        config.loop,
    )


def _points(config: InterpolateConfig, lookup: ClassLookup) -> Sequence[Sequence[EndPoint]]:
    """The points of every path, before a loop is closed."""
    given = {n: getattr(config, n) for n in ("classes", "fix_z", "fix_y") if getattr(config, n)}
    checks.require(
        lookup.num_classes > 0 or not given,
        "a model without classes has z alone to change; leave these flags out",
        **given,
    )
    if config.endpoints is not None:
        return [parse_end_points(config.endpoints, lookup)]
    labels = None if config.classes is None else lookup.parse(config.classes)
    seeds = None if config.seeds is None else parse_seeds(config.seeds)
    filled = NUM_ROWS if seeds is None else max(1, len(seeds) // (1 if config.fix_z else 2))
    return random_routes(
        config.num_rows or filled, lookup.num_classes, labels, seeds, config.fix_z, config.fix_y
    )


def _check_points(routes, opened: OpenedModel) -> None:
    """Raises ValueError if a point from a file cannot be one of the model's."""
    generator = opened.generator
    for path, found in _files(routes):
        classes = 0 if found.class_weights is None else len(found.class_weights)
        checks.require(
            found.z.shape == (generator.latent_dim,) and classes == generator.num_classes,
            "an end point must have been found with this model, or one of its sizes",
            file=path,
            found_with=found.description.get("model"),
            model=opened.description["path"],
        )


def _check_truncation(routes, plan: PathPlan) -> None:
    """Raises ValueError if a truncation is given and no latents are drawn."""
    of_latents = [point for route in routes for point in (route[:1] if plan.fix_z else route)]
    checks.require(
        plan.truncations == (None, None) or not all(point.file for point in of_latents),
        "`truncation` changes nothing where all z come from files; leave it out",
        truncation=plan.truncations,
    )


def _notes(routes, description) -> list[str]:
    """What there is to say about points from files."""
    return [
        f"{path} was found with other weights, {found.description.get('model')}:"
        " its image may differ"
        for path, found in _files(routes)
        if found.description.get("sha256") != description["sha256"]
    ]


def _files(routes) -> list:
    """(path, what invert found) of every file among the points, once."""
    points = [point for route in routes for point in route if point.file]
    return list({point.file[0]: point.file for point in points}.values())


def _names(route, plan, lookup) -> tuple[str, ...]:
    """Names of the images that a path shows at its points."""
    return tuple(
        point_name(route[0] if plan.fix_y else point, route[0] if plan.fix_z else point, lookup)
        for point in route
    )


def _settings(config: InterpolateConfig, plan: PathPlan, names) -> dict[str, object]:
    settings = {"points": names, "frames_between_points": plan.num_midpoints, "bn": config.bn}
    settings |= {"z_path": "fixed" if plan.fix_z else plan.z_path}
    settings |= {"class_path": "fixed" if plan.fix_y else "lerp"}
    if plan.truncations == (None, None):
        return settings | {"z": "N(0, I)"}
    first, last = plan.truncations
    shown = first if first == last else [first, last]
    return settings | {"truncation": shown, "truncation_mode": plan.mode}
