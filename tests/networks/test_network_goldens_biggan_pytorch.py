"""Both networks, compared with BigGAN-PyTorch: outputs, blocks, buffers and gradients.

Gradients are compared in float64 within the bounds of tolerances.json. In float32, single ReLUs and
maxima flip between implementations, so norms and norms of differences are compared within the
fixtures' general bound for norms.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.golden_files import golden
from tests.networks.golden_models import (
    AUTHORS,
    authors_discriminator,
    authors_generator,
    biased_variances,
    check_sigmas,
)
from tf_biggan.conversion import biggan_pytorch
from tf_biggan.networks.network import variables_by_path
from tf_biggan.training import losses

FLOAT32_RTOL = 1e-2
# Relative to the largest value of a part. The bounds on images and logits are between 1e-5 and 4e-4
# of the largest value; single parts have no bounds of their own.
PROBE_TOLERANCE = 1e-4
WITH_DISCRIMINATOR = [name for name, row in AUTHORS.items() if row["discriminator"] is not None]


class Networks:
    """A fixture and our two networks, whose weights are reset before every use."""

    def __init__(self, name, dtype="float32"):
        self.golden = golden(name)
        self.dtype = dtype
        self.arrays = self.golden.arrays
        self.generator = authors_generator(self.golden, dtype=dtype)
        self.generator_weights = self.golden.weights("G")
        self.discriminator = None
        if name in WITH_DISCRIMINATOR:
            self.discriminator = authors_discriminator(self.golden, dtype=dtype)
            self.discriminator_weights = self.golden.weights("D")

    def reset(self):
        biggan_pytorch.load_generator(self.generator, self.generator_weights)
        if self.discriminator is not None:
            biggan_pytorch.load_discriminator(self.discriminator, self.discriminator_weights)

    def generate(self, training):
        return self.generator(self.arrays["in/z"], self.arrays["in/y_fake"], training=training)


@pytest.fixture(scope="module", params=AUTHORS)
def networks(request):
    return Networks(request.param)


@pytest.fixture
def fresh(networks):
    networks.reset()
    return networks


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture(params=WITH_DISCRIMINATOR)
def step_networks(request, dtype):
    networks = Networks(request.param, dtype)
    networks.reset()
    return networks


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_images(fresh, training):
    images = fresh.generate(training)
    key = "G_train" if training else "G_eval"
    fresh.golden.assert_close(images, key)


@pytest.mark.parametrize("networks", WITH_DISCRIMINATOR, indirect=True)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_logits(fresh, training):
    arrays = fresh.arrays
    logits = fresh.discriminator(arrays["in/x"], arrays["in/y_real"], training=training)
    fresh.golden.assert_close(logits, "D_train" if training else "D_eval")


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_every_part_of_the_generator(fresh, training, monkeypatch):
    generator = fresh.generator
    parts = {"linear": generator.first, "output_layer": generator.to_image}
    for index, (block, attention) in enumerate(generator.blocks_with_attention()):
        parts |= {f"blocks.{index}.0": block, f"blocks.{index}.1": attention}
    probes = fresh.golden.info["probe_G_train" if training else "probe_G_eval"]
    _check_probes(parts, probes, lambda: fresh.generate(training), monkeypatch)


@pytest.mark.parametrize("networks", WITH_DISCRIMINATOR, indirect=True)
def test_every_part_of_the_discriminator(fresh, monkeypatch):
    discriminator, arrays = fresh.discriminator, fresh.arrays
    parts = {
        "input_conv": discriminator.stem,
        "linear": discriminator.to_logit,
        "embed": discriminator.class_embedding,
    }
    for index, (block, attention) in enumerate(discriminator.blocks_with_attention()):
        stage, inner = divmod(index, discriminator.depth)
        parts |= {f"blocks.{stage}.{inner}": block}
        parts |= {f"blocks.{stage}.{discriminator.depth}": attention} if attention else {}
    probes = fresh.golden.info["probe_D_eval"]

    def run():
        discriminator(arrays["in/x"], arrays["in/y_real"])

    _check_probes(parts, probes, run, monkeypatch)


def _check_probes(parts, probes, run, monkeypatch):
    """Compares mean, spread, largest value and first values of every recorded part."""
    recorded = {}
    for name, layer in parts.items():
        if layer is not None:
            _record_output(name, layer, recorded, monkeypatch)
    run()
    assert {probe["module"] for probe in probes} <= set(recorded)
    for probe in probes:
        output, name = recorded[probe["module"]], probe["module"]
        atol = PROBE_TOLERANCE * probe["max_abs"]
        for measure, actual in (
            ("mean", output.mean()),
            ("std", output.std()),
            ("max_abs", np.abs(output).max()),
        ):
            np.testing.assert_allclose(actual, probe[measure], atol=atol, err_msg=name)
        if output.ndim == 4:
            first = output[0, 0, :4, 0]
            np.testing.assert_allclose(first, probe["first4"], atol=atol, err_msg=name)


def _record_output(name, layer, recorded, monkeypatch):
    original = layer.call

    def call(*args, **kwargs):
        output = original(*args, **kwargs)
        recorded[name] = np.asarray(output)
        return output

    monkeypatch.setattr(layer, "call", call)


def test_buffers_of_the_generator_after_a_training_call(fresh):
    model = fresh.generator
    rules = biggan_pytorch.generator_rules(model)
    before = {path: v.numpy() for path, v in variables_by_path(model).items()}
    check_sigmas(fresh.golden, model, rules, "G")
    fresh.generate(training=True)
    _check_moved_buffers(fresh, model, rules, "G", before)


@pytest.mark.parametrize("networks", WITH_DISCRIMINATOR, indirect=True)
def test_buffers_of_the_discriminator_after_a_training_call(fresh):
    model = fresh.discriminator
    rules = biggan_pytorch.discriminator_rules(model)
    check_sigmas(fresh.golden, model, rules, "D")
    model(fresh.arrays["in/x"], fresh.arrays["in/y_real"], training=True)
    _check_moved_buffers(fresh, model, rules, "D", before={})


def _check_moved_buffers(fresh, model, rules, network, before):
    buffers = fresh.golden.buffers(f"{network}buf/")
    expected, atol = {}, {}
    for rule in rules:
        (source,) = rule.sources
        if source in buffers:
            expected[rule.target] = rule.transform(buffers[source])
            atol[rule.target] = fresh.golden.atol(f"{network}buf/{source}")
    variances = {p: v for p, v in expected.items() if p.endswith("moving_variance")}
    if variances:
        batch_size = len(fresh.arrays["in/z"])
        expected.update(biased_variances(model, batch_size, before, variances))
    variables = variables_by_path(model)
    assert set(expected) == {path for path, v in variables.items() if not v.trainable}
    for path, value in expected.items():
        np.testing.assert_allclose(
            variables[path].numpy(), value, rtol=0, atol=atol[path], err_msg=path
        )


def test_generator_step(step_networks):
    fixture, labels = step_networks.golden, step_networks.arrays["in/y_fake"]
    variables = step_networks.generator.trainable_variables
    with tf.GradientTape() as tape:
        images = step_networks.generate(training=True)
        logits = step_networks.discriminator(images, labels, training=True)
        loss = tf.reduce_mean(losses.hinge_generator(logits))
    gradients = tape.gradient(loss, [v.value for v in variables])
    fixture.assert_close(logits, "Gstep/D_fake")
    fixture.assert_close(loss, "Gstep/loss")
    rules = biggan_pytorch.generator_rules(step_networks.generator)
    _check_gradients(step_networks, "G", rules, variables, gradients)


def test_discriminator_step(step_networks):
    fixture, arrays = step_networks.golden, step_networks.arrays
    fake = step_networks.generate(training=True)
    images = tf.concat([fake, tf.cast(arrays["in/x"], fake.dtype)], axis=0)
    labels = np.concatenate([arrays["in/y_fake"], arrays["in/y_real"]])
    variables = step_networks.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        logits = step_networks.discriminator(images, labels, training=True)
        fake_logits, real_logits = tf.split(logits, 2)
        real_loss, fake_loss = losses.hinge_discriminator(real_logits, fake_logits)
        real_loss, fake_loss = tf.reduce_mean(real_loss), tf.reduce_mean(fake_loss)
        loss = real_loss + fake_loss
    gradients = tape.gradient(loss, [v.value for v in variables])
    fixture.assert_close(fake_logits, "Dstep/D_fake")
    fixture.assert_close(real_logits, "Dstep/D_real")
    fixture.assert_close(real_loss, "Dstep/loss_real")
    fixture.assert_close(fake_loss, "Dstep/loss_fake")
    rules = biggan_pytorch.discriminator_rules(step_networks.discriminator)
    _check_gradients(step_networks, "D", rules, variables, gradients)


def _check_gradients(networks, network, rules, variables, gradients):
    fixture = networks.golden
    by_path = {
        variable.path.split("/", 1)[1]: np.asarray(tf.convert_to_tensor(gradient))
        for variable, gradient in zip(variables, gradients, strict=True)
    }
    zero = set(fixture.info[f"{network}_grad_zero_keys"])
    norms = fixture.info[f"{network}_grad_l2"]
    exact = networks.dtype == "float64"
    rtol = fixture.gradient_norm_rtol(network) if exact else FLOAT32_RTOL
    rule_of = {rule.sources[0]: rule for rule in rules}
    assert {rule_of[key].target for key in norms} == set(by_path)
    for key in set(norms) - zero:
        actual = np.linalg.norm(by_path[rule_of[key].target])
        np.testing.assert_allclose(actual, norms[key], rtol=rtol, err_msg=key)
    for key, array in fixture.buffers(f"{network}grad/").items():
        actual, expected = by_path[rule_of[key].target], rule_of[key].transform(array)
        if exact:
            atol = fixture.atol(f"{network}grad/{key}")
            np.testing.assert_allclose(actual, expected, rtol=0, atol=atol, err_msg=key)
        else:
            difference = np.linalg.norm(actual - expected)
            assert difference <= FLOAT32_RTOL * np.linalg.norm(expected), key
