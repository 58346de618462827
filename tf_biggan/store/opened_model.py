"""Opens the generator of a run, of a converted model or of an exported SavedModel.

`SavedModelGenerator` runs a SavedModel like a `Generator`. This module also reads and writes the
metadata of exports.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping

import keras
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.files import file_system, tensorflow_files
from tf_biggan.files.json_files import field, read_json
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import check_labels, from_list
from tf_biggan.store.handles import resolve
from tf_biggan.store.model_directory import is_model_directory, load_network, read_directory
from tf_biggan.store.run_directory import (
    is_run,
    read_class_names,
    read_initialization,
    restore_network,
    restore_networks,
)

KINDS = "a run, a converted model or an exported SavedModel"
EXTRA_FOLDER = "assets.extra"
METADATA_FILE = "tf_biggan.json"
FORMAT, FORMAT_VERSION = "tf_biggan export", 1
SIGNATURE = "default"
# Descriptions of the exports that are not SavedModels, by the metadata field "export_format".
OTHER_EXPORTS = {
    "onnx": "an ONNX export, which opens with onnxruntime.InferenceSession",
    "tflite": "a TFLite export, which opens with ai_edge_litert.interpreter.Interpreter (LiteRT)",
    "keras": "a Keras export, which opens with keras.saving.load_model",
    "safetensors": "a model folder with safetensors, which opens with tf_biggan.open_model",
}
# Types of the metadata fields that this package reads.
METADATA_KINDS = {
    "class_names": "tuple[str, ...]",
    "truncation_mode": "str",
    "truncation_grid": "list",
    "provenance": "dict",
    "config": "dict",
    "max_batch": "int",
}


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A generator that was loaded from disk.

    Attributes:
      generator: The generator, called as `generator(z, labels, truncation=...)`. A
        `SavedModelGenerator` cannot be copied, and its batch-norm statistics cannot be recomputed.
      class_names: One name for each class, or empty if the names are unknown.
      kind: "run", "model" (a converted model) or "saved_model".
      description: JSON values that identify the model, such as its path or handle, weights and
        iteration.
      folder: Folder of the model's files. It differs from the path in `description` if the model
        was opened by its handle in a hub.
    """

    generator: Generator | SavedModelGenerator
    class_names: tuple[str, ...]
    kind: str
    description: Mapping[str, object]
    folder: str


def open_discriminator(opened: OpenedModel) -> keras.Model:
    """Returns the discriminator that belongs to the generator of a run or converted model.

    Raises:
      ValueError: There is no discriminator, or it is damaged.
    """
    if opened.kind == "run":
        return restore_network(opened.folder, "discriminator", opened.description["iteration"])
    return load_network(read_directory(opened.folder), "discriminator")


def described(opened: OpenedModel) -> dict[str, object]:
    """Returns the description of a model and, for a fine-tuned run, of its source model."""
    model = dict(opened.description)
    if opened.kind == "run" and (record := read_initialization(opened.folder)) is not None:
        model["initialization"] = record
    return model


def open_model(path: str, *, raw: bool = False, iteration: int | None = None) -> OpenedModel:
    """Returns the generator in a folder. The kind of model is detected from the folder's files.

    Args:
      path: Folder of a run, of a converted model or of a SavedModel; or the handle of a model in a
        hub, see `handles.resolve`.
      raw: Whether to load the generator in training instead of its moving average. Only for runs.
      iteration: Iteration of the checkpoint to load, or None for the newest readable checkpoint.
        Only for runs.

    Raises:
      ValueError: The folder holds no model, the model is damaged, or `raw` or `iteration` is given
        and the folder is not a run.
    """
    resolved = resolve(path)
    folder = resolved.path
    file_system.require_existing("model", folder, f"the folder of {KINDS}")
    checks.require(file_system.isdir(folder), f"--model must be the folder of {KINDS}", model=path)
    if is_run(folder):
        return _of_run(resolved, raw, iteration)
    checks.require(
        not raw and iteration is None,
        "--raw and --iteration choose weights of a run, and this is not a run; leave them out",
        path=path,
    )
    if is_model_directory(folder):
        return _of_model_directory(resolved)
    require_no_other_export(folder, "--format=saved_model or --format=safetensors")
    checks.require(
        is_saved_model(folder),
        f"the folder holds no model; --model must be the folder of {KINDS}",
        model=path,
    )
    generator = SavedModelGenerator(folder)
    told = ("provenance", "truncation_mode", "bn", "dtype", "compute_dtype")
    description = {"path": resolved.name, "kind": "saved_model"}
    description |= {name: generator.metadata[name] for name in told if name in generator.metadata}
    return OpenedModel(generator, generator.class_names, "saved_model", description, folder)


