"""The object that is saved, and the function of every signature, over closed-over networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf

from tf_biggan.data.classes import ClassLookup
from tf_biggan.exporting.inference_generator import StoredWeights
from tf_biggan.exporting.paths_in_graph import slerp
from tf_biggan.exporting.request_checks import MAX_STEPS, checked, checked_inputs
from tf_biggan.generation.latents import latents
from tf_biggan.generation.paths import lerp
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator

# Images of an interpolation: rows times frames, as a multiple of the largest batch.
FRAMES_PER_ROW = 4
MOST_EMBEDDINGS = 1 << 16
INPUT_TYPES = {
    "label": tf.int64,
    "seed": tf.int64,
    "steps": tf.int64,
    "truncation": tf.float32,
    "class_name": tf.string,
}
# Inputs that an unconditional generator has not.
OF_CLASSES = ("y", "label", "start_label", "end_label", "class_name", "embedding")
GENERATE = ("label", "seed", "truncation")
INTERPOLATE = ("start_label", "start_seed", "end_label", "end_seed", "steps", "truncation")


@dataclasses.dataclass(frozen=True)
class ExportedParts:
    """What signatures are made of.

    Attributes:
      generator: for inference.
      discriminator: for `discriminate`, or None.
      class_names: one name a class, or none.
      truncation_mode: of the latents that are drawn inside.
      dtype: of the stored kernels.
      max_batch: most rows of one request.
    """

    generator: Generator
    discriminator: Discriminator | None
    class_names: tuple[str, ...]
    truncation_mode: str
    dtype: str
    max_batch: int


class ExportedModule(tf.Module):
    """What `hub.load` gives back: `module(z, y, truncation)`, images [N, H, W, C] in [-1, 1].

    Without classes it is `module(z, truncation)`; truncation is a scalar or [N], 1 if left out.

    Attributes:
      variables, trainable_variables, regularization_losses: lists, also after loading.
    """

    # In tf.Module these are computed, and a loaded object would not have them.
    variables = trainable_variables = None

    def __init__(self, endpoints: Endpoints):
        super().__init__()
        self.variables = endpoints.variables
        self.trainable_variables = endpoints.trainable_variables
        self.regularization_losses = []
        specs = endpoints.specs(("z", "y", "truncation"))
        if "y" in specs:

            def call(z, y, truncation=1.0):
                return endpoints.default(z, truncation, y)["default"]
        else:

            def call(z, truncation=1.0):
                return endpoints.default(z, truncation)["default"]

        signature = list(specs.values())
        self.__call__ = tf.function(call, autograph=False, input_signature=signature)


class Endpoints:
    """The functions of all signatures; each takes its inputs by name and gives its outputs so.

    Args:
      parts: what they are made of.
    """

    def __init__(self, parts: ExportedParts):
        self._parts, self._generator = parts, parts.generator
        self._weights = StoredWeights(parts.generator, parts.dtype)
        self.variables = list(self._weights.variables)
        self.trainable_variables = list(self._weights.trainable)
        if parts.discriminator is not None:
            self._d_weights = StoredWeights(parts.discriminator, parts.dtype)
            self.variables += self._d_weights.variables
            self.trainable_variables += self._d_weights.trainable
        # One graph, which all signatures call: files are smaller than with copies.
        specs = [self._spec("z"), self._spec("truncation")]
        specs += [self._spec("embedding")] if self._generator.num_classes else []
        function = tf.function(self._synthesized, autograph=False, input_signature=specs)
        self._synthesize = function.get_concrete_function()
        self._names, self._name_labels = _spellings(parts.class_names)

    def signatures(self) -> dict[str, Callable]:
        """Concrete functions by the name of their signature."""
        made = {
            "default": self._concrete(self.default, "z", "y", "truncation"),
            "generate": self._concrete(self.generate, *GENERATE),
            "generate_png": self._concrete(self.generate_png, *GENERATE),
            "interpolate": self._concrete(self.interpolate, *INTERPOLATE),
            "synthesize": self._concrete(self.synthesize, "z", "embedding", "truncation"),
        }
        made["serving_default"] = made["generate"]
        if self._generator.num_classes:
            made["embed"] = self._concrete(self.embed, "label")
        if self._parts.class_names:
            inputs = ("class_name", "seed", "truncation")
            made["generate_png_by_name"] = self._concrete(self.generate_png_by_name, *inputs)
        if self._parts.discriminator is not None:
            made["discriminate"] = self._concrete(self.discriminate, "images", "label")
        return made

    def specs(self, names) -> dict[str, tf.TensorSpec]:
        """Specifications of the inputs of these names that the model has, in their order."""
        specs = {
            name: self._spec(name)
            for name in names
            if self._generator.num_classes or name not in OF_CLASSES
        }
        if "z" in specs:
            specs["truncation"] = tf.TensorSpec(None, tf.float32, "truncation")
        return specs

    def default(self, z, truncation, y=None):
        """Images of latents that are truncated already."""
        inputs = self._checked(z=z, y=y, truncation=truncation)
        embeddings = None if y is None else self._embeddings(inputs["y"])
        return {"default": self._images(inputs["z"], embeddings, inputs["truncation"])}

    def synthesize(self, z, truncation, embedding=None):
        """Images of latents and class embeddings."""
        inputs = self._checked(z=z, embedding=embedding, truncation=truncation)
        images = self._images(inputs["z"], inputs.get("embedding"), inputs["truncation"])
        return {"images": images}

    def embed(self, label):
        """Class embeddings, or class weights where the generator has a table in every norm."""
        inputs = {"label": label}
        label = checked_inputs(inputs, self._generator.num_classes, "", MOST_EMBEDDINGS)["label"]
        return {"embedding": self._embeddings(label)}

    def generate(self, seed, truncation, label=None):
        """Bytes of images drawn from seeds."""
        inputs = self._checked(label=label, seed=seed, truncation=truncation)
        return {"images": self._drawn(inputs["seed"], inputs["truncation"], inputs.get("label"))}

    def generate_png(self, seed, truncation, label=None):
        """The same as PNG files."""
        return {"image_bytes": _png(self.generate(seed, truncation, label)["images"])}

    def generate_png_by_name(self, class_name, seed, truncation):
        """The same by the name of a class, or a part of it that is no other's."""
        inputs = self._checked(class_name=class_name, seed=seed, truncation=truncation)
        label = self._labels(inputs["class_name"])
        images = self._drawn(inputs["seed"], inputs["truncation"], label)
        return {"image_bytes": _png(images)}

    def interpolate(
        self, start_seed, end_seed, steps, truncation, start_label=None, end_label=None
    ):
        """Bytes of the images between two: [N, max(steps), H, W, C]."""
        inputs = self._checked(
            start_label=start_label,
            start_seed=start_seed,
            end_label=end_label,
            end_seed=end_seed,
            steps=steps,
            truncation=truncation,
        )
        truncation, steps = inputs["truncation"], self._few_frames(inputs["steps"])
        start, end = (self._latents(inputs[f"{w}_seed"], truncation) for w in ("start", "end"))
        labels = [inputs[name] for name in ("start_label", "end_label") if name in inputs]
        ends = [self._embeddings(label) for label in labels]

        def frame(index):
            # Beyond its own steps a row stays at its end.
            fraction = tf.minimum(index / tf.cast(steps - 1, tf.float64), 1.0)
            embeddings = None
            if ends:
                embeddings = lerp(*ends, tf.cast(fraction, tf.float32)[:, None])
            return _bytes(self._images(slerp(start, end, fraction), embeddings, truncation))

        count = tf.reduce_max(tf.concat([steps, [1]], axis=0))
        # Frame after frame, so that memory is that of one batch.
        frames = tf.map_fn(
            frame,
            tf.range(tf.cast(count, tf.float64), dtype=tf.float64),
            fn_output_signature=tf.TensorSpec([None, *self._image_shape], tf.uint8),
            parallel_iterations=1,
        )
        return {"images": tf.transpose(frames, (1, 0, 2, 3, 4))}

    def discriminate(self, images, label=None):
        """The discriminator's logits."""
        inputs = self._checked(images=images, label=label)
        if label is not None:
            inputs["labels"] = inputs.pop("label")
        with self._d_weights.scope():
            return {"score": _not_empty(self._parts.discriminator, **inputs)}

    @property
    def _image_shape(self):
        return (*self._generator.image_size, self._generator.image_channels)

    def _concrete(self, function, *names):
        return tf.function(function, autograph=False).get_concrete_function(**self.specs(names))

    def _spec(self, name):
        generator = self._generator
        embeds = generator.class_embedding is not None
        widths = {
            "z": (generator.latent_dim,),
            "y": (generator.num_classes,),
            "embedding": (generator.embedding_dim if embeds else generator.num_classes,),
            "images": self._image_shape,
        }
        if name in widths:
            return tf.TensorSpec([None, *widths[name]], tf.float32, name)
        kind = INPUT_TYPES[name.removeprefix("start_").removeprefix("end_")]
        return tf.TensorSpec([None], kind, name)

    def _checked(self, **inputs) -> Mapping[str, tf.Tensor]:
        parts = self._parts
        return checked_inputs(
            inputs, self._generator.num_classes, parts.truncation_mode, parts.max_batch
        )

    def _images(self, z, embeddings, truncation):
        # A scalar becomes [N], so that its rank is known.
        inputs = {"z": z, "truncation": tf.broadcast_to(truncation, tf.shape(z)[:1])}
        if embeddings is not None:
            inputs["embeddings"] = embeddings
        return self._synthesize(*inputs.values())

    def _synthesized(self, z, truncation, embeddings=None):
        inputs = {"z": z, "truncation": truncation}
        if embeddings is not None:
            inputs["embeddings"] = embeddings
        with self._weights.scope():
            images = _not_empty(self._generator.synthesize, **inputs)
        return tf.ensure_shape(images, (None, *self._image_shape))

    def _embeddings(self, label):
        if self._generator.class_embedding is None:
            is_index = label.dtype.is_integer
            return tf.one_hot(label, self._generator.num_classes) if is_index else label
        with self._weights.scope():
            return tf.cast(self._generator.embed(label), tf.float32)

    def _latents(self, seed, truncation):
        dim = self._generator.latent_dim
        z = latents(seed, tf.zeros_like(seed), dim, truncation, self._parts.truncation_mode)
        return tf.ensure_shape(z, (None, dim))

    def _drawn(self, seed, truncation, label):
        embeddings = None if label is None else self._embeddings(label)
        return _bytes(self._images(self._latents(seed, truncation), embeddings, truncation))

    def _labels(self, class_name):
        normal = tf.strings.regex_replace(class_name, r"[_\s]+", " ")
        normal = tf.strings.lower(tf.strings.strip(normal), encoding="utf-8")
        found = tf.equal(normal[:, None], tf.constant(self._names))
        known = tf.reduce_any(found, axis=1)
        rule = "`class_name` must be a class's name, or a part of it that no other class has"
        class_name = checked(class_name, rule, known, class_name)
        with tf.control_dependencies([class_name]):
            return tf.gather(tf.constant(self._name_labels, tf.int64), tf.argmax(found, axis=1))

    def _few_frames(self, steps):
        most = max(MAX_STEPS, FRAMES_PER_ROW * self._parts.max_batch)
        images = tf.size(steps, out_type=tf.int64) * tf.reduce_max(tf.concat([steps, [0]], axis=0))
        rule = f"Rows times `steps` of a request must be at most {most} images"
        return checked(steps, rule, images <= most, images)


def _not_empty(function, **inputs):
    """`function` of inputs [N, ...], with a row of zeros in place of none.

    oneDNN's convolutions of empty batches have outputs of wrong shapes (TensorFlow 2.21).
    """
    count = tf.shape(next(iter(inputs.values())))[0]
    missing = tf.cast(tf.equal(count, 0), tf.int32)
    filled = {
        name: tf.pad(value, [[0, missing]] + [[0, 0]] * (value.shape.rank - 1))
        for name, value in inputs.items()
    }
    return function(**filled)[:count]


def _bytes(images):
    """As `tf_biggan.files.png.to_uint8`."""
    levels = tf.floor(127.5 * (tf.cast(images, tf.float64) + 1.0) + 0.5)
    return tf.cast(tf.clip_by_value(levels, 0, 255), tf.uint8)


def _png(images):
    return tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.string)


def _spellings(class_names) -> tuple[list[str], list[int]]:
    """What a class may be called by, and the classes."""
    if not class_names:
        return [], []
    found = ClassLookup(class_names).spellings()
    return list(found), list(found.values())
