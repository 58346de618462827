"""What inputs, accumulation, replicas and XLA change in an iteration, and what they do not."""

from __future__ import annotations

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_biggan.cli.train_settings import StepConfig
from tf_biggan.data.label_distribution import LabelDistribution
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.layers.spectral_norm import normalized_layers
from tf_biggan.networks.network import variables_by_path
from tf_biggan.training.state import TrainState
from tf_biggan.training.train_step import (
    _Iteration,
    _Update,
    batch_plan,
    compile_iterations,
    input_sampler,
    replica_iteration,
)
from tf_biggan.training.updates import (
    RandomInputs,
    RealBatch,
    _discriminator_pass,
    apply_discriminator,
    apply_generator,
)

CLASSES = 3
# Latents are always float32, and XLA's logarithm and cosine differ in the last bit.
LATENTS_ATOL = 1e-6
UNIFORM = LabelDistribution(np.full(CLASSES, 1 / CLASSES))
CONFIG = StepConfig(global_batch_size=8, num_d_steps=2, ema_decay=0.5, ema_start=2)
ACCUMULATING = dataclasses.replace(
    CONFIG, global_batch_size=16, d_accumulations=2, g_accumulations=2
)
SMALL_DATA = dataclasses.replace(
    CONFIG,
    num_d_steps=1,
    diff_augment="color,translation,cutout",
    lecam_weight=0.3,
    bcr_real_weight=10.0,
    bcr_fake_weight=7.0,
    zcr_d_weight=5.0,
    zcr_g_weight=0.5,
    zcr_sigma=0.4,
)


def make_state(rate=0.05, **options):
    """Returns small networks with SGD, which does not amplify rounding errors as Adam does."""
    shared = dict(architecture="biggan16", num_classes=CLASSES, base_channels=2)
    settings = dict(**shared, initializer="ortho", dtype="float64", seed=1)
    return TrainState.create(
        Generator(**settings, latent_dim=8, embedding_dim=6, attention_stages=(1,)),
        Discriminator(**settings, attention_stages=(0,)),
        keras.optimizers.SGD(rate),
        keras.optimizers.SGD(rate),
        **options,
    )


def batches_of(count, size, seed=0):
    random = np.random.RandomState(seed)
    images = random.uniform(-1, 1, (count, size, 16, 16, 3))
    labels = random.randint(CLASSES, size=(count, size)).astype("int32")
    return images, labels


def variables_of(state):
    parts = dict(g=state.generator, d=state.discriminator, average=state.average)
    return {
        f"{part}/{path}": variable
        for part, model in parts.items()
        for path, variable in variables_by_path(model).items()
    }


def values_of(state):
    return {path: variable.numpy() for path, variable in variables_of(state).items()}


def assert_same(actual, expected, atol=1e-9):
    assert set(actual) == set(expected)
    for path, value in expected.items():
        np.testing.assert_allclose(actual[path], value, rtol=0, atol=atol, err_msg=path)


def run_eagerly(state, config, images, labels, iterations=2):
    """Runs iterations on one replica without a graph, with batches in order."""
    sampler = input_sampler(state, config, 7, UNIFORM, 1)
    pairs = itertools.cycle(zip(images, labels, strict=True))
    for _ in range(iterations):
        batches = [
            [RealBatch(*map(tf.constant, next(pairs))) for _ in range(config.d_accumulations)]
            for _ in range(config.num_d_steps)
        ]
        metrics = replica_iteration(state, config, batches, sampler)
    return metrics


def compiled(strategy, state, config, jit_compile=False):
    replicas = strategy.num_replicas_in_sync
    sampler = input_sampler(state, config, 7, UNIFORM, replicas)
    return compile_iterations(strategy, state, config, sampler, jit_compile)


def endless(images, labels):
    return iter(tf.data.Dataset.from_tensor_slices((images, labels)).repeat())


