"""Exported SavedModels as generators: the signature of DeepMind's modules behind our call."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from tf_biggan import checks
from tf_biggan.model_store.export_metadata import read_metadata

SAVED_MODEL_FILE = "saved_model.pb"
SIGNATURE = "default"
EMBED, SYNTHESIZE = "embed", "synthesize"


def is_saved_model(path: str) -> bool:
    """Whether a folder holds a SavedModel."""
    return os.path.isfile(os.path.join(path, SAVED_MODEL_FILE))


class SavedModelGenerator:
    """Images from a SavedModel with the signature "default" (z, y, truncation).

    It can be called, and asked for its sizes, as a `Generator` can; it cannot be trained, and its
    batch statistics cannot be taken.

    Attributes:
      latent_dim, num_classes, image_size, image_channels: as of `Generator`.
      metadata: what `python -m tf_biggan.export` wrote into it; {} in SavedModels of others.
      class_names: one name a class; empty where none are known.
      truncation_mode: what a truncation of its latents means; "scale" where it is not known.

    Raises:
      ValueError: the folder cannot be loaded, or has no such signature.
    """

    def __init__(self, path: str):
        try:
            self._module = tf.saved_model.load(path)
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ValueError(
                f"A SavedModel must be complete. Received: {path} ({str(error).splitlines()[0]})."
            ) from error
        checks.require(
            SIGNATURE in self._module.signatures,
            f"a SavedModel must have the signature {SIGNATURE!r}, which `export` writes",
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
        """Images [N, H, W, C] in [-1, 1]; the arguments are those of `Generator`."""
        checks.require(not training, "a SavedModel has no batch statistics", training=training)
        inputs = {"z": tf.convert_to_tensor(z, tf.float32)}
        if self.num_classes:
            inputs["y"] = self._weights(labels)
        if not self._per_sample and np.ndim(truncation):
            return self._one_by_one(inputs, truncation)
        inputs["truncation"] = _truncation(truncation)
        return self._function(**inputs)[self._output]

    def embed(self, labels) -> tf.Tensor:
        """What `synthesize` takes for these labels: class embeddings, or class weights.

        Raises:
          ValueError: the SavedModel has no signature for it.
        """
        labels, function = tf.convert_to_tensor(labels), self._signature(EMBED)
        if labels.dtype.is_integer:
            return function(label=tf.cast(labels, tf.int64))["embedding"]
        table = function(label=tf.range(self.num_classes, dtype=tf.int64))["embedding"]
        return tf.matmul(tf.cast(labels, tf.float32), table)

    def synthesize(self, z, embeddings=None, truncation=None, training=False) -> tf.Tensor:
        """Images [N, H, W, C] in [-1, 1]; the arguments are those of `Generator.synthesize`.

        Raises:
          ValueError: the SavedModel has no signature for it.
        """
        checks.require(not training, "a SavedModel has no batch statistics", training=training)
        inputs = {"z": tf.convert_to_tensor(z, tf.float32), "truncation": _truncation(truncation)}
        if self.num_classes:
            inputs["embedding"] = tf.convert_to_tensor(embeddings, tf.float32)
        return self._signature(SYNTHESIZE)(**inputs)["images"]

    def _signature(self, name):
        checks.require(
            name in self._module.signatures,
            f"a SavedModel must have the signature {name!r} for this, which `export` writes",
            path=self.path,
            signatures=sorted(self._module.signatures),
        )
        return self._module.signatures[name]

    def _one_by_one(self, inputs, truncation):
        """Other people's modules take one truncation for a batch."""
        made = []
        for row, value in enumerate(np.asarray(truncation)):
            one = {name: array[row : row + 1] for name, array in inputs.items()}
            made.append(self._function(**one, truncation=_truncation(value))[self._output])
        return tf.concat(made, axis=0)

    def _weights(self, labels):
        labels = tf.convert_to_tensor(labels)
        if labels.dtype.is_integer:
            return tf.one_hot(labels, self.num_classes)
        return tf.cast(labels, tf.float32)


def _truncation(value):
    return tf.constant(1.0 if value is None else value, tf.float32)
