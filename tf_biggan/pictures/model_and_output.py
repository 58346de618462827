"""Steps of all picture commands: check the output, open the model, make and describe images."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence

import tf_biggan
from tf_biggan import checks
from tf_biggan.cli.shared_settings import GenerationSettings
from tf_biggan.evaluation.features.generated_images import weights_sha256
from tf_biggan.files import file_system
from tf_biggan.files.atomic import try_writing
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.store.opened_model import OpenedModel, open_model


def open_model_of(settings: GenerationSettings, iteration: int | None = None) -> OpenedModel:
    """Opens the model that the settings of a command name.

    Args:
      settings: Settings of the command.
      iteration: Iteration of the checkpoint to open; None for the iteration in the settings.

    Raises:
      ValueError: `open_model` fails. Or a truncation is given, and the model is a SavedModel that
        was exported for another truncation mode.
    """
    iteration = settings.iteration if iteration is None else iteration
    opened = open_model(settings.model, raw=settings.raw, iteration=iteration)
    metadata = getattr(opened.generator, "metadata", {})
    mode = metadata.get("truncation_mode", settings.truncation_mode)
    checks.require(
        settings.truncation is None or mode == settings.truncation_mode,
        f"the SavedModel was exported with --truncation_mode={mode}; use the same value, or"
        " leave out --truncation and --truncation_mode",
        model=settings.model,
        truncation_mode=settings.truncation_mode,
    )
    return opened


def image_maker_of(settings: GenerationSettings, opened: OpenedModel) -> ImageMaker:
    """Returns the `ImageMaker` of a model with the settings' batch size and statistics.

    Raises:
      ValueError: The model does not support the settings' `bn`.
    """
    return ImageMaker(
        opened.generator,
        bn=settings.bn,
        truncation_mode=settings.truncation_mode,
        batch_size=settings.batch_size,
        path=opened.description["path"],
    )


def describe(opened: OpenedModel, settings: Mapping[str, object]) -> dict[str, object]:
    """Returns JSON values that describe images: software, model, hash of its weights, settings."""
    model = opened.description
    return {
        "software": f"tf_biggan {tf_biggan.__version__}",
        "model": model["path"],
        **{name: model[name] for name in ("kind", "weights", "iteration") if name in model},
        "sha256": weights_sha256(opened.generator),
        **settings,
    }


def describe_latents(truncation, mode: str) -> dict[str, object]:
    """Returns the entries of a description that say how latents were sampled.

    Args:
      truncation: A number or a list of numbers; None for N(0, I).
      mode: Meaning of the truncation.
    """
    if truncation is None:
        return {"z": "N(0, I)"}
    return {"truncation": truncation, "truncation_mode": mode}


def as_text(description: Mapping[str, object]) -> dict[str, str]:
    """Returns a description as texts by keyword, which PNG files and animations can store."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in description.items()
    }


def check_output_file(path: str, endings: Sequence[str]) -> None:
    """Raises ValueError unless `path` has one of the endings and can be written."""
    checks.require(
        path.lower().endswith(tuple(endings)),
        f"`output` must end in {' or '.join(endings)}",
        output=path,
    )
    checks.require(
        not file_system.isdir(path), "`output` must be a file, not a folder", output=path
    )
    check_output_place(path)


def output_folder(path: str) -> str:
    """Returns the path of an output folder. In a local path, symbolic links are resolved.

    Raises:
      ValueError: The folder cannot be written, or it is the current folder or a mounted folder,
        which the finished folder cannot replace.
    """
    if file_system.is_remote(path):
        folder = file_system.absolute(path)
        check_output_place(folder)
        return folder
    folder = os.path.realpath(path)
    checks.require(
        not os.path.ismount(folder) and folder != os.path.realpath(os.curdir),
        "`output` must not be the current folder or a mounted one, because the finished folder"
        " replaces it; use a folder inside it",
        output=path,
    )
    check_output_place(folder)
    return folder


def check_output_place(path: str) -> None:
    """Raises ValueError unless the folder of `path` exists and is writable.

    The folder of an address such as gs://bucket/images need not exist, because object stores have
    no empty folders.
    """
    folder = os.path.dirname(path) or "."
    if file_system.is_remote(path):
        try:
            try_writing(path)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return
    checks.require(
        file_system.isdir(folder),
        "the folder of `output` does not exist; create it or use another path",
        output=path,
    )
    try:
        # A test file also finds full and read-only disks, which permissions do not show.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: str, error: OSError) -> ValueError:
    return ValueError(
        f"Cannot write to the folder of `output`, {folder}: {error.strerror}. Use another path"
        " or change the permissions of the folder."
    )
