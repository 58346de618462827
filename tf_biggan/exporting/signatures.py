"""Defines the functions of all signatures of an exported SavedModel, and the object to save.

Inputs are checked inside the graph. A failed check raises InvalidArgumentError with one sentence.
Each check returns its input, and the following operations use that result. They therefore run after
the check, and cannot fail first with a less clear error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf

from tf_biggan.cli.seeds_and_truncations import MAX_SEED
from tf_biggan.data.classes import ClassLookup
from tf_biggan.exporting.inference_generator import StoredWeights
from tf_biggan.generation.interpolation_paths import lerp, slerp_in_graph
from tf_biggan.generation.latents import latents
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator

# Maximum number of images of an "interpolate" request (rows times frames), as a multiple of the
# maximum batch size. A request may always have MAX_STEPS images.
FRAMES_PER_ROW = 4
MOST_EMBEDDINGS = 1 << 16
INPUT_TYPES = {
    "label": tf.int64,
    "seed": tf.int64,
    "steps": tf.int64,
    "truncation": tf.float32,
    "class_name": tf.string,
}
# Inputs that the signatures of an unconditional generator do not have.
OF_CLASSES = ("y", "label", "start_label", "end_label", "class_name", "embedding")
GENERATE = ("label", "seed", "truncation")
INTERPOLATE = ("start_label", "start_seed", "end_label", "end_seed", "steps", "truncation")
MIN_STEPS, MAX_STEPS = 2, 64


@dataclasses.dataclass(frozen=True)
class ExportedParts:
    """Networks and settings from which the signatures are built.

    Attributes:
      generator: Generator for inference.
      discriminator: Discriminator for the signature "discriminate", or None to leave it out.
      class_names: One name for each class, or empty to leave out "generate_png_by_name".
      truncation_mode: "scale" or "resample", the meaning of `truncation` for latent vectors that
        are sampled inside the graph. See `tf_biggan.generation.latents`.
      dtype: Dtype of the stored kernels.
      max_batch: Maximum number of rows of one request.
    """

    generator: Generator
    discriminator: Discriminator | None
    class_names: tuple[str, ...]
    truncation_mode: str
    dtype: str
    max_batch: int


class Endpoints:
    """Functions of all signatures. Each takes tensors by name and returns tensors by name.

    Shapes of the inputs: `z` [N, latent_dim], `y` [N, num_classes], `embedding` [N, embedding_dim],
    `images` [N, H, W, C], and [N] for all others. `truncation` may also be a scalar together with
    `z`. Latent vectors `z` must already be truncated; `truncation` then only selects the batch-norm
    statistics.

    Args:
      parts: Networks and settings from which the functions are built.

    Attributes:
      variables: Variables of all networks.
      trainable_variables: Trainable variables of all networks.
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
        # All signatures call this one graph, so that the file does not store a copy for each.
        specs = [self._spec("z"), self._spec("truncation")]
        specs += [self._spec("embedding")] if self._generator.num_classes else []
        function = tf.function(self._synthesized, autograph=False, input_signature=specs)
        self._synthesize = function.get_concrete_function()
        self._names, self._name_labels = _spellings(parts.class_names)

    def signatures(self) -> dict[str, Callable]:
        """Returns the concrete function of each signature, by name."""
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
        """Returns the specifications of inputs, in order. Inputs that the model lacks are left out.

        Args:
          names: Names of the inputs.
        """
        specs = {
            name: self._spec(name)
            for name in names
            if self._generator.num_classes or name not in OF_CLASSES
        }
        if "z" in specs:
            specs["truncation"] = tf.TensorSpec(None, tf.float32, "truncation")
        return specs

    def default(self, z, truncation, y=None):
        """Returns "default": images [N, H, W, C] in [-1, 1] for truncated latents and classes."""
        inputs = self._checked(z=z, y=y, truncation=truncation)
        embeddings = None if y is None else self._embeddings(inputs["y"])
        return {"default": self._images(inputs["z"], embeddings, inputs["truncation"])}

    def synthesize(self, z, truncation, embedding=None):
        """Returns "images": images [N, H, W, C] in [-1, 1] for latents and class embeddings."""
        inputs = self._checked(z=z, embedding=embedding, truncation=truncation)
        images = self._images(inputs["z"], inputs.get("embedding"), inputs["truncation"])
        return {"images": images}

    def embed(self, label):
        """Returns "embedding": the class embeddings of labels, for the signature "synthesize".

        For a generator without a class embedding, these are one-hot class weights.
        """
        inputs = {"label": label}
        label = checked_inputs(inputs, self._generator.num_classes, "", MOST_EMBEDDINGS)["label"]
        return {"embedding": self._embeddings(label)}

    def generate(self, seed, truncation, label=None):
        """Returns "images": uint8 images [N, H, W, C] whose latents are sampled from the seeds."""
        inputs = self._checked(label=label, seed=seed, truncation=truncation)
        return {"images": self._drawn(inputs["seed"], inputs["truncation"], inputs.get("label"))}

    def generate_png(self, seed, truncation, label=None):
        """Returns "image_bytes": the images of `generate` as PNG files [N]."""
        return {"image_bytes": _png(self.generate(seed, truncation, label)["images"])}

    def generate_png_by_name(self, class_name, seed, truncation):
        """Returns "image_bytes": PNG files [N] for classes given by name.

        A part of a name between commas is enough if no other class has this part.
        """
        inputs = self._checked(class_name=class_name, seed=seed, truncation=truncation)
        label = self._labels(inputs["class_name"])
        images = self._drawn(inputs["seed"], inputs["truncation"], label)
        return {"image_bytes": _png(images)}

    def interpolate(
        self, start_seed, end_seed, steps, truncation, start_label=None, end_label=None
    ):
        """Returns "images": uint8 frames [N, max(steps), H, W, C] between two images.

        Latents are interpolated spherically and class embeddings linearly. A row with fewer steps
        than others repeats its last frame.
        """
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
            # A row with fewer steps than others repeats its last frame.
            fraction = tf.minimum(index / tf.cast(steps - 1, tf.float64), 1.0)
            embeddings = None
            if ends:
                embeddings = lerp(*ends, tf.cast(fraction, tf.float32)[:, None])
            return _bytes(
                self._images(slerp_in_graph(start, end, fraction), embeddings, truncation)
            )

        count = tf.reduce_max(tf.concat([steps, [1]], axis=0))
        # One frame of all rows is computed at a time, so this needs only the memory of one batch.
        frames = tf.map_fn(
            frame,
            tf.range(tf.cast(count, tf.float64), dtype=tf.float64),
            fn_output_signature=tf.TensorSpec([None, *self._image_shape], tf.uint8),
            parallel_iterations=1,
        )
        return {"images": tf.transpose(frames, (1, 0, 2, 3, 4))}

    def discriminate(self, images, label=None):
        """Returns "score": the discriminator's logits for images [N, H, W, C] in [-1, 1]."""
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
        # A scalar truncation becomes [N], so that its rank is known in the shared graph.
        inputs = {"z": z, "truncation": tf.broadcast_to(truncation, tf.shape(z)[:1])}
        if embeddings is not None:
            inputs["embeddings"] = embeddings
        return self._synthesize(*inputs.values())

    def _synthesized(self, z, truncation, embeddings=None):
        """Returns images [N, H, W, C]. This is the graph that all signatures share."""
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
        """Returns the labels [N] of class names [N], ignoring case, spaces and underscores."""
        normal = tf.strings.regex_replace(class_name, r"[_\s]+", " ")
        normal = tf.strings.lower(tf.strings.strip(normal), encoding="utf-8")
        found = tf.equal(normal[:, None], tf.constant(self._names))
        known = tf.reduce_any(found, axis=1)
        rule = (
            "`class_name` must be the name of a class, or a part of a name between commas that no"
            " other class has"
        )
        class_name = checked(class_name, rule, known, class_name)
        with tf.control_dependencies([class_name]):
            return tf.gather(tf.constant(self._name_labels, tf.int64), tf.argmax(found, axis=1))

    def _few_frames(self, steps):
        """Returns `steps` after checking that the request does not ask for too many images."""
        most = max(MAX_STEPS, FRAMES_PER_ROW * self._parts.max_batch)
        images = tf.size(steps, out_type=tf.int64) * tf.reduce_max(tf.concat([steps, [0]], axis=0))
        rule = f"A request may ask for at most {most} images (rows times `steps`)"
        return checked(steps, rule, images <= most, images)


