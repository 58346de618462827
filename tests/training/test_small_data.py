"""LeCam and consistency regularisation: formulas by hand, finite differences, and the state."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.training.test_train_step import (
    SMALL_DATA,
    UNIFORM,
    _frozen,
    assert_same,
    batches_of,
    make_state,
    run_eagerly,
    values_of,
)
from tf_biggan.cli.small_data_settings import SMALL_DATA_FLAGS
from tf_biggan.cli.train_settings import StepConfig, TrainConfig
from tf_biggan.generation.latents import normal_for_each, seeds_for
from tf_biggan.networks.layers.spectral_norm import normalized_layers
from tf_biggan.training import augmentation, losses
from tf_biggan.training.state import logit_averages, update_logit_averages
from tf_biggan.training.train_step import input_sampler
from tf_biggan.training.updates import (
    BCR_SEEDS,
    D_METRICS,
    DIFF_AUGMENT_SEEDS,
    G_METRICS,
    NOISE_SEEDS,
    RealBatch,
    discriminator_gradients,
    discriminator_metrics,
    generator_gradients,
    generator_metrics,
)

NAMES = SMALL_DATA.changed(SMALL_DATA_FLAGS)


def test_penalties_by_hand():
    real, fake = tf.constant([1.0, 3.0]), tf.constant([-1.0, 0.0])
    # ((1 + 0.5)^2 + (3 + 0.5)^2) / 2 + ((-1 - 0.5)^2 + (0 - 0.5)^2) / 2
    assert losses.lecam_penalty(real, fake, 0.5, -0.5).numpy() == 7.25 + 1.25
    assert losses.consistency_penalty(real, fake).numpy() == (4 + 9) / 2
    images = tf.ones((2, 4, 4, 3))
    np.testing.assert_allclose(losses.consistency_penalty(images, 0.5 * images), 0.25)


def test_averages_of_logits_are_those_of_all_replicas(mirrored_strategy):
    with mirrored_strategy.scope():
        averages = logit_averages("float32")

    def update(decay):
        own = tf.distribute.get_replica_context().replica_id_in_sync_group
        real = tf.constant([[1.0, 2.0], [4.0, 5.0]])[own]
        return update_logit_averages(averages, real, real - 4.0, decay)

    expected = np.zeros(2)
    for decay in (0.0, 0.75):
        moved = mirrored_strategy.run(update, args=(decay,))
        expected = decay * expected + (1 - decay) * np.array([3.0, -1.0])
        for variable, value, wanted in zip(averages, moved, expected, strict=True):
            for copies in (variable, value):
                local = mirrored_strategy.experimental_local_results(copies)
                np.testing.assert_allclose([float(copy) for copy in local], [wanted] * 2)


@pytest.mark.parametrize("names", [{}, *({name: value} for name, value in NAMES.items())], ids=str)
def test_only_settings_that_draw_numbers_for_images_need_seeds(names):
    without = not names or set(names) & {"lecam_weight", "zcr_sigma"}
    assert StepConfig(**names).needs_image_seeds is not bool(without)


def test_without_the_flags_the_state_has_no_further_variables():
    parts = set(make_state().trackables())
    assert parts == {
        "generator",
        "discriminator",
        "average",
        "g_optimizer",
        "d_optimizer",
        "iteration",
    }
    assert set(make_state(average_logits=True).trackables()) == parts | {"logit_averages"}


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            dict(diff_augment="color,blur"),
            r"`diff_augment` must be one or more of color, translation",
        ),
        (dict(diff_augment="flip"), r"`diff_augment` must be .*Received: diff_augment='flip'"),
        (
            dict(diff_augment="color,color"),
            r"without repetition. Received: diff_augment='color,color'",
        ),
        (dict(bcr_augment=""), r"`bcr_augment` must be one or more of .*flip"),
        (dict(lecam_weight=-1.0), r"`lecam_weight` must be at least 0"),
        (dict(lecam_decay=1.5), r"`lecam_decay` must be at most 1"),
        (dict(zcr_sigma=-0.1), r"`zcr_sigma` must be at least 0"),
    ],
)
def test_settings_that_have_no_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_flat(settings)
    assert StepConfig(diff_augment=" cutout, color").diff_augment == "cutout,color"


class Pass:
    """One pass of networks in inference mode, so that a loss depends on the kernels alone."""

    def __init__(self, config, **options):
        self.config, self.state = config, _frozen(make_state(**options))
        random = np.random.RandomState(4)
        for network in (self.state.generator, self.state.discriminator):
            for variable in network.trainable_variables:
                # Images with zeros and biases of 0 would meet ReLU at its kink.
                variable.assign_add(0.1 * random.standard_normal(variable.shape))
            for layer in normalized_layers(network):
                # The gradient takes the singular vectors as constants, which holds for exact ones.
                layer.u.assign(np.linalg.svd(layer.kernel_matrix(), full_matrices=False)[2][:1])
        images, labels = batches_of(1, 8)
        self.real = RealBatch(tf.constant(images[0]), tf.constant(labels[0]))
        self.inputs = input_sampler(self.state, config, 7, UNIFORM, 1)(0, 0)
        noise = normal_for_each(seeds_for(self.inputs.fake_seeds, NOISE_SEEDS), 8)
        self.nearby = self.inputs.latents + config.zcr_sigma * noise

    def generate(self, latents):
        return self.state.generator(latents, self.inputs.labels)

    def shown(self, images, seeds, purpose=DIFF_AUGMENT_SEEDS, names=SMALL_DATA.diff_augment):
        return augmentation.augment(images, seeds_for(seeds, purpose), names)

    def logits(self, images, labels):
        return np.asarray(self.state.discriminator(images, labels))


def assert_gradient(gradients, variables, loss):
    """Compares the slope of `loss` along a random direction with finite differences."""
    random, step = np.random.RandomState(3), 1e-6
    values = [variable.numpy() for variable in variables]
    directions = [random.standard_normal(value.shape) for value in values]
    ends = []
    for sign in (1, -1):
        for variable, value, direction in zip(variables, values, directions, strict=True):
            variable.assign(value + sign * step * direction)
        ends.append(loss())
    slope = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-3)


@pytest.mark.parametrize("split_d", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_discriminators_loss_has_every_term(split_d):
    config = dataclasses.replace(SMALL_DATA, loss="wasserstein", split_d=split_d)
    case = Pass(config, average_logits=True)
    state, inputs = case.state, case.inputs
    state.iteration.assign(5)
    for average, value in zip(state.logit_averages, (0.3, -0.2), strict=True):
        average.assign(value)
    fake = case.shown(case.generate(inputs.latents), inputs.fake_seeds)
    real = case.shown(case.real.images, inputs.real_seeds)
    nearby = case.shown(case.generate(case.nearby), inputs.fake_seeds)
    changed = "flip,translation"
    fake_changed = case.shown(fake, inputs.fake_seeds, BCR_SEEDS, changed)
    real_changed = case.shown(real, inputs.real_seeds, BCR_SEEDS, changed)
    start = [0.3, -0.2]
    moved = []

    def terms():
        of_real, of_changed = (case.logits(x, case.real.labels) for x in (real, real_changed))
        of_fake, of_fake_changed, of_nearby = (
            case.logits(x, inputs.labels) for x in (fake, fake_changed, nearby)
        )
        return {
            "loss": of_fake.mean() - of_real.mean(),
            "d_lecam": 0.3 * np.mean((of_real - moved[1]) ** 2)
            + 0.3 * np.mean((of_fake - moved[0]) ** 2),
            "d_bcr_real": 10.0 * np.mean((of_real - of_changed) ** 2),
            "d_bcr_fake": 7.0 * np.mean((of_fake - of_fake_changed) ** 2),
            "d_zcr": 5.0 * np.mean((of_fake - of_nearby) ** 2),
        }

    for old, images, labels in zip(
        start, (real, fake), (case.real.labels, inputs.labels), strict=True
    ):
        moved.append(0.99 * old + 0.01 * case.logits(images, labels).mean())
    expected = terms()
    gradients, metrics = discriminator_gradients(state, config, case.real, inputs, replicas=1)
    named = dict(zip(discriminator_metrics(config), metrics.numpy(), strict=True))
    assert set(named) == set(D_METRICS) | set(expected) - {"loss"}
    for name in named.keys() & expected.keys():
        np.testing.assert_allclose(named[name], expected[name], rtol=1e-6, err_msg=name)
    np.testing.assert_allclose([float(value) for value in state.logit_averages], moved, rtol=1e-6)
    variables = state.discriminator.trainable_variables
    assert_gradient(gradients, variables, lambda: sum(terms().values()))


def test_the_generators_loss_rewards_a_difference_of_images():
    config = dataclasses.replace(SMALL_DATA, zcr_g_weight=30.0)
    case = Pass(config)
    state, inputs = case.state, case.inputs

    def terms():
        images, nearby = (case.generate(z) for z in (inputs.latents, case.nearby))
        logits = case.logits(case.shown(images, inputs.fake_seeds), inputs.labels)
        return -np.mean(logits), 30.0 * np.mean((images.numpy() - nearby.numpy()) ** 2)

    expected = terms()
    gradients, metrics = generator_gradients(state, config, inputs, replicas=1)
    assert generator_metrics(config) == ("g_loss", "g_zcr")
    np.testing.assert_allclose(metrics, expected, rtol=1e-6)
    variables = state.generator.trainable_variables
    assert_gradient(gradients, variables, lambda: terms()[0] - terms()[1])


def test_without_the_flags_no_penalty_is_a_metric():
    assert discriminator_metrics(StepConfig()) == D_METRICS
    assert generator_metrics(StepConfig()) == G_METRICS
    assert discriminator_metrics(StepConfig(r1_gamma=1.0)) == (*D_METRICS, "d_r1")


def test_a_restored_state_goes_on_bit_for_bit(tmp_path):
    images, labels = batches_of(1, 8)
    state = make_state(average_logits=True)
    metrics = run_eagerly(state, SMALL_DATA, images, labels, iterations=1)
    # The first iteration sets the averages to its logits.
    first = np.reshape([metrics["d_real"], metrics["d_fake"]], 2)
    np.testing.assert_allclose(state.logit_averages, first, rtol=1e-6)
    path = tf.train.Checkpoint(**state.trackables()).write(str(tmp_path / "state"))
    run_eagerly(state, SMALL_DATA, images, labels, iterations=1)
    other = make_state(average_logits=True)
    tf.train.Checkpoint(**other.trackables()).read(path).assert_consumed()
    run_eagerly(other, SMALL_DATA, images, labels, iterations=1)
    assert_same(values_of(other), values_of(state), atol=0)
    np.testing.assert_array_equal(other.logit_averages, state.logit_averages)