@pytest.mark.parametrize(
    "config, iterations",
    [
        (CONFIG, 2),
        pytest.param(ACCUMULATING, 1, marks=pytest.mark.slow),
        pytest.param(SMALL_DATA, 2, marks=pytest.mark.slow),
    ],
)
def test_two_replicas_run_like_one(mirrored_strategy, config, iterations):
    # An augmentation is set, so that its seeds are divided among replicas like latents and labels.
    config = dataclasses.replace(config, augmentation="tests.training.augmentations:shifted")
    count = 4
    images, labels = batches_of(count, 8)
    options = dict(average_logits=config.lecam_weight > 0)
    alone = make_state(**options)
    metrics = run_eagerly(alone, config, images, labels, iterations)
    with mirrored_strategy.scope():
        together = make_state(**options)
    halves = mirrored_strategy.distribute_datasets_from_function(
        lambda context: tf.data.Dataset.from_tensor_slices(
            (images.reshape(2 * count, 4, 16, 16, 3), labels.reshape(2 * count, 4))
        ).repeat()
    )
    shared = compiled(mirrored_strategy, together, config)(iter(halves), tf.constant(iterations))
    for name, value in metrics.items():
        np.testing.assert_allclose(shared[name], value, atol=1e-9, err_msg=name)
    assert_same(values_of(together), values_of(alone))
    averages = [[value.numpy() for value in state.logit_averages] for state in (together, alone)]
    np.testing.assert_allclose(*averages, atol=1e-9)
    for path, variable in variables_of(together).items():
        copies = mirrored_strategy.experimental_local_results(variable.value)
        np.testing.assert_array_equal(copies[0], copies[1], err_msg=path)


def test_replicas_draw_the_parts_of_one_draw(mirrored_strategy):
    state = make_state()
    # Seeds for an augmentation are sampled; the augmentation is not called here.
    config = dataclasses.replace(CONFIG, augmentation="any:function")
    alone = input_sampler(state, config, 7, UNIFORM, 1)(1, 0)
    sampler = input_sampler(state, config, 7, UNIFORM, 2)
    draws = mirrored_strategy.run(lambda: tuple(sampler(1, 0)))
    parts = [mirrored_strategy.experimental_local_results(part) for part in draws]
    for part, whole in zip(parts, alone, strict=True):
        np.testing.assert_array_equal(np.concatenate(part), whole)
    assert np.abs(parts[0][0] - parts[0][1]).max() > 0.1


def test_draws_differ_between_iterations_steps_and_passes():
    state = make_state()
    config = dataclasses.replace(CONFIG, d_accumulations=2, g_accumulations=2)
    seen = []
    for iteration in (0, 1):
        state.iteration.assign(iteration)
        sampler = input_sampler(state, config, 7, UNIFORM, 1)
        seen += [sampler(s, i).latents.numpy() for s in range(3) for i in range(2)]
    for i, first in enumerate(seen):
        for second in seen[:i]:
            assert np.abs(first - second).max() > 0.1


def test_accumulation_of_four_equals_the_batch_with_frozen_statistics():
    """Only the gradients depend on the batch then."""
    z = np.random.RandomState(3).standard_normal((3, 32, 8))
    y = np.random.RandomState(4).randint(CLASSES, size=(3, 32)).astype("int32")
    images, labels = batches_of(2, 32)
    results = []
    for passes in (1, 4):
        config = StepConfig(
            global_batch_size=32,
            num_d_steps=2,
            d_accumulations=passes,
            g_accumulations=passes,
            d_orthogonal=1e-3,
            g_orthogonal=1e-3,
        )
        state = _frozen(make_state())

        def sampler(step, index, passes=passes):
            size = 32 // passes
            part = slice(index * size, (index + 1) * size)
            return RandomInputs(tf.constant(z[step, part]), tf.constant(y[step, part]))

        batches = [
            [
                RealBatch(*part)
                for part in zip(*(tf.split(array, passes) for array in pair), strict=True)
            ]
            for pair in zip(images, labels, strict=True)
        ]
        replica_iteration(state, config, batches, sampler)
        results.append(values_of(state))
    assert_same(results[1], results[0])


def _frozen(state):
    """Returns the state with networks that always run in inference mode."""
    for model in (state.generator, state.discriminator):
        original = model.call

        def call(*args, training=False, original=original, **kwargs):
            return original(*args, training=False, **kwargs)

        model.call = call
    return state