class ExportedModule(tf.Module):
    """The object that an export saves and that `hub.load` returns.

    Calling it as `module(z, y, truncation)` returns images [N, H, W, C] in [-1, 1]. `z` are latent
    vectors [N, latent_dim] and `y` class weights [N, num_classes], such as one-hot labels. Without
    classes, the call is `module(z, truncation)`. `truncation` is a scalar or [N], by default 1.

    Args:
      endpoints: Functions of the signatures.

    Attributes:
      variables, trainable_variables, regularization_losses: Lists, which TF-Hub expects.
    """

    # In tf.Module these are properties, which a loaded SavedModel would not have.
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


def _not_empty(function, **inputs):
    """Calls a function on inputs [N, ...] so that an empty batch (N = 0) works too.

    oneDNN's convolutions of empty batches return wrong shapes (TensorFlow 2.21). An empty batch is
    therefore run with one row of zeros, and that row is removed from the result.
    """
    count = tf.shape(next(iter(inputs.values())))[0]
    missing = tf.cast(tf.equal(count, 0), tf.int32)
    filled = {
        name: tf.pad(value, [[0, missing]] + [[0, 0]] * (value.shape.rank - 1))
        for name, value in inputs.items()
    }
    return function(**filled)[:count]


def _bytes(images):
    """Converts images from [-1, 1] to uint8 in [0, 255], like `tf_biggan.files.png.to_uint8`."""
    levels = tf.floor(127.5 * (tf.cast(images, tf.float64) + 1.0) + 0.5)
    return tf.cast(tf.clip_by_value(levels, 0, 255), tf.uint8)


