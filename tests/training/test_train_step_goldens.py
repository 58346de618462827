"""Whole iterations, compared with BigGAN-PyTorch's training function from recorded inputs."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.golden_files import golden
from tests.networks.golden_models import norm_map_sizes
from tests.training.torch_adam import TorchAdam
from tf_biggan.cli.train_settings import StepConfig
from tf_biggan.conversion import biggan_pytorch
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path
from tf_biggan.training.state import TrainState
from tf_biggan.training.train_step import replica_iteration
from tf_biggan.training.updates import RandomInputs, RealBatch

SHARED = dict(latent_dim=120, latent_injection="split", embedding_dim=128)
TRACES = {
    "train_c10": dict(architecture="biggan32", generator={}, discriminator={}),
    "train_i32acc": dict(
        architecture="biggan32",
        generator={**SHARED, "attention_stages": (1,)},
        # BigGAN-PyTorch's table has 16 for every stage of its 32-pixel discriminator.
        discriminator={"attention_stages": (0, 1, 2, 3)},
    ),
    "train_i64acc": dict(
        architecture="biggan64",
        generator={"attention_stages": (2,)},
        discriminator={"attention_stages": (0,)},
    ),
}
TRACES["train_i32acc_splitD"] = TRACES["train_i32acc"]
WITH_FLOAT64 = ["train_c10", "train_i32acc"]
# The default run follows all but the largest in float64.
SLOW_IN_FLOAT32 = {*TRACES} - {"train_c10"}


class Trace:
    """A recorded run, and our state at its start."""

    def __init__(self, name, dtype):
        self.golden = golden(name)
        self.arrays, self.info = self.golden.arrays, self.golden.info
        self.dtype = dtype
        self.config = _step_config(self.info)
        self.state = self._state(TRACES[name], self.info["config"])
        self.initial_variances = {
            path: variable.numpy()
            for path, variable in variables_by_path(self.state.generator).items()
            if path.endswith("moving_variance")
        }

    def _state(self, row, config):
        shared = dict(
            architecture=row["architecture"],
            num_classes=config["n_classes"],
            sn_epsilon=config["SN_eps"],
            initializer="n02",
            dtype=self.dtype,
        )
        generator = Generator(**shared, base_channels=config["G_ch"], **row["generator"])
        discriminator = Discriminator(
            **shared, base_channels=config["D_ch"], **row["discriminator"]
        )
        biggan_pytorch.load_generator(generator, self.golden.weights("G"))
        biggan_pytorch.load_discriminator(discriminator, self.golden.weights("D"))
        optimizers = [
            TorchAdam(
                config[f"{side}_lr"],
                beta_1=config[f"{side}_B1"],
                beta_2=config[f"{side}_B2"],
                epsilon=config["adam_eps"],
            )
            for side in "GD"
        ]
        return TrainState.create(generator, discriminator, *optimizers)

    def run(self):
        """Runs all iterations and returns the metrics of each."""
        return [self._iterate(i) for i in range(self.info["iterations"])]

    def _iterate(self, iteration):
        draws = self._draws(iteration)
        metrics = replica_iteration(
            self.state,
            self.config,
            self._batches(iteration),
            lambda step, index: draws[self._call(step, index)],
        )
        return {name: value.numpy() for name, value in metrics.items()}

    def _call(self, step, index):
        return step * self.config.d_accumulations + index

    def _batches(self, iteration):
        passes = self.config.d_accumulations
        count = self.config.num_d_steps * passes
        images = self.arrays["x_u8"]
        per_iteration = len(self.arrays["y_real"][0])
        images = images.reshape(-1, per_iteration, *images.shape[-3:])[iteration]
        images = tf.cast(tf.cast(images, "float32") / 127.5 - 1, self.dtype)
        labels = tf.constant(self.arrays["y_real"][iteration])
        parts = zip(tf.split(images, count), tf.split(labels, count), strict=True)
        reals = [RealBatch(*part) for part in parts]
        return [reals[i : i + passes] for i in range(0, count, passes)]

    def _draws(self, iteration):
        config, arrays = self.config, self.arrays
        of_d = config.num_d_steps * config.d_accumulations
        calls = of_d + config.g_accumulations
        rows = range(iteration * calls, (iteration + 1) * calls)
        size = config.global_batch_size // config.d_accumulations
        draws = []
        for call, row in enumerate(rows):
            keep = slice(None, size if call < of_d else None)
            z, labels = arrays["z"][row, keep], arrays["y_fake"][row, keep]
            draws.append(RandomInputs(tf.cast(z, self.dtype), tf.constant(labels)))
        return draws


def _step_config(info):
    config, train = info["config"], info["train"]
    accumulations = train["num_D_accumulations"]
    return StepConfig(
        global_batch_size=train["batch_size"] * accumulations,
        num_d_steps=train["num_D_steps"],
        d_accumulations=accumulations,
        g_accumulations=train["num_G_accumulations"],
        split_d=train["split_D"],
        g_orthogonal=0.5 * train["G_ortho"],
        ema_decay=train["ema_decay"],
        ema_start=train["ema_start"],
        g_learning_rate=config["G_lr"],
        d_learning_rate=config["D_lr"],
    )


def _check_losses(trace, metrics):
    expected = trace.info["every_D_loss_in_call_order"]
    for ours, theirs in (("d_loss_real", "D_real"), ("d_loss_fake", "D_fake")):
        actual = np.concatenate([step[ours].ravel() for step in metrics])
        np.testing.assert_allclose(actual, expected[theirs], rtol=0, atol=1e-3)
    # BigGAN-PyTorch reports the loss of the last accumulation step, divided by their number.
    of_g = [step["g_loss"][-1] / trace.config.g_accumulations for step in metrics]
    theirs = [step["G_loss"] for step in trace.info["returned_per_iteration"]]
    np.testing.assert_allclose(of_g, theirs, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW_IN_FLOAT32)) for name in TRACES],
)
def test_losses_in_float32(name):
    trace = Trace(name, "float32")
    _check_losses(trace, trace.run())


@pytest.mark.parametrize("name", WITH_FLOAT64)
def test_every_variable_in_float64(name):
    trace = Trace(name, "float64")
    _check_losses(trace, trace.run())
    for part, model, expected in _expected(trace, "final64"):
        variables = variables_by_path(model)
        assert set(expected) == set(variables)
        for path, value in expected.items():
            np.testing.assert_allclose(
                variables[path], value, rtol=1e-5, atol=1e-5, err_msg=f"{part}/{path}"
            )


@pytest.mark.slow
def test_split_discriminator_passes_in_float64():
    """Only float32 results were recorded, with their own bounds."""
    trace = Trace("train_i32acc_splitD", "float64")
    trace.run()
    zero = set(trace.info["zero_gradient_keys"])
    keys = {rule.target: rule.sources[0] for rule in _rules(trace.state.generator)}
    for part, model, expected in _expected(trace, "final"):
        if part != "D":
            for path, value in expected.items():
                if f"{part}/{keys[path]}" not in zero:
                    atol = trace.golden.atol(f"final/{part}/{keys[path]}")
                    actual = variables_by_path(model)[path]
                    np.testing.assert_allclose(actual, value, rtol=0, atol=atol, err_msg=path)


def _rules(model):
    kind = "generator_rules" if isinstance(model, Generator) else "discriminator_rules"
    return getattr(biggan_pytorch, kind)(model)


def _expected(trace, prefix):
    """Returns (part, model, values by path) of G, D and the average, with biased variances."""
    state = trace.state
    for part, model in (
        ("G", state.generator),
        ("D", state.discriminator),
        ("Gema", state.average),
    ):
        stored = trace.golden.stored(f"{prefix}_{part}")
        expected = {rule.target: rule.transform(stored[rule.sources[0]]) for rule in _rules(model)}
        kept = _kept_share(trace, averaged=part == "Gema")
        for path, old in trace.initial_variances.items():
            if path in expected:
                height, width = norm_map_sizes(model)[path.removesuffix("/moving_variance")]
                count = trace.info["train"]["batch_size"] * height * width
                rest = kept * old
                expected[path] = rest + (expected[path] - rest) * (count - 1) / count
        yield part, model, expected


def _kept_share(trace, averaged):
    """Returns the weight that the first running variance has after all training calls.

    PyTorch adds unbiased batch variances to it, Keras biased ones; only the added part differs.
    """
    config, momentum = trace.config, trace.state.generator.factory.bn_momentum
    calls = config.num_d_steps * config.d_accumulations + config.g_accumulations
    average, share = 1.0, 1.0
    for iteration in range(1, trace.info["iterations"] + 1):
        share *= momentum**calls
        decay = config.ema_decay if iteration >= config.ema_start else 0.0
        average = decay * average + (1 - decay) * share
    return average if averaged else share
