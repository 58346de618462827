"""What every layer and model must do. Each test checks one property of all rows of the table."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance_table import BATCH, ROWS, example_inputs
from tf_biggan.networks.network import Network

KERAS_OWN = {"kwargs", "args", "name", "dtype", "trainable", "autocast", "activity_regularizer"}
LEARNING_RATE = 0.01
TOLERANCE = 1e-5
# bfloat16 keeps 8 bits, so an operation has an error of up to 0.4 %. The deepest row has about 30
# operations in sequence. Outputs of zeros would differ by at least 0.19 of the largest value.
BFLOAT16_MEAN_ERROR = 0.05

NETWORKS = {name for name in ROWS if name.split(",")[0] in ("Generator", "Discriminator")}
# XLA takes up to a minute to compile a whole network. The default run compiles layers and the
# blocks of BigGAN-deep.
SLOW_WITH_XLA = NETWORKS | {"GeneratorBlock", "DiscriminatorBlock"}
# Layers and blocks have every property tested by default, and of the networks that consist of them,
# one generator and one discriminator.
SLOW_NETWORKS = NETWORKS - {"Generator, split z", "Discriminator"}


def rows(slow):
    """Returns the names of all rows, of which those in `slow` are left out by default."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in ROWS]


@pytest.fixture(params=rows(SLOW_NETWORKS))
def row(request):
    return ROWS[request.param]


def build(row, **kwargs):
    """Returns the layer of a row, built. Models build themselves."""
    layer = row.make(name="subject", **kwargs)
    if not layer.built:
        layer.build(*(array.shape for array in example_inputs(row)))
    return layer


def perturb(layer, seed=0):
    """Changes every variable, so that initial zeros cannot hide a mistake."""
    random = np.random.RandomState(seed)
    for variable in layer.variables:
        noise = 0.1 * random.standard_normal(variable.shape).astype("float32")
        positive = variable.path.endswith("moving_variance")
        variable.assign(variable + (np.abs(noise) if positive else noise))


def close(actual, expected, atol=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=atol)


def constructor_arguments(cls):
    """Returns the named arguments of a constructor and of its base classes.

    The constructor of `Network` is left out: it takes the arguments of its subclass as one dict.
    """
    found = {}
    for base in cls.__mro__:
        is_ours = base.__module__.startswith("tf_biggan") and base is not Network
        if is_ours and "__init__" in vars(base):
            found.update(inspect.signature(base.__init__).parameters)
    return {name: p for name, p in found.items() if name != "self" and name not in KERAS_OWN}


def test_config_holds_every_argument_with_another_value_than_its_default(row):
    layer = row.make(name="subject")
    config = layer.get_config()
    for name, parameter in constructor_arguments(type(layer)).items():
        assert name in config
        if name not in row.untested_defaults and parameter.default is not parameter.empty:
            assert config[name] != parameter.default, name
    assert type(layer).from_config(config).get_config() == config


def test_keras_file_round_trip(row, tmp_path):
    layer, inputs = build(row), example_inputs(row)
    perturb(layer)
    model = layer
    if not isinstance(layer, keras.Model):
        symbols = [keras.Input(a.shape[1:], dtype=a.dtype.name, batch_size=BATCH) for a in inputs]
        model = keras.Model(symbols, layer(*symbols))
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    arguments = inputs if model is layer else (list(inputs),)
    close(loaded(*arguments), model(*arguments))
    for variable, original in zip(loaded.variables, model.variables, strict=True):
        np.testing.assert_array_equal(variable, original)


def test_every_variable_exists_before_the_first_call(row):
    layer = build(row)
    before = len(layer.variables)
    assert before == row.variables
    layer(*example_inputs(row), training=True)
    assert len(layer.variables) == before
    paths = [variable.path for variable in layer.variables]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_symbolic_output_is_like_the_eager_one(row, dtype):
    layer, inputs = build(row, dtype=dtype), example_inputs(row)
    symbols = [keras.Input(a.shape[1:], dtype=a.dtype.name, batch_size=BATCH) for a in inputs]
    symbolic, eager = layer(*symbols), layer(*inputs)
    assert tuple(symbolic.shape) == tuple(eager.shape)
    assert symbolic.dtype == keras.backend.standardize_dtype(eager.dtype)


def test_gradients_are_dense(row):
    """Keras's Adam does not add sparse gradients of the same row."""
    layer, inputs = build(row), example_inputs(row)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(*inputs, training=True))
    gradients = tape.gradient(total, [v.value for v in layer.trainable_variables])
    assert all(isinstance(gradient, tf.Tensor) for gradient in gradients)


def test_checkpoint_holds_and_restores_every_variable(row, tmp_path):
    layer, inputs = build(row), example_inputs(row)
    perturb(layer)
    expected = layer(*inputs)
    values = [variable.numpy() for variable in layer.variables]
    path = tf.train.Checkpoint(layer=layer).write(str(tmp_path / "checkpoint"))
    saved = [name for name, _ in tf.train.list_variables(path) if name.startswith("layer/")]
    assert len(saved) == row.variables
    perturb(layer, seed=1)
    tf.train.Checkpoint(layer=layer).read(path).assert_consumed()
    for variable, value in zip(layer.variables, values, strict=True):
        np.testing.assert_array_equal(variable, value)
    close(layer(*inputs), expected)


