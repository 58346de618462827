"""Training forwards of a generator whose statistics do not average, against `--mybn`'s sums."""

from __future__ import annotations

import numpy as np

from tests.golden_files import golden, manifest_weights
from tf_biggan.conversion import biggan_pytorch
from tf_biggan.conversion.rules import variables_by_path
from tf_biggan.models.generator import Generator


def test_mean_of_batch_statistics_gives_the_authors_images():
    fixture = golden("misc")
    arrays, config = fixture.arrays, fixture.info["standing"]["config"]
    generator = Generator(
        "biggan32",
        config["n_classes"],
        base_channels=config["G_ch"],
        sn_epsilon=config["SN_eps"],
        bn_epsilon=config["BN_eps"],
        bn_momentum=0.0,
        initializer="n02",
    )
    biggan_pytorch.load_generator(generator, manifest_weights("standing_G"))
    statistics = {p: v for p, v in variables_by_path(generator).items() if "moving_" in p}
    sums = {path: 0.0 for path in statistics}
    for z, labels in zip(arrays["standing/z"], arrays["standing/y"], strict=True):
        generator(z, labels, training=True)
        sums = {path: sums[path] + statistics[path].numpy() for path in sums}

    _check_sums(generator, sums, fixture.buffers("standing/buf/"))
    for path, variable in statistics.items():
        variable.assign(sums[path] / len(arrays["standing/z"]))
    images = generator(arrays["standing/eval_z"], arrays["standing/eval_y"])
    np.testing.assert_allclose(images, arrays["standing/eval_out"], rtol=0, atol=3e-5)


def _check_sums(generator, sums, buffers):
    rules = biggan_pytorch.generator_rules(generator, manual_batch_norm=True)
    checked = [rule for rule in rules if rule.target in sums]
    assert len(checked) == len(sums)
    for rule in checked:
        expected = rule.transform(buffers[rule.sources[0]])
        np.testing.assert_allclose(
            sums[rule.target], expected, rtol=1e-5, atol=1e-5, err_msg=rule.target
        )
