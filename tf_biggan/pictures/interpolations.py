"""The interpolate command: writes paths between images as a sheet or as an animation."""

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
from tf_biggan.cli.seeds_and_truncations import parse_seeds
from tf_biggan.data.classes import ClassLookup
from tf_biggan.files.png import save_png
from tf_biggan.generation.image_maker import ImageMaker, pixels_with_progress
from tf_biggan.generation.interpolation_paths import (
    EndPoint,
    Frames,
    PathPlan,
    parse_end_points,
    point_name,
    random_routes,
)
from tf_biggan.pictures.model_and_output import (
    as_text,
    check_output_file,
    describe,
    image_maker_of,
    open_model_of,
)
from tf_biggan.pictures.sheets_and_animations import (
    ENDINGS,
    SMALLEST_CELL,
    captioned,
    check_animation_path,
    save_animation,
    sheet,
)
from tf_biggan.store.opened_model import OpenedModel

ANIMATION_CELL = 96


def interpolate(config: InterpolateConfig) -> None:
    """Interpolates between images as the settings say and writes a sheet or an animation.

    Raises:
      ValueError: A setting does not fit the model or the other settings; nothing is written.
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
    """Returns the images of R paths with F frames each, uint8 [R, F, H, W, C].

    Args:
      paths: Inputs of the generator for each path, all with the same number of frames.
      maker: `ImageMaker` of the generator.
    """
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
    """Returns a sheet with a row for every pair of consecutive points of every path.

    If the truncation changes along the path, captions below the images show it.

    Args:
      images: Result of `frame_images`.
      names: Names of the points of each path.
      plan: Plan of the paths.
      paths: Inputs of the generator from which the images were made.
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
    """Returns the frames of an animation that shows all paths side by side.

    The last frame of a loop is left out, because it equals the first.

    Args:
      images: Result of `frame_images`.
      plan: Plan of the paths.
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
    """Returns the points of each path. The first point of a loop is listed only once."""
    given = {n: getattr(config, n) for n in ("classes", "fix_z", "fix_y") if getattr(config, n)}
    checks.require(
        lookup.num_classes > 0 or not given,
        "this model has no classes; leave out these flags",
        **given,
    )
    if config.endpoints is not None:
        return [parse_end_points(config.endpoints, lookup)]
    labels = None if config.classes is None else lookup.parse(config.classes)
    seeds = None if config.seeds is None else parse_seeds(config.seeds)
    default_rows = NUM_ROWS if seeds is None else max(1, len(seeds) // (1 if config.fix_z else 2))
    return random_routes(
        config.num_rows or default_rows,
        lookup.num_classes,
        labels,
        seeds,
        config.fix_z,
        config.fix_y,
    )


def _check_points(routes, opened: OpenedModel) -> None:
    """Raises ValueError if a point from a file does not fit the model's sizes."""
    generator = opened.generator
    for path, found in _files(routes):
        classes = 0 if found.class_weights is None else len(found.class_weights)
        checks.require(
            found.z.shape == (generator.latent_dim,) and classes == generator.num_classes,
            "this file of an end point was written for a model with a different latent size or"
            " number of classes; run `invert` with this model on the image that the file was made"
            " from",
            file=path,
            found_with=found.description.get("model"),
            model=opened.description["path"],
        )


def _check_truncation(routes, plan: PathPlan) -> None:
    """Raises ValueError if a truncation is given but all latents come from files."""
    of_latents = [point for route in routes for point in (route[:1] if plan.fix_z else route)]
    checks.require(
        plan.truncations == (None, None) or not all(point.file for point in of_latents),
        "`truncation` has no effect because all latents come from files; leave it out",
        truncation=plan.truncations,
    )


def _notes(routes, description) -> list[str]:
    """Returns a note for each file whose latent vector was found with other weights."""
    return [
        f"The latent vector in {path} was found with other weights"
        f" ({found.description.get('model')}), so its image may differ from that of `invert`"
        for path, found in _files(routes)
        if found.description.get("sha256") != description["sha256"]
    ]


def _files(routes) -> list:
    """Returns (path, content) of each file among the points, without repetition."""
    points = [point for route in routes for point in route if point.file]
    return list({point.file[0]: point.file for point in points}.values())


def _names(route, plan, lookup) -> tuple[str, ...]:
    """Returns the names of the images at the points of a path."""
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
