"""Every signature of an export, called with valid and invalid inputs."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_biggan.files.png import to_uint8
from tf_biggan.generation import latents as truncation
from tf_biggan.generation.interpolation_paths import lerp, slerp
from tf_biggan.store.opened_model import SavedModelGenerator

NAMES = "class 3"


def integers(*values):
    return tf.constant(values, tf.int64)


def floats(*values):
    return tf.constant(values, tf.float32)


@pytest.fixture(scope="module")
def call(loaded):
    """Calls a signature and returns its only output as an array."""

    def made(name, **inputs):
        (output,) = loaded.signatures[name](**inputs).values()
        return output.numpy()

    return made


@pytest.fixture(scope="module")
def opened(export_path):
    return SavedModelGenerator(export_path)


LABELS, SEEDS, TRUNCATIONS = (3, 0), (7, 2**30 - 1), (0.5, 1.0)
DRAWN = dict(label=integers(*LABELS), seed=integers(*SEEDS), truncation=floats(*TRUNCATIONS))


@pytest.fixture(scope="module")
def drawn(call):
    return call("generate", **DRAWN)


def test_an_image_is_a_function_of_label_seed_and_truncation(call, opened, drawn):
    z = truncation.latents(SEEDS, [0, 0], opened.latent_dim, TRUNCATIONS)
    images = opened(z, np.array(LABELS), truncation=np.array(TRUNCATIONS, "float32"))
    assert drawn.dtype == np.uint8 and drawn.std() > 1
    np.testing.assert_array_equal(drawn, to_uint8(images))
    alone = call("serving_default", **{name: value[1:] for name, value in DRAWN.items()})
    assert np.abs(alone[0].astype(int) - drawn[1]).max() <= 1


def test_png_files_are_the_same_images(call, drawn):
    for name, which in (("generate_png", {}), ("generate_png_by_name", _by_name())):
        inputs = {**DRAWN, **which}
        if which:
            del inputs["label"]
        files = call(name, **inputs)
        pixels = [np.asarray(Image.open(io.BytesIO(file))) for file in files]
        assert np.abs(np.stack(pixels).astype(int) - drawn).max() <= 1


def _by_name():
    # The whole name, and a part of it in another spelling.
    return {"class_name": tf.constant(["class 3, bird 3", " BIRD_0"])}


def test_embeddings_make_the_images_of_their_classes(call, opened):
    embeddings = call("embed", label=integers(*LABELS))
    z = np.random.RandomState(0).standard_normal((2, opened.latent_dim)).astype("float32")
    inputs = dict(z=floats(*z), truncation=tf.constant(0.5))
    images = call("synthesize", embedding=floats(*embeddings), **inputs)
    y = np.eye(opened.num_classes, dtype="float32")[list(LABELS)]
    np.testing.assert_allclose(images, call("default", y=floats(*y), **inputs), atol=1e-5)


def test_frames_between_two_images_and_the_last_again(call, opened, drawn):
    frames = call(
        "interpolate",
        start_label=integers(3, 0),
        start_seed=integers(*SEEDS),
        end_label=integers(0, 5),
        end_seed=integers(9, 11),
        steps=integers(2, 3),
        truncation=floats(*TRUNCATIONS),
    )
    assert frames.shape == (2, 3, *opened.image_size, 3) and frames.dtype == np.uint8
    assert np.abs(frames[:, 0].astype(int) - drawn).max() <= 1
    np.testing.assert_array_equal(frames[0, 1], frames[0, 2])
    ends = [
        np.asarray(truncation.latents([s], [0], opened.latent_dim, 1.0)) for s in (SEEDS[1], 11)
    ]
    embeddings = [opened.embed(np.array([label])) for label in (0, 5)]
    z = slerp(*ends, 0.5).astype("float32")
    middle = to_uint8(opened.synthesize(z, lerp(*embeddings, 0.5), truncation=1.0))
    assert np.abs(frames[1, 1].astype(int) - middle[0]).max() <= 1


def test_an_empty_batch_gives_an_empty_result(call, opened):
    none, nothing = integers(), floats()
    inputs = dict(label=none, seed=none, truncation=nothing)
    assert call("generate", **inputs).shape == (0, *opened.image_size, 3)
    assert call("generate_png", **inputs).shape == (0,)
    ends = dict(start_label=none, start_seed=none, end_label=none, end_seed=none, steps=none)
    assert call("interpolate", truncation=nothing, **ends).shape[0] == 0
    z, y = np.zeros((0, opened.latent_dim)), np.zeros((0, opened.num_classes))
    inputs = dict(z=tf.constant(z, tf.float32), y=tf.constant(y, tf.float32))
    assert call("default", truncation=tf.constant(0.5), **inputs).shape == (
        0,
        *opened.image_size,
        3,
    )


MANY = 2000
Z, Y = np.ones((2, 128), "float32"), np.eye(20, dtype="float32")[:2]
NAN = np.where(np.arange(128) == 5, np.nan, Z).astype("float32")
BAD = {
    "label beyond the last": (
        "generate",
        dict(label=integers(3, 20)),
        "`label` must be from 0 to 19",
    ),
    "negative label": ("generate", dict(label=integers(-1, 0)), "`label` must be from 0 to 19"),
    "negative seed": (
        "generate",
        dict(seed=integers(-1, 0)),
        "`seed` must be from 0 to 1073741823",
    ),
    "huge seed": ("generate", dict(seed=integers(2**62, 0)), "`seed` must be from 0"),
    "NaN": ("generate_png", dict(truncation=floats(np.nan, 1)), "`truncation` must be above 0 and"),
    "1e9": (
        "generate",
        dict(truncation=floats(1, 1e9)),
        "`truncation` must be above 0 and at most 1",
    ),
    "0": ("generate", dict(truncation=floats(1, 0)), "`truncation` must be above 0 and at most 1"),
    "unequal rows": ("generate", dict(seed=integers(1)), "must have equal numbers of rows"),
    "too many rows": (
        "generate",
        dict(
            label=tf.zeros(MANY, tf.int64), seed=tf.zeros(MANY, tf.int64), truncation=tf.ones(MANY)
        ),
        "at most 1024 rows",
    ),
    "wrong dtype": ("generate", dict(label=floats(1, 2)), "int64"),
    "unknown name": (
        "generate_png_by_name",
        dict(class_name=["tench"] * 2),
        "`class_name` must be",
    ),
    "embedding's label": ("embed", dict(label=integers(20)), "`label` must be from 0 to 19"),
    "NaN in z": ("default", dict(z=NAN, y=Y, truncation=0.5), "`z` must hold finite numbers only"),
    "NaN in y": ("default", dict(z=Z, y=Y * np.nan, truncation=0.5), "`y` must hold finite"),
    "scalar truncation": (
        "default",
        dict(z=Z, y=Y, truncation=2.0),
        "`truncation` must be above 0",
    ),
    "truncation of one row": ("default", dict(z=Z, y=Y, truncation=[0.5]), "equal numbers of rows"),
    "matrix of truncations": ("default", dict(z=Z, y=Y, truncation=[[0.5]]), "a scalar or"),
    "rows of z": ("default", dict(z=Z[:1], y=Y, truncation=0.5), "equal numbers of rows"),
    "NaN in an embedding": (
        "synthesize",
        dict(z=Z, embedding=NAN, truncation=0.5),
        "`embedding` must hold finite numbers only",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_with_one_sentence(loaded, case):
    name, changes, message = BAD[case]
    function = loaded.signatures[name]
    specs = function.structured_input_signature[1]
    inputs = {**{k: v for k, v in DRAWN.items() if k in specs}, **changes}
    kinds = {"wrong dtype": None}
    inputs = {
        key: tf.convert_to_tensor(value, None if case in kinds else specs[key].dtype)
        for key, value in inputs.items()
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        function(**inputs)


@pytest.mark.parametrize("steps", [(1, 3), (3, 65), (-5, 3)])
def test_steps_are_bounded(loaded, steps):
    inputs = dict.fromkeys(("start_label", "start_seed", "end_label", "end_seed"), integers(0, 0))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`steps` must be from 2 to 64"):
        loaded.signatures["interpolate"](steps=integers(*steps), truncation=floats(1, 1), **inputs)


def test_a_missing_input_is_named(loaded):
    with pytest.raises(TypeError, match="truncation"):
        loaded.signatures["generate"](label=integers(0), seed=integers(0))
