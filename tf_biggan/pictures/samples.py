"""The sample command: sheets, sets of images, and animations over checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from tf_biggan import checks
from tf_biggan.cli.sample_settings import (
    ANIMATION,
    ARCHIVE,
    FOLDER,
    SECONDS_PER_FRAME,
    SHEET,
    SampleConfig,
)
from tf_biggan.cli.terminal import Progress
from tf_biggan.data.classes import ClassLookup
from tf_biggan.files.png import save_png
from tf_biggan.generation.image_maker import ImageMaker, pixels_with_progress
from tf_biggan.pictures.image_output import ImageArchive, ImageFolder, write_images
from tf_biggan.pictures.image_selection import ImageSelection, selected_images
from tf_biggan.pictures.model_and_output import (
    as_text,
    check_output_place,
    describe,
    describe_latents,
    image_maker_of,
    open_model_of,
    output_folder,
)
from tf_biggan.pictures.sheets_and_animations import (
    MODES,
    SMALLEST_CELL,
    captioned,
    check_animation_path,
    save_animation,
    sheet,
)
from tf_biggan.store.checkpoints import UnreadableCheckpoint, checkpoint_iterations, say_on_stderr
from tf_biggan.store.opened_model import OpenedModel
from tf_biggan.store.run_directory import is_run

# Many programs refuse to show larger pictures (Pillow warns above 89 million pixels).
MOST_PIXELS = 80_000_000


def sample(config: SampleConfig) -> None:
    """Samples images as the settings say and writes them.

    Raises:
      ValueError: A setting does not fit the model or the other settings; nothing is written.
    """
    kind, path = config.output_kind(), config.output_path()
    if kind == FOLDER:
        path = output_folder(path)
    else:
        check_output_place(path)
    if kind == ANIMATION:
        _animate(config, path)
        return
    opened = open_model_of(config)
    selection = _selection(config, opened, in_picture=kind == SHEET)
    maker = image_maker_of(config, opened)
    description = describe(opened, _settings(config, selection.description))
    if kind == SHEET:
        page = _page(config, selection, maker)
        save_png(page, path, as_text(description))
        print(f"Written: {path} ({_summary(config, description)})")
    else:
        opener = ImageArchive if kind == ARCHIVE else ImageFolder
        target = opener(path, selection, opened, description)
        print(write_images(target, selection, maker, config.truncation))


def _animate(config: SampleConfig, path: str) -> None:
    """Writes an animation of the same images at each checkpoint of a run."""
    check_animation_path(path)
    checks.require(
        is_run(config.model or ""),
        "--progress needs a run as --model, because only runs have several checkpoints",
        model=config.model,
    )
    iterations = checkpoint_iterations(config.model)
    checks.require(
        len(iterations) > 1,
        "--progress needs at least two checkpoints; train with a larger --keep_checkpoints",
        model=config.model,
        iterations=iterations,
    )
    frames, description, unreadable = {}, {}, []
    progress = Progress("Progress", len(iterations), unit="checkpoints")
    for iteration in iterations:
        try:
            opened = open_model_of(config, iteration)
        except UnreadableCheckpoint as error:
            say_on_stderr(f"Left out: {error}")
            unreadable.append(iteration)
            continue
        selection = _selection(config, opened, in_picture=True)
        page = _page(config, selection, image_maker_of(config, opened))
        frames[iteration] = with_iteration(page, iteration)
        description = describe(opened, _settings(config, selection.description))
        progress.add(1)
    progress.close()
    checks.require(
        len(frames) > 1,
        "--progress needs at least two readable checkpoints",
        model=config.model,
        iterations=list(frames),
        unreadable=unreadable,
    )
    # These two entries only describe the last checkpoint.
    description = {k: v for k, v in description.items() if k not in ("iteration", "sha256")}
    description["iterations"] = list(frames)
    seconds = config.seconds_per_frame or SECONDS_PER_FRAME
    save_animation(list(frames.values()), path, seconds, as_text(description))
    summary = _summary(config, description)
    print(f"Written: {path} ({len(frames)} checkpoints, {summary})")


def _selection(config: SampleConfig, opened: OpenedModel, in_picture: bool) -> ImageSelection:
    lookup = ClassLookup(opened.class_names, opened.generator.num_classes)
    selection = selected_images(config, lookup, in_picture)
    if in_picture:
        columns = len(config.truncations or range(selection.columns))
        check_page(selection, columns, opened.generator.image_size)
    return selection


def _page(config: SampleConfig, selection: ImageSelection, maker: ImageMaker) -> Image.Image:
    if config.truncations is None:
        return samples_page(maker, selection, config.truncation)
    return truncations_page(maker, selection, config.truncations)


def _settings(config: SampleConfig, selected: Mapping[str, object]) -> dict[str, object]:
    columns = config.truncations
    drawn = describe_latents(
        config.truncation if columns is None else list(columns), config.truncation_mode
    )
    settings = {**selected, **drawn, "bn": config.bn}
    if config.bn == "batch":
        settings["bn_batch_size"] = config.batch_size
    return settings


def _summary(config: SampleConfig, description) -> str:
    """Returns the most important settings for the message at the end."""
    truncation, classes = description.get("truncation"), description.get("classes")
    named = config.classes is not None and isinstance(classes, list)
    facts = [
        f"classes {'; '.join(classes)}" if named else None,
        description.get("weights"),
        f"iteration {description['iteration']:,}" if "iteration" in description else None,
        f"seeds {description['seeds']}",
        "no truncation" if truncation is None else f"truncation {truncation}",
    ]
    return ", ".join(fact for fact in facts if fact)


def check_page(selection: ImageSelection, columns: int, image_size: tuple[int, int]) -> None:
    """Raises ValueError if a sheet would be too large to show.

    Args:
      selection: Images of the sheet.
      columns: Number of columns of the sheet.
      image_size: (height, width) of an image.
    """
    factor = max(1, -(-SMALLEST_CELL // min(image_size)))
    count = len(selection.seeds) // selection.columns * columns
    pixels = count * factor**2 * image_size[0] * image_size[1]
    checks.require(
        pixels <= MOST_PIXELS,
        f"a picture may have at most {MOST_PIXELS:,} pixels; use fewer classes or seeds, or write"
        " an .npz file or a folder",
        images=count,
        pixels=pixels,
    )


def samples_page(
    maker: ImageMaker, selection: ImageSelection, truncation: float | None
) -> Image.Image:
    """Returns a sheet of the selected images.

    Args:
      maker: `ImageMaker` of the generator.
      selection: Images and their layout.
      truncation: Truncation of the latents; None for N(0, I).
    """
    images = _pixels(maker, selection, truncation)
    return sheet(images, selection.columns, selection.row_labels)


def truncations_page(
    maker: ImageMaker, selection: ImageSelection, truncations: Sequence[float]
) -> Image.Image:
    """Returns a sheet with a row for each selected image and a column for each truncation.

    Args:
      maker: `ImageMaker` of the generator.
      selection: Images, one for each row.
      truncations: Truncation of each column.
    """
    names = [f"{truncation:g}" for truncation in truncations]
    columns = [
        _pixels(maker, selection, truncation, f"Truncation {name}")
        for truncation, name in zip(truncations, names, strict=True)
    ]
    images = np.stack(columns, axis=1).reshape(-1, *columns[0].shape[1:])
    return sheet(images, len(truncations), selection.row_labels, column_labels=names)


def _pixels(maker, selection, truncation, title="Sampling") -> np.ndarray:
    """Returns all selected images, uint8 [N, H, W, C]."""
    count = len(selection.seeds)
    batches = maker.sampled_batches(selection.seeds, 0, selection.conditions(0, count), truncation)
    return pixels_with_progress(batches, count, title)


def with_iteration(page: Image.Image, iteration: int) -> Image.Image:
    """Returns the page with a caption that shows the iteration."""
    pixels = np.asarray(page).reshape(1, page.height, page.width, -1)
    made = captioned(pixels, [[f"iteration {iteration:,}"]], smallest_cell=1)[0]
    return Image.fromarray(made[..., 0] if made.shape[-1] == 1 else made, MODES[made.shape[-1]])
