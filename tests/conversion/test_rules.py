"""Each source key and each variable is used once, or an error names the leftovers of both sides."""

from __future__ import annotations

import numpy as np
import pytest

from tests.golden_files import golden
from tests.networks.golden_models import authors_discriminator, authors_generator
from tf_biggan.conversion import biggan_pytorch
from tf_biggan.conversion.rules import ConversionError, Rule, convert
from tf_biggan.networks.network import variables_by_path

NAMES = ["aj_c10", "aj_i64", "aj_deep128"]


def _generator(name):
    fixture = golden(name)
    return authors_generator(fixture), dict(fixture.weights("G"))


@pytest.fixture(params=NAMES)
def generator_and_tensors(request):
    return _generator(request.param)


def test_every_key_is_used_or_ignored_and_every_variable_is_filled(generator_and_tensors):
    generator, tensors = generator_and_tensors
    rules = biggan_pytorch.generator_rules(generator)
    used = [key for rule in rules for key in rule.sources]
    ignored = {key for key in tensors if key.endswith(".sv0")}
    assert sorted(used) == sorted(set(tensors) - ignored)
    assert sorted(rule.target for rule in rules) == sorted(variables_by_path(generator))


def test_kernels_arrive_where_the_reference_reads_them():
    generator, tensors = _generator("aj_i64")
    biggan_pytorch.load_generator(generator, tensors)
    weight = tensors["blocks.2.0.conv1.weight"]
    kernel = generator.blocks[2].convolutions[0].kernel.numpy()
    np.testing.assert_array_equal(kernel[0, 2, 5, 7], weight[7, 5, 0, 2])
    # BigGAN-PyTorch joins [y, z]. The embedding has 128 entries and a chunk of z has 24.
    modulation = tensors["blocks.2.0.bn1.gain.weight"]
    ours = generator.blocks[2].norms[0].gain.kernel.numpy()
    np.testing.assert_array_equal(ours[0], modulation[:, 128])
    np.testing.assert_array_equal(ours[24], modulation[:, 0])
    # Output c * 16 + 4 * h + w of its first layer is output (4 * h + w) * C + c here.
    first, channels = tensors["linear.weight"], generator.bottom_channels
    h, w, c = 2, 3, 5
    np.testing.assert_array_equal(
        generator.first.kernel.numpy()[:, (4 * h + w) * channels + c], first[c * 16 + 4 * h + w]
    )


def test_a_missing_key_is_named_and_nothing_is_touched(generator_and_tensors):
    generator, tensors = generator_and_tensors
    before = [variable.numpy() for variable in generator.variables]
    del tensors["blocks.1.0.conv2.bias"]
    with pytest.raises(ConversionError, match=r"missing: blocks\.1\.0\.conv2\.bias"):
        biggan_pytorch.load_generator(generator, tensors)
    for variable, value in zip(generator.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_left_over_key_is_named(generator_and_tensors):
    generator, tensors = generator_and_tensors
    tensors["blocks.99.0.conv1.weight"] = np.zeros((1, 1, 3, 3))
    with pytest.raises(ConversionError, match=r"left over: blocks\.99\.0\.conv1\.weight"):
        biggan_pytorch.load_generator(generator, tensors)


def test_a_wrong_shape_names_both(generator_and_tensors):
    generator, tensors = generator_and_tensors
    tensors["linear.bias"] = tensors["linear.bias"][:-16]
    with pytest.raises(
        ConversionError, match=r"`first/bias` needs the shape \(\d+,\)\. .*linear\.bias \("
    ):
        biggan_pytorch.load_generator(generator, tensors)


def test_an_unfilled_variable_and_a_double_use_are_named():
    shapes, tensors = {"a": (1,), "b": (1,)}, {"x": np.zeros(1)}
    one = Rule(("x",), "a", np.asarray)
    with pytest.raises(ConversionError, match="left over: b"):
        convert([one], tensors, shapes)
    with pytest.raises(ConversionError, match=r"must be used exactly once\. .* more than once: x"):
        convert([one, Rule(("x",), "b", np.asarray)], tensors, shapes)


def test_another_architecture_is_refused():
    fixture = golden("aj_i64")
    generator = authors_generator(fixture, attention_stages=(3,))
    with pytest.raises(ConversionError, match=r"left over: blocks\.2\.1\.g\.u0.*missing"):
        biggan_pytorch.load_generator(generator, fixture.weights("G"))
    discriminator = authors_discriminator(fixture, attention_stages=())
    with pytest.raises(ConversionError, match=r"left over: blocks\.0\.1\.g\.u0"):
        biggan_pytorch.load_discriminator(discriminator, fixture.weights("D"))
