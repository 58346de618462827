"""Both networks, compared with mmagic and its "ajbrock" spectral norm: outputs and buffers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden_files import golden
from tests.networks.golden_models import MMAGIC, biased_variances, check_sigmas, mmagic_networks
from tf_biggan.conversion import mmagic
from tf_biggan.networks.network import variables_by_path

# General bounds of the fixtures for buffers. There are no separate ones for mmagic.
BUFFER_ATOL = {"mean": 2e-6, "var": 5e-6, "u0": 3e-6}
SIGMA_ATOL = 2e-5


@pytest.fixture(params=MMAGIC)
def networks(request):
    fixture = golden(request.param)
    generator, discriminator = mmagic_networks(fixture)
    mmagic.load_generator(generator, fixture.weights("G"))
    mmagic.load_discriminator(discriminator, fixture.weights("D"))
    return fixture, generator, discriminator


def test_images_in_eval_mode(networks):
    fixture, generator, _ = networks
    z, labels = fixture.arrays["in/z"], fixture.arrays["in/y_fake"]
    fixture.assert_close(generator(z, labels), "G_eval")
    # mmagic clamps z; other code bases resample or scale it.
    fixture.assert_close(generator(np.clip(z, -0.5, 0.5), labels), "G_eval_truncation0.5")


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_logits(networks, training):
    fixture, _, discriminator = networks
    rules = mmagic.discriminator_rules(discriminator)
    if training:
        check_sigmas(fixture, discriminator, rules, "D", SIGMA_ATOL)
    logits = discriminator(fixture.arrays["in/x"], fixture.arrays["in/y_real"], training=training)
    fixture.assert_close(logits, "D_train" if training else "D_eval")
    if training:
        _check_buffers(fixture, discriminator, rules, "D", {})


def test_images_and_buffers_in_train_mode(networks):
    fixture, generator, _ = networks
    before = {path: v.numpy() for path, v in variables_by_path(generator).items()}
    rules = mmagic.generator_rules(generator)
    check_sigmas(fixture, generator, rules, "G", SIGMA_ATOL)
    images = generator(fixture.arrays["in/z"], fixture.arrays["in/y_fake"], training=True)
    fixture.assert_close(images, "G_train")
    _check_buffers(fixture, generator, rules, "G", before)


def _check_buffers(fixture, model, rules, network, before):
    buffers = fixture.buffers(f"{network}buf/")
    expected = {
        rule.target: (rule.transform(buffers[rule.sources[0]]), rule.sources[0])
        for rule in rules
        if rule.sources[0] in buffers
    }
    variances = {p: v for p, (v, _) in expected.items() if p.endswith("moving_variance")}
    if variances:
        batch_size = len(fixture.arrays["in/z"])
        variances = biased_variances(model, batch_size, before, variances)
    variables = variables_by_path(model)
    assert set(expected) == {path for path, v in variables.items() if not v.trainable}
    for path, (value, key) in expected.items():
        atol = next(atol for suffix, atol in BUFFER_ATOL.items() if key.endswith(suffix))
        np.testing.assert_allclose(
            variables[path].numpy(), variances.get(path, value), rtol=0, atol=atol, err_msg=path
        )
