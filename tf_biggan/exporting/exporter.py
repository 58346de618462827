"""Exports a model in one of several formats, with metadata, samples and a model card.

A SavedModel also gets files for TensorFlow Serving.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

import tf_biggan
from tf_biggan import checks
from tf_biggan.cli.export_settings import DEFAULT_ROWS, ExportConfig
from tf_biggan.cli.terminal import Progress
from tf_biggan.data.classes import parse_classes
from tf_biggan.devices.strategy import require_tensorflow
from tf_biggan.evaluation.features.generated_images import weights_sha256
from tf_biggan.exporting.converted_files import (
    OPSET,
    require_onnx,
    require_size,
    write_converted,
)
from tf_biggan.exporting.inference_generator import (
    TableSpec,
    classes_cut,
    folded_arrays,
    inference_discriminator,
    inference_generator,
    statistics_table,
)
from tf_biggan.exporting.model_card import (
    SAMPLES_FILE,
    folder_provenance,
    licence_note,
    write_card,
    write_samples,
    write_samples_of,
)
from tf_biggan.exporting.saved_model_description import read_signatures
from tf_biggan.exporting.serving_files import write_model_files, write_version_file, write_warmup
from tf_biggan.exporting.signatures import Endpoints, ExportedModule, ExportedParts
from tf_biggan.files import atomic as replaced_file
from tf_biggan.files.atomic import check_new
from tf_biggan.files.tensorflow_files import SAVED_MODEL_FILE
from tf_biggan.networks.num_values import generator_values
from tf_biggan.serving.served_model import model_name
from tf_biggan.store.model_directory import CONFIG_FILE, write_directory
from tf_biggan.store.opened_model import (
    EXTRA_FOLDER,
    described,
    open_discriminator,
    open_model,
    write_metadata,
)

# Names of a graph node and of an operation, which TensorFlow adds around an error message.
_KERNEL_NAMES = re.compile(r"^\{\{.*?\}\}\s*| \[Op:\w+\].*$")
# Values of the metadata field "bn": the kind of batch-norm statistics in the SavedModel.
OWN_TABLE, STANDING, RUNNING = "the model's own", "standing", "running"
STEPS = ("folding", "graphs", "writing", "samples")
# Names of the files, by format. A SavedModel and a model folder consist of several files.
FILES = {"onnx": "generator.onnx", "tflite": "generator.tflite", "keras": "generator.keras"}
# Formats that hold the network as it was trained, with its spectral norms.
NETWORK_FORMATS = ("keras", "safetensors")
# Formats of one file that a converter writes.
CONVERTED_FORMATS = ("onnx", "tflite")


@contextlib.contextmanager
def new_folder(path: str) -> Iterator[str]:
    """Yields a temporary folder with an `assets.extra` folder, and renames it to `path` at the end.

    If the `with` block fails or is interrupted, the temporary folder is deleted.

    Args:
      path: Path of the SavedModel. It must be new or an empty folder.

    Raises:
      ValueError: `path` exists and is not an empty folder.
      OSError: The folder cannot be written, for instance because the disk is full.
    """
    check_new(path)
    check_writable(path)
    # The temporary name is not a number, so a running TensorFlow Serving does not load the
    # incomplete version.
    with _new_folder(path, SAVED_MODEL_FILE) as temporary:
        os.mkdir(os.path.join(temporary, EXTRA_FOLDER))
        yield temporary


@contextlib.contextmanager
def _new_folder(path: str, last: str) -> Iterator[str]:
    """Does the same as `files.atomic.new_folder`, and turns TensorFlow's errors into OSErrors."""
    try:
        with replaced_file.new_folder(path, last=last) as temporary:
            yield temporary
    except tf.errors.OpError as error:
        reason = _KERNEL_NAMES.sub("", str(error).splitlines()[0])
        raise OSError(f"Cannot write the export {path}: {reason}") from error


def check_writable(path: str) -> None:
    """Raises OSError if no folder can be created next to `path`.

    This check runs first, so that a long export does not fail when its result is written.
    """
    try:
        replaced_file.try_writing(path)
    except OSError as error:
        raise OSError(f"Cannot write the export {path}: {error.strerror}") from error