def _png(images):
    return tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.string)


def _spellings(class_names) -> tuple[list[str], list[int]]:
    """Returns all names and parts of names that identify a class, and the label of each."""
    if not class_names:
        return [], []
    found = ClassLookup(class_names).spellings()
    return list(found), list(found.values())


def checked_inputs(
    inputs: Mapping[str, tf.Tensor], num_classes: int, mode: str, max_batch: int
) -> dict[str, tf.Tensor]:
    """Returns the inputs of a signature after checking their values and numbers of rows.

    Args:
      inputs: Inputs by name. The first dimension is the batch, except that `truncation` may be a
        scalar. Inputs that are None are left out.
      num_classes: Number of classes of the model.
      mode: Truncation mode. With "scale", the truncation must be at most 1.
      max_batch: Maximum number of rows of a request.
    """
    inputs = {name: value for name, value in inputs.items() if value is not None}
    inputs = _same_rows(inputs, max_batch)
    return {name: _checked_value(name, value, num_classes, mode) for name, value in inputs.items()}


def checked(value: tf.Tensor, rule: str, holds: tf.Tensor, received: tf.Tensor) -> tf.Tensor:
    """Returns `value` after checking that every element of `holds` is true.

    Args:
      value: Tensor to return.
      rule: Sentence without full stop that says what is accepted, for the error message.
      holds: Boolean tensor of any shape.
      received: Tensor to show in the error message.
    """
    told = tf.debugging.Assert(tf.reduce_all(holds), [f"{rule}. Received:", received])
    with tf.control_dependencies([told]):
        return tf.identity(value)


def _checked_value(name, value, num_classes, mode):
    if name.endswith("label"):
        return _between(name, value, 0, num_classes - 1)
    if name.endswith("seed"):
        return _between(name, value, 0, MAX_SEED)
    if name == "steps":
        return _between(name, value, MIN_STEPS, MAX_STEPS)
    if name == "truncation":
        return _truncation(value, mode)
    return _finite(name, value) if value.dtype.is_floating else value


def _between(name, value, minimum, maximum):
    holds = (value >= minimum) & (value <= maximum)
    return checked(value, f"`{name}` must be from {minimum} to {maximum}", holds, value)


def _truncation(value, mode):
    holds = tf.math.is_finite(value) & (value > 0)
    rule = "`truncation` must be a finite number above 0"
    if mode == "scale":
        holds, rule = holds & (value <= 1), "`truncation` must be above 0 and at most 1"
    return checked(value, rule, holds, value)


def _finite(name, value):
    faults = tf.reduce_sum(tf.cast(~tf.math.is_finite(value), tf.int32))
    rule = f"`{name}` must hold finite numbers only"
    return checked(value, rule, tf.equal(faults, 0), tf.strings.format("{} that are not", faults))


def _same_rows(inputs, max_batch):
    names = ", ".join(f"`{name}`" for name in inputs)
    counts = tf.stack([_rows(name, value) for name, value in inputs.items()])
    first = tf.reduce_max(counts)
    same = tf.reduce_all((counts == first) | (counts < 0))
    rules = (
        tf.debugging.Assert(same, [f"{names} must have equal numbers of rows. Received:", counts]),
        tf.debugging.Assert(
            first <= max_batch, [f"A request may have at most {max_batch} rows. Received:", first]
        ),
    )
    with tf.control_dependencies(rules):
        return {name: tf.identity(value) for name, value in inputs.items()}


def _rows(name, value):
    """Returns the number of rows of a tensor, or -1 for a scalar.

    Only a tensor of unknown rank can be a scalar.
    """
    if value.shape.rank is not None:
        return tf.shape(value)[0]
    rank = tf.rank(value)
    rule = tf.debugging.Assert(
        rank <= 1, [f"`{name}` must be a scalar or [N]. Received rank:", rank]
    )
    with tf.control_dependencies([rule]):
        return tf.where(tf.equal(rank, 0), -1, tf.size(value))
