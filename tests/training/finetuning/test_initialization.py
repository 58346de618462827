"""Runs that start from a model: equal images before training, other classes, and resuming.

Networks are compared with the goldens of BigGAN-PyTorch, and single variables with NumPy.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.golden_files import golden
from tests.networks.golden_models import authors_discriminator, authors_generator
from tests.training.test_loop import config as digits_config
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.conversion import biggan_pytorch, deepmind
from tf_biggan.data.pipeline import make_dataset
from tf_biggan.data.schemes import open_source
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.checkpoints import Checkpoints
from tf_biggan.store.model_directory import (
    OptimizerSlots,
    load_network,
    read_directory,
    write_directory,
)
from tf_biggan.store.run_directory import read_config, restore_network, write_config
from tf_biggan.training.finetuning.initialization import begin
from tf_biggan.training.logs import read_metrics
from tf_biggan.training.loop import train
from tf_biggan.training.start import create_state
from tf_biggan.training.train_step import replica_iteration
from tf_biggan.training.updates import RandomInputs, RealBatch

NAMES = ("finch", "owl", "wren", "crow", "kite")
DIGITS = tuple("0123456789")
# One of 256 levels has the width 2 / 255.
HALF_A_LEVEL = 1 / 255


def started(init_from, class_names, run_dir="", **settings):
    """Returns (state at iteration 0, configuration) of a new run."""
    num_classes = len(class_names) or None
    flat = dict(num_classes=num_classes, init_from=str(init_from), d_initializer="n02") | settings
    config, initialization = begin(TrainConfig.from_flat(flat), run_dir, class_names)
    return create_state(config, initialization), config


def draw(latent_dim, count, seed=0):
    return np.random.RandomState(seed).standard_normal((count, latent_dim)).astype("float32")


# Per-class tables, and a shared embedding; both with attention.
KINDS = {
    "per-class tables": dict(architecture="biggan32", attention_stages=(1,), latent_dim=8),
    "shared embedding": dict(architecture="biggan32_studiogan", latent_dim=8, embedding_dim=6),
}


@pytest.fixture(scope="module", params=KINDS)
def birds(request, tmp_path_factory):
    """Returns (folder, generator, discriminator) of a model of five birds."""
    row = KINDS[request.param]["architecture"]
    generator = Generator(num_classes=5, base_channels=2, seed=1, **KINDS[request.param])
    discriminator = Discriminator(row, 5, base_channels=3, seed=1, attention_stages=(0,))
    random = np.random.RandomState(2)
    for network in (generator, discriminator):
        for variable in network.variables:
            noise = random.uniform(0.1, 0.3, variable.shape)
            variable.assign(np.array(variable) + noise)
    path = str(tmp_path_factory.mktemp("models") / "birds")
    write_directory(path, {"generator": generator, "discriminator": discriminator}, NAMES)
    return path, generator, discriminator


def test_other_order_same_images_and_logits(birds):
    path, generator, discriminator = birds
    with pytest.raises(ValueError, match=r"needs the states of both optimisers"):
        started(path, NAMES, init_optimizers=True)
    order = np.array([3, 0, 4, 2, 1])
    state, config = started(path, tuple(NAMES[i] for i in order))
    z, images = draw(8, 5), draw(32 * 32 * 3, 5).reshape(5, 32, 32, 3) / 3
    new = np.arange(5)
    for ours in (state.generator, state.average):
        np.testing.assert_allclose(ours(z, new), generator(z, order), atol=1e-6)
    logits = discriminator(images, order)
    np.testing.assert_allclose(state.discriminator(images, new), logits, atol=1e-5)
    # A training call starts from the same u, so its output and the updated variables are equal too.
    training = state.generator(z, new, training=True)
    np.testing.assert_allclose(training, generator(z, order, training=True), atol=1e-5)
    assert config.model.g_channels == 2 and config.model.d_channels == 3


def test_kept_classes_have_their_rows_and_the_rest_is_as_told(birds):
    path, _, _ = birds
    source = {n: variables_by_path(load_network(read_directory(path), n)) for n in NETWORKS}
    state, _ = started(
        path, ("wren", "robin", "owl", "jay"), class_map="robin=finch,crow;jay=fresh"
    )
    again, _ = started(path, ("wren", "robin", "owl", "jay"), class_map="*=fresh")
    tables = 0
    for name in NETWORKS:
        fresh = variables_by_path(getattr(again, name))
        for place, variable in variables_by_path(getattr(state, name)).items():
            value, old = np.array(variable), np.array(source[name][place])
            if value.shape == old.shape:
                np.testing.assert_array_equal(value, old, err_msg=place)
                continue
            tables += 1
            if place.endswith("/u"):
                continue
            expected = [old[2], (old[0] + old[3]) / 2, old[1], np.array(fresh[place])[3]]
            np.testing.assert_allclose(value, expected, atol=1e-7, err_msg=place)
            assert 0 < np.linalg.norm(value[3]) < 2
    generator = state.generator
    embeddings = 1 if generator.class_embedding is not None else 2 * 2 * 3
    assert tables == embeddings + 2


NETWORKS = ("generator", "discriminator")


def test_sigma_of_other_rows_is_that_of_their_matrix(birds):
    path, _, _ = birds
    for names, class_map in ((NAMES[:2], None), (("a", "b", "c"), "a=0;b=1,2;c=fresh")):
        table = started(path, names, class_map=class_map)[0].discriminator.class_embedding
        sigma = np.linalg.svd(np.array(table.kernel), compute_uv=False)[0]
        np.testing.assert_allclose(table.estimate_sigma()[0], sigma, rtol=1e-5)


@pytest.mark.parametrize("birds", ["shared embedding"], indirect=True)
def test_two_replicas_start_from_the_same(birds, mirrored_strategy):
    path, generator, _ = birds
    with mirrored_strategy.scope():
        state, _ = started(path, NAMES)
    for ours, value in zip(state.average.variables, generator.variables, strict=True):
        for replica in mirrored_strategy.experimental_local_results(ours.value):
            if not value.path.endswith(("/u", "moving_mean", "moving_variance")):
                np.testing.assert_array_equal(replica, value)


@pytest.fixture(scope="module", params=["aj_c10", "aj_i64"])
def authors(request, tmp_path_factory):
    """Returns (fixture, folder) of networks of BigGAN-PyTorch with either kind of embedding."""
    fixture = golden(request.param)
    generator, discriminator = authors_generator(fixture), authors_discriminator(fixture)
    biggan_pytorch.load_generator(generator, fixture.weights("G"))
    biggan_pytorch.load_discriminator(discriminator, fixture.weights("D"))
    path = str(tmp_path_factory.mktemp("models") / request.param)
    write_directory(path, {"generator": generator, "discriminator": discriminator})
    return fixture, path


def test_the_authors_networks_train_on(authors):
    fixture, path = authors
    arrays, classes = fixture.arrays, fixture.info["config"]["n_classes"]
    state, config = started(path, (), num_classes=classes)
    assert config.model.sn_epsilon == fixture.info["config"]["SN_eps"]
    fixture.assert_close(state.average(arrays["in/z"], arrays["in/y_fake"]), "G_eval")
    fixture.assert_close(state.discriminator(arrays["in/x"], arrays["in/y_real"]), "D_eval")
    before = {v.path: np.array(v) for v in state.discriminator.variables}
    reals = ((RealBatch(tf.constant(arrays["in/x"]), tf.constant(arrays["in/y_real"])),),)
    draws = RandomInputs(tf.constant(arrays["in/z"]), tf.constant(arrays["in/y_fake"]))
    for _ in range(2):
        metrics = replica_iteration(state, config.step, reals, lambda step, index: draws)
    assert int(state.iteration) == 2
    assert all(np.all(np.isfinite(value)) for value in metrics.values())
    moved = [np.any(np.array(v) != before[v.path]) for v in state.discriminator.variables]
    # A bias has no gradient if no image reaches its unit.
    assert np.mean(moved) > 0.9


def slots_of(network, seed):
    """Returns slots of an Adam optimiser for a network, all with different values."""
    random = np.random.RandomState(seed)
    trained = {id(v) for v in network.trainable_variables}
    shapes = {p: v.shape for p, v in variables_by_path(network).items() if id(v) in trained}
    made = [{p: random.uniform(size=s).astype("f") for p, s in shapes.items()} for _ in range(2)]
    return OptimizerSlots(1234, *made)


@pytest.mark.parametrize("birds", ["shared embedding"], indirect=True)
def test_optimisers_go_on_with_the_raw_generator(birds, tmp_path):
    _, average, discriminator = birds
    raw = Generator.from_config({**average.get_config(), "seed": 9})
    networks = {"generator": average, "discriminator": discriminator, "raw_generator": raw}
    slots = {"raw_generator": slots_of(raw, 1), "discriminator": slots_of(discriminator, 2)}
    path = str(tmp_path / "model")
    write_directory(path, networks, NAMES, slots=slots)
    state, _ = started(path, NAMES, init_optimizers=True, freeze_d_blocks=1)
    for ours, value in ((state.generator, raw), (state.average, average)):
        np.testing.assert_allclose(ours.first.kernel, value.first.kernel)
        np.testing.assert_allclose(ours.class_embedding.kernel, value.class_embedding.kernel)
    for optimizer, network, name in (
        (state.g_optimizer, state.generator, "raw_generator"),
        (state.d_optimizer, state.discriminator, "discriminator"),
    ):
        assert int(optimizer.iterations) == 1234
        place = {id(v): p for p, v in variables_by_path(network).items()}
        for kind, received in (
            ("momentum", optimizer._momentums),
            ("velocity", optimizer._velocities),
        ):
            wanted = getattr(slots[name], kind)
            for variable, value in zip(network.trainable_variables, received, strict=True):
                np.testing.assert_array_equal(value, wanted[place[id(variable)]])
    with pytest.raises(ValueError, match=r"`ema_start` must be 0.*ema_start=20000"):
        started(path, NAMES, init_optimizers=True, ema_start=20000)
    # Without --init_optimizers, a run starts from the moving average, with new optimisers.
    state, _ = started(path, NAMES)
    np.testing.assert_allclose(state.generator.first.kernel, average.first.kernel)
    assert int(state.g_optimizer.iterations) == 0
    with pytest.raises(ValueError, match=r"needs the classes of the source in the same order"):
        started(path, NAMES[::-1], init_optimizers=True)


def converged(tensors):
    """Returns tensors whose u and v are singular vectors, as after long training."""
    tensors = dict(tensors)
    for key in [key for key in tensors if key.endswith(".weight_orig")]:
        weight, stem = tensors[key], key.removesuffix("orig")
        matrix = weight.reshape(len(weight), -1).astype("float64")
        v = np.linalg.eigh(matrix.T @ matrix)[1][:, -1]
        u = matrix @ v
        tensors |= {f"{stem}u": np.float32(u / np.linalg.norm(u)), f"{stem}v": np.float32(v)}
    return tensors


def test_folded_weights_give_the_same_images_under_spectral_norm(tmp_path):
    fixture = golden("hf_tiny128")
    sizes = fixture.info["config"]
    source = deepmind.generator(
        "biggan_deep128", sizes["num_classes"], base_channels=sizes["channel_width"]
    )
    deepmind.load_generator(source, converged(fixture.weights("")))
    path = str(tmp_path / "model")
    write_directory(path, {"generator": source})
    with pytest.raises(ValueError, match=r"needs a trained discriminator"):
        started(path, (), num_classes=sizes["num_classes"], freeze_d_blocks=1)
    state, config = started(path, (), num_classes=sizes["num_classes"], d_channels=2)
    z, labels = fixture.arrays["in/z"][:1], fixture.arrays["in/y"][:1]
    images = np.array(state.generator(z, labels))
    assert state.generator.factory.num_statistics == 1 and state.generator.factory.spectral_norm
    difference = np.abs(images - source(z, labels))
    assert difference.max() < HALF_A_LEVEL / 4
    assert (config.model.g_channels, config.model.d_channels) == (sizes["channel_width"], 2)
    # The three outputs that are kept of 128 have another sigma than all 128 together.
    sigma = np.linalg.norm(np.array(source.to_image.kernel).reshape(-1, 3), 2)
    assert sigma < 0.95
    np.testing.assert_allclose(state.generator.to_image.estimate_sigma()[0], sigma, rtol=1e-5)
    np.testing.assert_allclose(
        state.generator.output_norm.gain, sigma * np.array(source.output_norm.gain), rtol=1e-5
    )


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """Returns a run of three iterations, which were computed without a graph to save time."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    config, digits = digits_config(num_classes=10, ema_decay=0.5), open_source("digits")
    state = create_state(config)
    images, labels = next(iter(make_dataset(digits, batch_size=8, seed=0, **SIZE)))
    draws = RandomInputs(tf.constant(draw(8, 8)), labels)
    for _ in range(3):
        replica_iteration(state, config.step, ((RealBatch(images, labels),),), lambda *_: draws)
    write_config(str(path), config, DIGITS)
    Checkpoints(state, str(path), keep=1).save()
    return path