def test_saved_model_gives_the_same_output_for_another_batch_size(row, tmp_path):
    layer, inputs = build(row), example_inputs(row, batch=3)
    perturb(layer)
    signature = [tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in inputs]
    module = tf.Module()
    module.kept = [variable.value for variable in layer.variables]
    module.serve = tf.function(lambda *a: layer(*a, training=False), input_signature=signature)
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    close(loaded.serve(*map(tf.constant, inputs)), layer(*inputs))


def test_mixed_bfloat16_keeps_variables_in_float32_and_computes_nearly_the_same(row):
    single, inputs = build(row), example_inputs(row)
    mixed = build(row, dtype="mixed_bfloat16")
    perturb(single)
    for variable, original in zip(mixed.variables, single.variables, strict=True):
        assert variable.dtype == "float32"
        variable.assign(original)
    expected, output = single(*inputs, training=True), mixed(*inputs, training=True)
    is_model = isinstance(mixed, keras.Model)
    assert output.dtype == ("float32" if is_model else "bfloat16")
    scale = np.abs(expected).max()
    difference = np.abs(np.asarray(output, "float32") - np.asarray(expected))
    assert difference.mean() < BFLOAT16_MEAN_ERROR * scale
    for variable, original in zip(mixed.variables, single.variables, strict=True):
        if variable.path.endswith("/u"):
            close(variable, original)


@pytest.mark.parametrize("row", rows(SLOW_WITH_XLA), indirect=True)
def test_xla_compiles_a_training_call_and_its_gradient(row):
    inputs = [tf.constant(array) for array in wide(example_inputs(row))]
    results = []
    for jit_compile in (False, True):
        layer = build(row, dtype="float64")
        perturb(layer)
        step = tf.function(_loss_and_gradients, jit_compile=jit_compile)
        weights = tf.constant(output_weights(layer, inputs))
        results.append((step(layer, inputs, weights), [v.numpy() for v in layer.variables]))
    (plain, plain_variables), (compiled, compiled_variables) = results
    for a, b in zip(tf.nest.flatten(plain), tf.nest.flatten(compiled), strict=True):
        close(b, a)
    for a, b in zip(plain_variables, compiled_variables, strict=True):
        close(b, a)


def wide(inputs):
    """Returns the inputs in float64, in which the order of a sum flips no ReLU."""
    return [array.astype("float64") if array.dtype.kind == "f" else array for array in inputs]


def output_weights(layer, inputs):
    """Returns a fixed weight for every number of the output."""
    shape = layer(*inputs).shape
    return np.random.RandomState(8).standard_normal(shape)


def _loss_and_gradients(layer, inputs, weights):
    variables = [variable.value for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        output = layer(*inputs, training=True)
        loss = tf.reduce_sum(output * weights) / np.sqrt(np.prod(output.shape[1:])) / BATCH
    return loss, tape.gradient(loss, variables)


# By default, two replicas run the blocks, and in test_train_step.py both networks of an iteration.
@pytest.mark.parametrize("row", rows(NETWORKS), indirect=True)
def test_two_replicas_are_one_on_the_joined_batch(row, mirrored_strategy):
    batches = [wide(example_inputs(row, seed)) for seed in (1, 2)]
    single = build(row, dtype="float64")
    perturb(single)
    weights = output_weights(single, batches[0])
    before = [variable.numpy() for variable in single.trainable_variables]
    optimizer = keras.optimizers.SGD(LEARNING_RATE)
    for batch in batches:
        _, gradients = _loss_and_gradients(single, batch, weights)
        optimizer.apply(gradients, single.trainable_variables)
    moved = zip(single.trainable_variables, before, strict=True)
    assert max(np.abs(variable - old).max() for variable, old in moved) > 10 * TOLERANCE

    with mirrored_strategy.scope():
        replicated = build(row, dtype="float64")
        perturb(replicated)
        optimizer = keras.optimizers.SGD(LEARNING_RATE)
        optimizer.build(replicated.trainable_variables)

    def replica_step(weights, *inputs):
        _, gradients = _loss_and_gradients(replicated, inputs, weights)
        optimizer.apply(gradients, replicated.trainable_variables)

    step = tf.function(lambda inputs: mirrored_strategy.run(replica_step, args=inputs))
    for batch in batches:
        step(tuple(_halves(mirrored_strategy, array) for array in (weights, *batch)))
    for variable, expected in zip(replicated.variables, single.variables, strict=True):
        copies = mirrored_strategy.experimental_local_results(variable.value)
        assert len(copies) == 2
        np.testing.assert_array_equal(copies[0], copies[1], err_msg=variable.path)
        np.testing.assert_allclose(
            copies[0], expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=variable.path
        )


def _halves(strategy, array):
    parts = np.split(array, 2)
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )
