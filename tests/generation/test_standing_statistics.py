"""Standing statistics, compared with BigGAN-PyTorch's `--mybn`; the generator stays unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden_files import golden, manifest_weights
from tf_biggan.conversion import biggan_pytorch
from tf_biggan.generation.standing_statistics import (
    copy_generator,
    is_statistic,
    with_standing_statistics,
)
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path


@pytest.fixture(scope="module")
def fixture():
    return golden("misc")


@pytest.fixture(scope="module")
def generator(fixture):
    config = fixture.info["standing"]["config"]
    made = Generator(
        "biggan32",
        config["n_classes"],
        base_channels=config["G_ch"],
        sn_epsilon=config["SN_eps"],
        bn_epsilon=config["BN_eps"],
        initializer="n02",
    )
    biggan_pytorch.load_generator(made, manifest_weights("standing_G"))
    return made


def batches(fixture):
    return zip(fixture.arrays["standing/z"], fixture.arrays["standing/y"], strict=True)


def values(generator):
    return {path: np.asarray(v).copy() for path, v in variables_by_path(generator).items()}


def test_statistics_and_images_are_the_authors(fixture, generator):
    before = values(generator)
    standing = with_standing_statistics(generator, batches(fixture))
    for path, value in values(generator).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)

    count = len(fixture.arrays["standing/z"])
    _check_sums(standing, count, fixture.buffers("standing/buf/"))
    arrays = fixture.arrays
    images = standing(arrays["standing/eval_z"], arrays["standing/eval_y"])
    np.testing.assert_allclose(images, arrays["standing/eval_out"], rtol=0, atol=3e-5)


def _check_sums(standing, count, buffers):
    statistics = {p: v for p, v in variables_by_path(standing).items() if is_statistic(p)}
    rules = biggan_pytorch.generator_rules(standing, manual_batch_norm=True)
    checked = [rule for rule in rules if rule.target in statistics]
    assert len(checked) == len(statistics) > 0
    for rule in checked:
        expected = rule.transform(buffers[rule.sources[0]])
        actual = np.asarray(statistics[rule.target]) * count
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5, err_msg=rule.target)


def test_replicas_see_the_same_statistics(fixture, generator, mirrored_strategy):
    alone = with_standing_statistics(generator, batches(fixture))
    with mirrored_strategy.scope():
        shared = with_standing_statistics(generator, batches(fixture))
    for (path, one), two in zip(values(alone).items(), values(shared).values(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7, err_msg=path)


def test_a_copy_of_a_table_has_one_row(generator):
    many = copy_generator(generator, num_statistics=3)
    one = copy_generator(many, num_statistics=1)
    assert values(one)["output_norm/moving_mean"].shape[0] == 1
    np.testing.assert_array_equal(one.first.kernel, generator.first.kernel)


def test_no_batch_is_refused(generator):
    with pytest.raises(ValueError, match="at least one batch of latents"):
        with_standing_statistics(generator, [])
