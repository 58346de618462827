"""`open_model` detects the kind of a folder and returns the generator in it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.small_generators import save_module
from tests.training.test_loop import config
from tf_biggan.cli.export_settings import ExportConfig
from tf_biggan.exporting.exporter import export
from tf_biggan.files.png import to_uint8
from tf_biggan.generation.image_maker import ImageMaker
from tf_biggan.generation.latents import latents_of_seeds
from tf_biggan.networks.generator import Generator
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.model_directory import write_directory
from tf_biggan.store.opened_model import open_model
from tf_biggan.store.run_directory import checkpoint_iterations, read_config, restore_network
from tf_biggan.training.loop import train
from tf_biggan.training.start import create_state


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("runs") / "run")
    settings = dict(num_iterations=3, save_every=1, sample_every=0, sigma_every=0, ema_decay=0.5)
    train(config(**settings, keep_checkpoints=2), path)
    return path


def test_a_run_gives_its_average_or_the_raw_generator(run):
    opened = open_model(run)
    assert opened.kind == "run" and opened.class_names == tuple("0123456789")
    assert opened.description["weights"] == "ema" and opened.description["iteration"] == 3
    raw = open_model(run, raw=True)
    state = create_state(read_config(run))
    assert Checkpoints(state, run, 2).restore() == 3
    for one, network in ((opened, state.average), (raw, state.generator)):
        for ours, stored in zip(one.generator.variables, network.variables, strict=True):
            np.testing.assert_array_equal(ours, stored, err_msg=stored.path)
    assert np.any(np.asarray(raw.generator.first.kernel) != opened.generator.first.kernel)


def test_a_checkpoint_is_chosen_by_its_iteration(run):
    assert checkpoint_iterations(run) == [2, 3]
    newest, before = restore_network(run, "discriminator"), restore_network(run, "discriminator", 2)
    assert np.any(np.asarray(newest.to_logit.kernel) != before.to_logit.kernel)
    with pytest.raises(ValueError, match=r"its checkpoints are 2, 3\. Received: iteration"):
        open_model(run, iteration=1)


def test_a_truncated_checkpoint_is_refused(run, tmp_path):
    tf.io.gfile.makedirs(str(tmp_path / "checkpoints"))
    for name in ("config.json", "classes.json"):
        tf.io.gfile.copy(f"{run}/{name}", str(tmp_path / name))
    for path in tf.io.gfile.glob(f"{run}/checkpoints/iteration-3*"):
        name = path.rpartition("/")[2]
        content = tf.io.gfile.GFile(path, "rb").read()
        (tmp_path / "checkpoints" / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"Cannot read any checkpoint in .*iteration-3 \("):
        open_model(str(tmp_path))


@pytest.fixture(scope="module")
def generator():
    return Generator("biggan32", 3, base_channels=2, latent_dim=8, seed=0)


def test_a_model_directory(generator, tmp_path):
    path = str(tmp_path / "model")
    write_directory(path, {"generator": generator}, ("a", "b", "c"), {"family": "x"})
    opened = open_model(path)
    assert (opened.kind, opened.class_names) == ("model", ("a", "b", "c"))
    assert opened.description["provenance"] == {"family": "x"}
    z, labels = np.ones((2, 8), "float32"), np.array([0, 2])
    np.testing.assert_allclose(opened.generator(z, labels), generator(z, labels), atol=1e-6)
    with pytest.raises(ValueError, match="choose weights of a run"):
        open_model(path, raw=True)


def test_a_saved_model(generator, tmp_path):
    path = str(tmp_path / "exported")
    save_module(generator, path, lambda z, y, truncation: generator(z, y) * truncation)
    opened = open_model(path)
    ours = opened.generator
    assert opened.kind == "saved_model"
    assert (ours.latent_dim, ours.num_classes, ours.image_size) == (8, 3, (32, 32))
    z, labels = np.ones((2, 8), "float32"), np.array([0, 2])
    np.testing.assert_allclose(ours(z, labels), generator(z, labels), atol=1e-6)
    np.testing.assert_array_equal(ours(z.tolist(), [0, 2]), ours(z, labels))
    np.testing.assert_array_equal(ours.embed([0, 2]), [[1, 0, 0], [0, 0, 1]])
    with pytest.raises(ValueError, match="Class indices must be from 0 to 2"):
        ours(z, [0, 3])
    weights = np.array([[0.5, 0.5, 0], [0, 0, 1]], "float32")
    np.testing.assert_array_equal(ours(z, weights.tolist()), ours(z, weights))
    halved = ours(z, weights, truncation=0.5)
    np.testing.assert_allclose(halved, 0.5 * generator(z, weights), atol=1e-6)
    each = ours(z, weights, truncation=np.array([0.5, 1.0], "float32"))
    np.testing.assert_allclose(each[0], halved[0], atol=1e-6)
    np.testing.assert_allclose(each[1], 2.0 * halved[1], atol=1e-6)
    assert (ours.metadata, ours.class_names, ours.truncation_mode) == ({}, (), "scale")
    mixed = ours.synthesize(z, ours.embed(labels))
    np.testing.assert_allclose(mixed, generator(z, labels), atol=1e-6)
    with pytest.raises(ValueError, match="cannot run in training mode"):
        ours(z, labels, training=True)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must be the folder of a run, a converted model or an"):
        open_model(str(tmp_path))
    with pytest.raises(ValueError, match="The model does not exist"):
        open_model(str(tmp_path / "nothing"))
    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"has no signature 'default'.*signatures=\[\]"):
        open_model(str(tmp_path / "other"))


def test_a_run_its_folder_and_its_export_make_the_same_images_in_any_batch(run, tmp_path):
    opened = open_model(run)
    write_directory(str(tmp_path / "model"), {"generator": opened.generator})
    output = str(tmp_path / "exported" / "1")
    export(ExportConfig(model=run, output=output, truncation_grid="none"))
    seeds, labels = np.arange(9), np.arange(9) % 10
    z = latents_of_seeds(seeds, opened.generator.latent_dim, 0.5, "scale")
    made = []
    for path in (run, str(tmp_path / "model"), output):
        generator = open_model(path).generator
        for batch_size in (1, 7, 64):
            maker = ImageMaker(generator, batch_size=batch_size)
            made.append(maker.images(z, labels, 0.5))
    for images in made[1:]:
        np.testing.assert_allclose(images, made[0], atol=1e-5)
    signatures = tf.saved_model.load(output).signatures
    drawn = signatures["generate"](
        label=tf.constant(labels, tf.int64),
        seed=tf.constant(seeds, tf.int64),
        truncation=tf.fill([9], 0.5),
    )["images"]
    assert np.abs(drawn.numpy().astype(int) - to_uint8(made[0])).max() <= 1