# XLA takes minutes to compile the whole step. test_conformance.py compiles every layer by default.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "changed", "state"),
    [
        (ACCUMULATING, dict(g_orthogonal=1e-3, g_sigma_clamp=0.5), {}),
        (
            SMALL_DATA,
            dict(global_batch_size=16, d_accumulations=2),
            dict(rate=1e-3, average_logits=True),
        ),
    ],
    ids=["accumulation", "small data"],
)
def test_compiled_with_xla_it_is_the_same(base, changed, state):
    images, labels = batches_of(8, 8)
    config = dataclasses.replace(base, **changed)
    plain, fast = make_state(**state), make_state(**state)
    expected = run_eagerly(plain, config, images, labels)
    step = compiled(tf.distribute.get_strategy(), fast, config, jit_compile=True)
    actual = step(endless(images, labels), tf.constant(2))
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, atol=LATENTS_ATOL, err_msg=name)
    assert_same(values_of(fast), values_of(plain), atol=LATENTS_ATOL)


def test_the_graph_does_not_grow_with_steps_and_accumulations():
    sizes = set()
    state = make_state()
    data = endless(*batches_of(1, 2))
    for count in (2, 6):
        config = StepConfig(
            global_batch_size=2 * count,
            num_d_steps=count,
            d_accumulations=count,
            g_accumulations=count,
        )
        step = compiled(tf.distribute.get_strategy(), state, config)
        graph = step.get_concrete_function(data, tf.constant(1)).graph.as_graph_def()
        functions = graph.library.function
        sizes.add(len(graph.node) + sum(len(function.node_def) for function in functions))
    assert len(sizes) == 1


def test_accumulated_gradients_have_a_device(mirrored_strategy):
    """Reductions across hosts refuse tensors without one."""
    with mirrored_strategy.scope():
        variable = keras.Variable(np.zeros(2, "float32"))
    devices = []
    update = _Update(
        gradients=lambda index: ([tf.ones(2)], tf.ones(1)),
        apply=lambda gradients: devices.extend(gradient.device for gradient in gradients),
        variables=[variable],
    )
    iteration = object.__new__(_Iteration)
    iteration._strategy, iteration._jit_compile = mirrored_strategy, False
    metrics = tf.zeros((2, 1))
    tf.function(lambda: iteration._run_update(update, 2, lambda i: (i,), metrics, 0))()
    assert len(devices) == 2 and all(devices)


def test_several_iterations_in_one_call_are_as_many_calls():
    images, labels = batches_of(4, 8)
    state = make_state()
    variables, start = variables_of(state), values_of(state)
    step = compiled(tf.distribute.get_strategy(), state, CONFIG)
    step(endless(images, labels), tf.constant(3))
    together = values_of(state)
    assert int(state.iteration) == 3
    for path, value in start.items():
        variables[path].assign(value)
    state.iteration.assign(0)
    data = endless(images, labels)
    for _ in range(3):
        step(data, tf.constant(1))
    assert_same(values_of(state), together)


def test_clamp_takes_the_excess_off_the_first_singular_value():
    images, labels = batches_of(2, 8)
    plain, clamped = make_state(rate=0.0), make_state(rate=0.0)
    run_eagerly(plain, CONFIG, images, labels, iterations=1)
    config = dataclasses.replace(CONFIG, g_sigma_clamp=0.01)
    run_eagerly(clamped, config, images, labels, iterations=1)
    layer = plain.generator.blocks[1].convolutions[0]
    matrix, u = np.asarray(layer.kernel_matrix()), layer.u.numpy()
    v = u @ matrix.T
    v /= np.linalg.norm(v)
    u = v @ matrix
    sigma = np.linalg.norm(u)
    expected = matrix - (sigma - 0.01) * v.T @ (u / sigma)
    actual = clamped.generator.blocks[1].convolutions[0].kernel_matrix()
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_clamp_relative_to_the_second_singular_value():
    images, labels = batches_of(2, 8)
    state = make_state(rate=0.0, follow_second=True)
    layer = state.generator.blocks[1].convolutions[0]
    left, values, right = np.linalg.svd(layer.kernel_matrix(), full_matrices=False)
    values[:] = 0.2
    values[:2] = 2.0, 1.0
    layer.kernel.assign(np.reshape(left * values @ right, layer.kernel.shape))
    layer.u.assign(right[:1])
    wide = [layer for layer in normalized_layers(state.generator) if _is_wide(layer)]
    state.second_vectors[wide.index(layer)].assign(right[1:2])
    config = dataclasses.replace(CONFIG, g_sigma_clamp_ratio=1.5)
    run_eagerly(state, config, images, labels)
    clamped = np.linalg.svd(layer.kernel_matrix(), compute_uv=False)
    np.testing.assert_allclose(clamped[:3], [1.5, 1.0, 0.2], atol=1e-9)