SIZE = dict(image_size=16, image_channels=1)


@pytest.fixture(scope="module")
def marks(tmp_path_factory):
    """Returns a folder with five digits and a new class, a blot."""
    root, digits = tmp_path_factory.mktemp("data") / "marks", open_source("digits")
    for name in ("1", "3", "4", "7", "8", "blot"):
        (root / name).mkdir(parents=True)
        for number in range(4):
            index = np.flatnonzero(digits.labels == int(name))[number] if name != "blot" else None
            pixels = np.full((8, 8), 255) if index is None else digits.load(index, 1)[..., 0]
            Image.fromarray(np.array(pixels, "uint8")).save(root / name / f"{number}.png")
    return root


def test_five_digits_and_a_new_class_and_on_after_an_interruption(
    digits_run, marks, tmp_path, capsys, eagerly
):
    path = tmp_path / "run"
    flat = dict(
        dataset=f"folder:{marks}",
        init_from=str(digits_run),
        class_map="blot=fresh",
        freeze_d_blocks=2,
        global_batch_size=8,
        num_iterations=2,
        log_every=1,
        sample_every=0,
        sigma_every=0,
    )
    config = TrainConfig.from_flat(flat)
    begun, initialization = begin(with_classes(config, 6), str(path), MARKS)
    state = create_state(begun, initialization)
    source = restore_network(str(digits_run), "average")
    z, kept = draw(8, 5), np.array([1, 3, 4, 7, 8])
    np.testing.assert_allclose(state.average(z, np.arange(5)), source(z, kept), atol=1e-6)

    assert train(config, str(path))
    assert "Class 7 starts from: 7" in capsys.readouterr().out
    stored = read_config(str(path))
    assert (stored.run.init_from, stored.run.class_map) == (str(digits_run), "blot=fresh")
    assert (stored.model.image_channels, stored.model.g_channels) == (1, 2)
    record = json.loads((path / "initialization.json").read_text())
    assert record["classes"]["blot"] == "fresh" and record["source"]["iteration"] == 3
    at_two = restore_network(str(path), "discriminator")
    check_frozen(state.discriminator, at_two, blocks=2)

    # The run resumes although its source no longer exists.
    digits_run.rename(digits_run.with_name("moved"))
    assert train(TrainConfig.from_flat({**flat, "num_iterations": 3}), str(path))
    digits_run.with_name("moved").rename(digits_run)
    assert "Resuming from iteration 2" in capsys.readouterr().out
    check_frozen(at_two, restore_network(str(path), "discriminator"), blocks=2)
    assert [line["iteration"] for line in read_metrics(str(path))] == [1, 2, 3]
    for changed, message in (
        (dict(init_from=None, class_map=None), r"differ: init_from was .*class_map was"),
        (dict(class_map="blot=1"), r"differ: class_map was 'blot=fresh', now 'blot=1'\. Use"),
        (dict(g_channels=4), r"differ: g_channels was 2, now 4\. Use"),
        (dict(freeze_d_blocks=0), r"differ: freeze_d_blocks was 2, now 0\. Use"),
    ):
        with pytest.raises(ValueError, match=message):
            train(TrainConfig.from_flat({**flat, **changed}), str(path))