def export(config: ExportConfig) -> list[str]:
    """Exports a model into a new folder, in the format that the settings name.

    Args:
      config: Settings of the export, which include the paths of the model and of the output.

    Returns:
      Lines for the user. For a SavedModel: the files for TensorFlow Serving that were written or
      left unchanged. For ONNX and TFLite: how the file was checked.

    Raises:
      ValueError: The model cannot be exported with these settings, a package is not installed, or
        the output exists already.
      OSError: The output cannot be written.
    """
    require_tensorflow("export")
    if config.format == "onnx":
        require_onnx()
    check_new(config.output)
    check_writable(config.output)
    opened = open_model(config.model, raw=config.raw, iteration=config.iteration)
    checks.require(
        opened.kind != "saved_model",
        "--model must be a run or a converted model; an exported SavedModel cannot be"
        " exported again",
        model=config.model,
    )
    discriminator = open_discriminator(opened) if config.with_discriminator else None
    if config.format in NETWORK_FORMATS:
        return _write_networks(config, opened, discriminator)
    classes = _classes(config, opened)
    if config.format in CONVERTED_FORMATS:
        require_size(config.format, _least_values(config, opened.generator, classes))
    progress = Progress("Export", len(STEPS), unit="steps")
    arrays, bn = _arrays(config, opened.generator)
    progress.add(1, "graphs")
    parts = _parts(config, opened, classes, arrays, discriminator)
    metadata = _metadata(config, opened, parts, classes, bn)
    del opened, arrays, discriminator
    write = _write_saved_model if config.format == "saved_model" else _write_converted
    lines = write(config, parts, metadata, progress)
    progress.close()
    return lines


def _classes(config, opened) -> tuple[int, ...] | None:
    """Returns the classes to keep, or None to keep all."""
    if config.num_classes_subset is None:
        return None
    count = opened.generator.num_classes
    checks.require(
        count > 0,
        "--num_classes_subset has no effect on a model without classes; leave it out",
        classes=config.num_classes_subset,
    )
    return parse_classes(config.num_classes_subset, opened.class_names, count)


def _least_values(config, generator, classes) -> int:
    """Returns a lower bound for the number of values in the exported generator.

    The function does not build the exported generator. The exact number may be higher, because
    kernels after upsampling are stored in another form.
    """
    own, arguments = generator.factory.num_statistics, dict(generator.get_config())
    rows = own if own > 1 else config.table_rows() or DEFAULT_ROWS
    kept = generator.num_classes if classes is None else len(classes)
    arguments |= {"num_classes": kept, "num_statistics": rows, "spectral_norm": False}
    return generator_values(arguments)


def _arrays(config, generator) -> tuple[dict[str, np.ndarray], str]:
    """Returns the variables to export by path, and the kind of their batch-norm statistics.

    Kernels are divided by their spectral norm. If the model has a table of statistics, this table
    is exported. Otherwise, a new table of standing statistics is made or, if the settings ask for
    one row, the running statistics are exported.
    """
    arrays, rows = folded_arrays(generator), config.table_rows()
    own = generator.factory.num_statistics
    if own > 1:
        checks.require(
            rows in (None, own),
            f"the model has its own table of {own} rows of batch-norm statistics; leave out"
            " --truncation_grid",
            truncation_grid=config.truncation_grid,
        )
        return arrays, OWN_TABLE
    rows = DEFAULT_ROWS if rows is None else rows
    if rows == 1:
        return arrays, RUNNING
    sizes = config.standing_sizes(generator.image_size)
    spec = TableSpec(rows, *sizes, config.truncation_mode, config.standing_seed)
    return arrays | statistics_table(generator.get_config(), arrays, spec), STANDING


def _parts(config, opened, classes, arrays, discriminator) -> ExportedParts:
    generator, names = opened.generator, opened.class_names
    settings, other = dict(generator.get_config()), None
    if classes is not None:
        settings["num_classes"] = len(classes)
        names = tuple(names[index] for index in classes) if names else ()
        arrays = classes_cut(arrays, classes, generator.class_embedding is None)
    if discriminator is not None:
        other_settings = {**discriminator.get_config(), "num_classes": settings["num_classes"]}
        other_arrays = folded_arrays(discriminator)
        if classes is not None:
            other_arrays = classes_cut(other_arrays, classes, False)
        other = inference_discriminator(other_settings, other_arrays, config.compute_dtype)
    exported = inference_generator(settings, arrays, config.compute_dtype)
    limit = config.batch_limit(exported.image_size)
    return ExportedParts(exported, other, names, config.truncation_mode, config.dtype, limit)


