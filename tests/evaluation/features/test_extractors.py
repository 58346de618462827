"""The user's networks as extractors: .keras files without code, SavedModels, and error messages."""

from __future__ import annotations

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.evaluation.features.extractors import FEATURES, open_extractor

PIXELS = np.random.RandomState(0).randint(0, 256, (3, 8, 8, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def network():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255.0)(inputs)
    x = keras.layers.Conv2D(5, 3, name="maps")(x)
    x = keras.layers.GlobalAveragePooling2D(name="means")(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="logits")(x))


@pytest.fixture(scope="module")
def keras_file(network, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("keras") / "network.keras")
    network.save(path)
    return path


def features_of(extractor):
    return extractor.build()(tf.constant(PIXELS))[FEATURES]


def test_a_layer_of_a_keras_file(network, keras_file):
    expected = keras.Model(network.input, network.get_layer("means").output)(
        PIXELS.astype("float32")
    )
    means, maps = open_extractor(keras_file, "means"), open_extractor(keras_file, "maps")
    np.testing.assert_allclose(features_of(means), expected, rtol=1e-5, atol=1e-6)
    # Features of all positions are averaged.
    np.testing.assert_allclose(features_of(maps), expected, rtol=1e-5, atol=1e-6)
    whole = open_extractor(keras_file)
    np.testing.assert_allclose(features_of(whole), network(PIXELS.astype("float32")), rtol=1e-5)
    assert whole.prefix == "extractor_" and whole.name == "network.keras"
    assert means.identity["sha256"] == maps.identity["sha256"]
    assert means.identity != maps.identity


def test_a_layer_that_is_not_there(keras_file):
    with pytest.raises(ValueError, match=r"one of .*maps, means, logits.*layer='pool'"):
        open_extractor(keras_file, "pool")


def test_a_layer_of_a_sequential_model(tmp_path):
    layers = [keras.Input((6, 6, 3)), keras.layers.GlobalAveragePooling2D(name="means")]
    path = str(tmp_path / "sequential.keras")
    keras.Sequential([*layers, keras.layers.Dense(2)]).save(path)
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)
    features = open_extractor(path, "means").build()(images)["features"]
    np.testing.assert_allclose(features, images.mean((1, 2)), rtol=1e-5)


def test_a_model_of_two_inputs_is_refused(tmp_path):
    inputs = [keras.Input((6, 6, 3)), keras.Input((6, 6, 3))]
    path = str(tmp_path / "two.keras")
    keras.Model(inputs, keras.layers.Add()(inputs)).save(path)
    with pytest.raises(
        ValueError, match=r"must hold a model with one input, the images\. .*two\.keras"
    ):
        open_extractor(path)


def test_a_keras_file_with_code_is_refused(tmp_path):
    inputs = keras.Input((8, 8, 3))
    made = keras.Model(inputs, keras.layers.Lambda(lambda x: x[:, 0, 0])(inputs))
    path = str(tmp_path / "code.keras")
    made.save(path)
    with pytest.raises(ValueError, match="only Keras's own layers and no code"):
        open_extractor(path)


def test_damaged_and_other_files(tmp_path, keras_file):
    damaged = tmp_path / "cut.keras"
    damaged.write_bytes(open(keras_file, "rb").read()[:2000])
    with pytest.raises(ValueError, match=r"Cannot read .*cut\.keras"):
        open_extractor(str(damaged))
    for path in (str(tmp_path), str(tmp_path / "nothing.keras")):
        with pytest.raises(
            ValueError, match=r"Give `classifier`, `inception`, `inception_bfloat16`, a \.keras"
        ):
            open_extractor(path)


class _Module(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, "pixels")])
    def serve(self, pixels):
        means = tf.reduce_mean(pixels, (1, 2))
        return {"means": means, "maps": pixels}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([None])])
    def other(self, a, b):
        return a + b


def test_a_saved_model(tmp_path):
    module = _Module()
    signatures = {"serving_default": module.serve, "other": module.other}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    expected = PIXELS.astype(np.float64).mean(axis=(1, 2))
    for output in ("means", "maps"):
        made = features_of(open_extractor(str(tmp_path), output))
        np.testing.assert_allclose(made, expected, rtol=1e-6)
    for output in (None, "logits"):
        with pytest.raises(ValueError, match="one of the outputs maps, means"):
            open_extractor(str(tmp_path), output)


def test_a_saved_model_of_something_else(tmp_path):
    module = _Module()
    tf.saved_model.save(module, str(tmp_path), signatures={"other": module.other})
    with pytest.raises(ValueError, match="no signature with one input, the images"):
        open_extractor(str(tmp_path))


def test_a_model_larger_than_its_file_is_refused(tmp_path):
    """Keras allocates declared variables before it reads weights."""
    path, large = tmp_path / "small.keras", tmp_path / "large.keras"
    keras.Sequential([keras.Input((8,)), keras.layers.Dense(5)]).save(path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(large, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content.replace(b'"units": 5', b'"units": 99999999'))
    with pytest.raises(ValueError, match=r"more weights than the file holds.*stored_byt"):
        open_extractor(str(large))