MARKS = ("1", "3", "4", "7", "8", "blot")


def with_classes(config, num_classes):
    return TrainConfig.from_flat({**config.flat(), "num_classes": num_classes})


def check_frozen(before, after, blocks):
    """Checks that kernels and biases of the first blocks are unchanged and others are not."""
    frozen = tuple(f"block_{index}/" for index in range(blocks))
    old, new = variables_by_path(before), variables_by_path(after)
    moved = {path for path, value in new.items() if not np.array_equal(value, old[path])}
    kernels = {path for path in new if not path.endswith("/u")}
    assert kernels - moved == {path for path in kernels if path.startswith(frozen)}
    assert "block_0/conv_2/u" in moved


def test_a_run_that_ended_before_its_first_checkpoint_starts_from_the_source_again(
    digits_run, tmp_path
):
    run = str(tmp_path / "run")
    flat = dict(num_classes=10, init_from=str(digits_run))
    config, first = begin(TrainConfig.from_flat(flat), run, DIGITS)
    write_config(run, config, DIGITS)
    again, second = begin(TrainConfig.from_flat(flat), run, DIGITS)
    assert again == config and second.source_classes == first.source_classes


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(class_map="0=1", init_from=None), r"`class_map` and .* only with `init_from`"),
        (dict(init_from="/nowhere"), r"The model of --init_from does not exist: ./nowhere"),
        (
            dict(g_channels=4, latent_dim=9),
            r"--g_channels=4, which is 2 in the source, --latent_dim=9, which is 8 in the source",
        ),
        (dict(class_map="blot=elght"), r"No class has this name; .*'elght'"),
        (dict(), r"have no source class: 5 blot\."),
        (dict(class_map="blot=0", freeze_d_blocks=5), r"`freeze_d_blocks`.* from 0 to 3"),
        (
            dict(class_map="*=0", init_optimizers=True),
            r"`init_optimizers` works only with a converted model; to continue a run",
        ),
        (
            dict(init_from=None, init_optimizers=True),
            r"`init_optimizers` have an effect only with `init_from`",
        ),
        (dict(init_from=None, freeze_d_blocks=1), r"needs a trained discriminator.*init_from=None"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    digits_run, marks, tmp_path, settings, message
):
    flat = dict(dataset=f"folder:{marks}", init_from=str(digits_run), **SMALL) | settings
    with pytest.raises(ValueError, match=message):
        train(TrainConfig.from_flat(flat), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


SMALL = dict(global_batch_size=8, num_iterations=1)
