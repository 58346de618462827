"""Small SavedModels with the signatures of an export and cheap arithmetic instead of a network."""

from __future__ import annotations

import tensorflow as tf

from tf_biggan.store.opened_model import EXTRA_FOLDER, write_metadata

SIDE = 16
# Width of the images of the SavedModel without classes.
WIDE = 24
LATENT_DIM = 4
CLASS_NAMES = ("robin", "sorrel horse", "crane", "crane", "daisy")
NUM_CLASSES = len(CLASS_NAMES)
MAX_STEPS = 64

LABEL, SEED, STEPS = (tf.TensorSpec([None], tf.int64, name) for name in ("label", "seed", "steps"))
TRUNCATION = tf.TensorSpec([None], tf.float32, "truncation")
ANY_TRUNCATION = tf.TensorSpec(None, tf.float32, "truncation")
NAME = tf.TensorSpec([None], tf.string, "class_name")
Z = tf.TensorSpec([None, LATENT_DIM], tf.float32, "z")
Y = tf.TensorSpec([None, NUM_CLASSES], tf.float32, "y")
IMAGES = tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "images")
ENDS = [
    tf.TensorSpec([None], tf.int64, name)
    for name in ("start_label", "start_seed", "end_label", "end_seed")
]


def picture(label: int, seed: int, truncation: float) -> list:
    """Returns the pixels [16, 16, 3] from 0 to 255 that a small SavedModel makes."""
    return [
        [
            [(label * 40) % 256, (seed * 7 + x * 8) % 256, int(truncation * 200) + y]
            for x in range(SIDE)
        ]
        for y in range(SIDE)
    ]


class Conditional(tf.Module):
    """All signatures of a generator with classes and class names."""

    @tf.function(input_signature=[Z, Y, ANY_TRUNCATION])
    def default(self, z, y, truncation):
        with _checked([(tf.math.is_finite(z), "`z` must be finite."), _truncation(truncation)]):
            level = tf.reduce_mean(z, -1) * truncation + tf.reduce_mean(y, -1)
        return {"default": tf.tanh(level)[:, None, None, None] * tf.ones([SIDE, SIDE, 3])}

    @tf.function(input_signature=[LABEL, SEED, TRUNCATION])
    def generate(self, label, seed, truncation):
        return {"images": _images(label, seed, truncation)}

    @tf.function(input_signature=[LABEL, SEED, TRUNCATION])
    def generate_png(self, label, seed, truncation):
        return {"image_bytes": _png(_images(label, seed, truncation))}

    @tf.function(input_signature=[NAME, SEED, TRUNCATION])
    def generate_png_by_name(self, class_name, seed, truncation):
        match = class_name[:, None] == tf.constant(CLASS_NAMES)
        with _checked([(tf.reduce_any(match, -1), "`class_name` must be a name of the model.")]):
            label = tf.argmax(tf.cast(match, tf.int32), -1)
        return {"image_bytes": _png(_images(label, seed, truncation))}

    @tf.function(input_signature=[*ENDS, STEPS, TRUNCATION])
    def interpolate(self, start_label, start_seed, end_label, end_seed, steps, truncation):
        within = (steps >= 2) & (steps <= MAX_STEPS)
        with _checked([(within, f"`steps` must be from 2 to {MAX_STEPS}.")]):
            frames = tf.range(tf.reduce_max(tf.concat([steps, [0]], 0)))
        first = _images(start_label, start_seed, truncation)
        last = _images(end_label, end_seed, truncation)
        is_first = (frames < steps[:, None] // 2)[..., None, None, None]
        return {"images": tf.where(is_first, first[:, None], last[:, None])}

    @tf.function(input_signature=[LABEL])
    def embed(self, label):
        return {"embedding": tf.one_hot(label, LATENT_DIM)}

    @tf.function(input_signature=[IMAGES, LABEL])
    def discriminate(self, images, label):
        return {"score": tf.reduce_mean(images, [1, 2, 3]) + tf.cast(label, tf.float32)}


class Unconditional(tf.Module):
    """All signatures of a generator without classes, whose images are wider than high."""

    @tf.function(input_signature=[SEED, TRUNCATION])
    def generate(self, seed, truncation):
        return {"images": _images(tf.zeros_like(seed), seed, truncation, WIDE)}

    @tf.function(input_signature=[SEED, TRUNCATION])
    def generate_png(self, seed, truncation):
        return {"image_bytes": _png(_images(tf.zeros_like(seed), seed, truncation, WIDE))}


def save_conditional(path: str) -> None:
    """Writes a SavedModel with classes."""
    names = ("default", "generate", "generate_png", "generate_png_by_name", "interpolate")
    metadata = {
        "class_names": CLASS_NAMES,
        "num_classes": NUM_CLASSES,
        "licence_note": "For tests.",
    }
    _save(Conditional(), path, (*names, "embed", "discriminate"), metadata)


def save_unconditional(path: str) -> None:
    """Writes a SavedModel without classes."""
    metadata = {"class_names": [], "image_size": [SIDE, WIDE]}
    _save(Unconditional(), path, ("generate", "generate_png"), metadata)


def _save(module: tf.Module, path: str, names: tuple[str, ...], metadata: dict) -> None:
    signatures = {name: getattr(module, name) for name in names}
    signatures["serving_default"] = module.generate
    tf.saved_model.save(module, path, signatures=signatures)
    tf.io.gfile.makedirs(f"{path}/{EXTRA_FOLDER}")
    write_metadata(path, {"image_size": [SIDE, SIDE], "truncation_mode": "scale", **metadata})


def _images(label, seed, truncation, width=SIDE):
    label_rule = f"`label` must be from 0 to {NUM_CLASSES - 1}."
    checks = [
        ((label >= 0) & (label < NUM_CLASSES), label_rule),
        (seed >= 0, "`seed` must be 0 or more."),
        _truncation(truncation),
    ]
    with _checked(checks):
        red = tf.identity(label) * 40 % 256
    across, down = (tf.range(side, dtype=tf.int64) for side in (width, SIDE))
    green = (seed[:, None] * 7 + across * 8) % 256
    blue = tf.cast(truncation * 200, tf.int64)[:, None] + down
    shape = [tf.shape(label)[0], SIDE, width]
    planes = [red[:, None, None], green[:, None, :], blue[:, :, None]]
    image = tf.stack([tf.broadcast_to(plane, shape) for plane in planes], -1)
    return tf.ensure_shape(tf.cast(image, tf.uint8), [None, SIDE, width, 3])


def _truncation(truncation):
    return (truncation > 0) & (truncation <= 1), "`truncation` must be above 0 and at most 1."


def _checked(checks):
    asserts = [tf.debugging.Assert(tf.reduce_all(holds), [rule]) for holds, rule in checks]
    return tf.control_dependencies(asserts)


def _png(images):
    return tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.TensorSpec([], tf.string))