def _is_wide(layer):
    return min(layer.kernel_matrix().shape) > 1


@pytest.mark.parametrize("form", ["relaxed", "original"])
@pytest.mark.parametrize("side", ["g", "d"])
def test_an_update_adds_the_gradient_of_the_chosen_orthogonal_penalty(side, form):
    state = make_state(rate=1.0)
    network = state.generator if side == "g" else state.discriminator
    apply = apply_generator if side == "g" else apply_discriminator
    config = StepConfig(**{f"{side}_orthogonal": 0.01, f"{side}_orthogonal_form": form})
    layer = network.blocks[1].shortcut
    kernel = 1.5 * layer.kernel.numpy() + 0.1
    layer.kernel.assign(kernel)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    gram = matrix.T @ matrix
    identity = np.eye(len(gram))
    # The gradient of ||A||^2 with A = W^T W * (1 - I) or W^T W - I is 4 W A.
    residual = gram * (1 - identity) if form == "relaxed" else gram - identity
    zeros = [tf.zeros_like(variable) for variable in network.trainable_variables]
    apply(state, config, zeros, replicas=1)
    moved = (kernel - layer.kernel.numpy()).reshape(matrix.shape)
    np.testing.assert_allclose(moved, 0.01 * 4 * matrix @ residual, atol=1e-12)


def test_r1_in_finite_differences():
    """The penalty is gamma / 2 times the mean squared slope of D's logits."""
    images, labels = batches_of(1, 4)
    state = make_state()
    discriminator = state.discriminator
    direction = np.random.RandomState(5).standard_normal(images[0].shape)
    x = tf.constant(images[0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = discriminator(x, labels[0])
    slopes = tape.gradient(logits, x)
    step = 1e-5
    up, down = (discriminator(x + s * step * direction, labels[0]) for s in (1, -1))
    expected = (up - down) / (2 * step)
    actual = tf.reduce_sum(slopes * direction, axis=(1, 2, 3))
    np.testing.assert_allclose(actual, expected, rtol=1e-4)

    real, draw = RealBatch(x, labels[0]), RandomInputs(None, labels[0])
    before = [variable.numpy() for variable in discriminator.variables]
    losses = []
    for gamma in (0.0, 10.0):
        config = dataclasses.replace(CONFIG, r1_gamma=gamma)
        loss, metrics = _discriminator_pass(discriminator, config, real, x, draw)
        losses.append(loss)
        for variable, value in zip(discriminator.variables, before, strict=True):
            variable.assign(value)
    penalty = 0.5 * 10.0 * np.mean(np.sum(np.square(slopes), axis=(1, 2, 3)))
    np.testing.assert_allclose(losses[1] - losses[0], penalty, rtol=1e-9)
    np.testing.assert_allclose(metrics["d_r1"], penalty, rtol=1e-9)


@pytest.mark.parametrize(
    "settings, replicas, message",
    [
        (dict(global_batch_size=10), 4, r"batch size of D must be a multiple .*4 x 1 = 4.*=10"),
        (dict(global_batch_size=8, d_accumulations=3), 1, r"batch size of D .*1 x 3 = 3.*=8"),
        (dict(g_batch_size=6, g_accumulations=2), 2, r"batch size of G .*2 x 2 = 4.*=6"),
    ],
)
def test_batches_that_do_not_divide_are_refused(settings, replicas, message):
    with pytest.raises(ValueError, match=message):
        batch_plan(StepConfig(**settings), replicas)
    plan = batch_plan(StepConfig(global_batch_size=2048, d_accumulations=8, g_accumulations=4), 8)
    assert plan == {"d": 32, "g": 64}