def _metadata(config, opened, parts, classes, bn) -> Mapping[str, object]:
    generator, rows = parts.generator, parts.generator.factory.num_statistics
    settings = ("raw", "truncation_grid", "standing_seed")
    batches, size = config.standing_sizes(generator.image_size)
    provenance = {
        "model": described(opened),
        "weights_sha256": weights_sha256(opened.generator),
        "settings": {name: getattr(config, name) for name in settings},
        "standing_batches": [batches, size] if bn == STANDING else None,
        "classes_of_the_model": None if classes is None else list(classes),
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "tensorflow": tf.__version__,
        "tf_biggan": tf_biggan.__version__,
    }
    return {
        "config": generator.get_config(),
        "class_names": list(parts.class_names),
        "provenance": provenance,
        "truncation_mode": parts.truncation_mode,
        "truncation_grid": [row / (rows - 1) for row in range(rows)] if rows > 1 else [],
        "bn": bn,
        "dtype": parts.dtype,
        "compute_dtype": config.compute_dtype,
        "licence_note": licence_note(config.licence_note, provenance),
        "image_size": list(generator.image_size),
        "image_channels": generator.image_channels,
        "latent_dim": generator.latent_dim,
        "num_classes": generator.num_classes,
        "max_batch": parts.max_batch,
        "parameters": int(generator.count_params()),
        "with_discriminator": parts.discriminator is not None,
    }


def _write_saved_model(config, parts, metadata, progress) -> list[str]:
    endpoints = Endpoints(parts)
    functions = endpoints.signatures()
    progress.add(1, "writing")
    name = model_name(config.output)
    with new_folder(config.output) as folder:
        tf.saved_model.save(ExportedModule(endpoints), folder, signatures=functions)
        write_metadata(folder, metadata)
        write_warmup(folder, name, functions, parts.class_names)
        progress.add(1, "samples")
        write_samples(folder)
        write_card(folder, name, metadata, read_signatures(folder))
        write_version_file(folder, parts.max_batch)
        # These files are written before the version gets its final name, so that a running server
        # never merges more rows than the new version accepts.
        lines = write_model_files(config.output, name, parts.max_batch)
        progress.add(1, "done")
    return lines


def _write_converted(config, parts, metadata, progress) -> list[str]:
    """Writes an ONNX or TFLite file with its metadata, samples and model card."""
    progress.add(1, "writing")
    with _new_folder(config.output, FILES[config.format]) as folder:
        path = os.path.join(folder, FILES[config.format])
        made = write_converted(parts.generator, path, config.format, config.tflite_type)
        progress.add(1, "samples")
        facts = {
            "dtype": config.tflite_type,
            "runtime": made.runtime,
            "largest_difference": made.largest_difference,
        }
        facts |= {"opset": OPSET} if config.format == "onnx" else {}
        _write_card_and_samples(config, folder, parts, metadata | facts, [made.signature])
        progress.add(1, "done")
    return [
        f"checked with {made.runtime}: images in [-1, 1] differ from the model's by at most"
        f" {made.largest_difference:.1e}"
    ]


def _write_networks(config, opened, discriminator) -> list[str]:
    """Writes a Keras file or a model folder, with its samples and model card."""
    generator, names = opened.generator, opened.class_names
    limit = config.batch_limit(generator.image_size)
    parts = ExportedParts(generator, discriminator, names, config.truncation_mode, "float32", limit)
    bn = OWN_TABLE if generator.factory.num_statistics > 1 else RUNNING
    metadata = _metadata(config, opened, parts, None, bn)
    last = FILES.get(config.format, CONFIG_FILE)
    with _new_folder(config.output, last) as folder:
        if config.format == "keras":
            generator.save(os.path.join(folder, FILES[config.format]))
        else:
            networks = {"generator": generator}
            networks |= {} if discriminator is None else {"discriminator": discriminator}
            sha256 = metadata["provenance"]["weights_sha256"]
            provenance = folder_provenance(opened, config.licence_note, sha256)
            write_directory(folder, networks, names, provenance)
        _write_card_and_samples(config, folder, parts, metadata, [])
    return []


def _write_card_and_samples(config, folder, parts, metadata, signatures) -> None:
    """Writes the metadata, the samples and the card of an export that is not a SavedModel."""
    metadata = {"export_format": config.format, **metadata}
    write_metadata(folder, metadata, place="")
    path = os.path.join(folder, SAMPLES_FILE)
    write_samples_of(parts.generator, parts.class_names, parts.truncation_mode, path)
    write_card(folder, model_name(config.output), metadata, signatures)