def _of_run(resolved, raw, iteration):
    name = "generator" if raw else "average"
    restored = restore_networks(resolved.path, [name], iteration)
    description = {
        "path": resolved.name,
        "kind": "run",
        "weights": "raw" if raw else "ema",
        "iteration": restored.iteration,
    }
    names = read_class_names(resolved.path)
    return OpenedModel(restored.networks[name], names, "run", description, resolved.path)


def _of_model_directory(resolved):
    directory = read_directory(resolved.path)
    generator = load_network(directory, "generator")
    provenance = dict(directory.provenance)
    description = {"path": resolved.name, "kind": "model", "provenance": provenance}
    return OpenedModel(generator, directory.class_names, "model", description, resolved.path)


def write_metadata(folder: str, metadata: Mapping[str, object], place: str = EXTRA_FOLDER) -> None:
    """Writes the metadata of the export in `folder` to tf_biggan.json.

    Args:
      folder: Folder of the export.
      metadata: JSON values by name.
      place: Sub-folder of `folder` for the file: assets.extra in SavedModels, "" in other exports.
    """
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **metadata}
    with open(os.path.join(folder, place, METADATA_FILE), "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_metadata(folder: str) -> dict:
    """Returns the metadata of the SavedModel in `folder`.

    Returns:
      The content of assets.extra/tf_biggan.json, or {} if another program wrote the SavedModel.

    Raises:
      ValueError: The metadata is damaged. The message names the file and the field.
    """
    path = os.path.join(folder, EXTRA_FOLDER, METADATA_FILE)
    try:
        content = read_json(path)
    except OSError:
        return {}
    if content.get("format") != FORMAT:
        return {}
    for name, kind in METADATA_KINDS.items():
        field(content, name, kind, path, None)
    return content


def require_no_other_export(folder: str, formats: str) -> None:
    """Raises ValueError if a folder holds an export in a format that the caller cannot open.

    Args:
      folder: Folder that holds no SavedModel.
      formats: Flags of the formats that the caller can open, for the message.
    """
    try:
        content = read_json(os.path.join(folder, METADATA_FILE))
    except (OSError, ValueError):
        return
    kind = content.get("export_format") if content.get("format") == FORMAT else None
    checks.require(
        not isinstance(kind, str) or kind not in OTHER_EXPORTS,
        f"the folder holds {OTHER_EXPORTS.get(kind)}; to open the model here, export it with"
        f" {formats}",
        path=folder,
    )


def is_saved_model(path: str) -> bool:
    """Returns whether a folder holds a SavedModel."""
    return file_system.isfile(os.path.join(path, tensorflow_files.SAVED_MODEL_FILE))


class SavedModelGenerator:
    """Generates images with a SavedModel that has the signature "default" (z, y, truncation).

    It is called like a `Generator` and has the same attributes for sizes, such as `latent_dim`. It
    cannot be trained, and its batch-norm statistics cannot be recomputed.

    Args:
      path: Folder of the SavedModel.

    Attributes:
      latent_dim, num_classes, image_size, image_channels: The same as for `Generator`.
      metadata: Metadata that `python -m tf_biggan.export` wrote, or {} if another program wrote the
        SavedModel.
      class_names: One name for each class, or empty if the names are unknown.
      truncation_mode: "scale" or "resample", see `tf_biggan.generation.latents`; "scale" if the
        metadata does not name the mode.

    Raises:
      ValueError: The SavedModel cannot be loaded, or has no signature "default".
    """

    def __init__(self, path: str):
        self._module = tensorflow_files.load_saved_model(path)
        checks.require(
            SIGNATURE in self._module.signatures,
            f"the SavedModel has no signature {SIGNATURE!r}; export the model with `python -m"
            " tf_biggan.export`",
            path=path,
            signatures=sorted(self._module.signatures),
        )
        self.path = path
        self._function = self._module.signatures[SIGNATURE]
        inputs = self._function.structured_input_signature[1]
        (self._output,) = self._function.structured_outputs
        self._per_sample = inputs["truncation"].shape.rank is None
        self.latent_dim = int(inputs["z"].shape[-1])
        self.num_classes = int(inputs["y"].shape[-1]) if "y" in inputs else 0
        shape = self._function.structured_outputs[self._output].shape
        self.image_size = (int(shape[1]), int(shape[2]))
        self.image_channels = int(shape[3])
        self.metadata = read_metadata(path)
        self.class_names = tuple(self.metadata.get("class_names", ()))
        self.truncation_mode = self.metadata.get("truncation_mode", "scale")

    def __call__(self, z, labels=None, truncation=None, training=False) -> tf.Tensor:
        """Returns images [N, H, W, C] in [-1, 1]; arguments as for `Generator`."""
        checks.require(
            not training,
            "an exported SavedModel cannot run in training mode; open the run or the"
            " converted model instead",
            training=training,
        )
        inputs = {"z": tf.convert_to_tensor(z, tf.float32)}
        labels = from_list("labels", labels)
        check_labels(labels, self.num_classes, inputs["z"].shape[0])
        if self.num_classes:
            inputs["y"] = self._weights(labels)
        truncation = tf.cast(1.0 if truncation is None else truncation, tf.float32)
        if truncation.shape.rank and not self._per_sample:
            return self._one_by_one(inputs, truncation)
        inputs["truncation"] = truncation
        return self._function(**inputs)[self._output]

    def embed(self, labels) -> tf.Tensor:
        """Returns class weights [N, num_classes], which `synthesize` takes as `embeddings`.

        The signature of the SavedModel takes class weights, not embeddings. Class embeddings are
        linear in the weights, so mixing weights is the same as mixing embeddings.

        Args:
          labels: Class indices [N], or class weights [N, num_classes].
        """
        labels = from_list("labels", labels)
        check_labels(labels, self.num_classes, None)
        return self._weights(labels)

    def synthesize(self, z, embeddings=None, truncation=None, training=False) -> tf.Tensor:
        """Returns images [N, H, W, C] in [-1, 1] for latent vectors and class weights.

        Args:
          z: Latent vectors [N, latent_dim].
          embeddings: Class weights [N, num_classes] from `embed`, or mixtures of them. None for an
            unconditional model.
          truncation: Truncation, a scalar or [N]. None means 1.
          training: Must be False.
        """
        return self(z, embeddings, truncation, training)

    def _one_by_one(self, inputs, truncation):
        """Generates image by image, for SavedModels that take a single truncation for a batch."""
        made = []
        for row, value in enumerate(tf.unstack(truncation)):
            one = {name: array[row : row + 1] for name, array in inputs.items()}
            made.append(self._function(**one, truncation=value)[self._output])
        return tf.concat(made, axis=0)

    def _weights(self, labels):
        labels = tf.convert_to_tensor(labels)
        if labels.dtype.is_integer:
            return tf.one_hot(labels, self.num_classes)
        return tf.cast(labels, tf.float32)
