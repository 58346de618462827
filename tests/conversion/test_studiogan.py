"""BigGAN-PyTorch's weights under StudioGAN's keys give the same images.

There is no fixture of StudioGAN itself. Its keys and shapes are checked in full in test_detection;
here BigGAN-PyTorch's fixtures go through its names and through PyTorch's spectral norm.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from tests.conversion.command import converted, save, torch_tensors
from tests.golden_files import golden
from tests.networks.golden_models import authors_discriminator
from tf_biggan.conversion import biggan_pytorch

RENAMES = (
    (r"conv_sc\.", "conv2d0."),
    (r"\.conv(\d)\.", r".conv2d\1."),
    (r"(bn\d)\.stored_", r"\1.bn.stored_"),
    (r"stored_(mean|var)$", r"running_\1"),
    (r"^output_layer\.0\.gain", "bn4.weight"),
    (r"^output_layer\.0\.", "bn4."),
    (r"^output_layer\.2\.", "conv2d5."),
    (r"\.(theta|phi|g)\.weight", r".conv1x1_\1.weight"),
    (r"\.o\.weight", ".conv1x1_attn.weight"),
    (r"\.gamma$", ".sigma"),
    (r"^embed\.", "embedding."),
)


def _with_vectors(tensors):
    """Converts (weight, u0) to PyTorch's (weight_orig, weight_u, weight_v) with the same sigma."""
    made = {}
    for key, value in tensors.items():
        prefix = key.removesuffix(".weight")
        if key.endswith(".weight") and f"{prefix}.u0" in tensors:
            matrix = value.reshape(len(value), -1).astype("float64")
            v = matrix.T @ tensors[f"{prefix}.u0"][0]
            v /= np.linalg.norm(v)
            u = matrix @ v
            made[f"{prefix}.weight_orig"] = value
            made[f"{prefix}.weight_u"] = (u / np.linalg.norm(u)).astype("float32")
            made[f"{prefix}.weight_v"] = v.astype("float32")
        elif not key.endswith((".u0", ".sv0")):
            made[key] = value.reshape(1) if key.endswith(".gamma") else value
    return made


def _as_studiogan(tensors, linear, depth=1):
    """Renames BigGAN-PyTorch's keys to StudioGAN's, where attention layers have an index."""
    places = sorted(
        {tuple(map(int, m)) for k in tensors for m in re.findall(r"^blocks\.(\d+)\.(\d+)\.", k)}
    )
    made = {}
    for key, value in _with_vectors(tensors).items():
        if match := re.match(r"blocks\.(\d+)\.(\d+)\.(.*)", key):
            place = places.index((int(match[1]), int(match[2])))
            key = f"blocks.{place}.0.{match[3]}"
        key = re.sub(r"^linear\.", f"{linear}.", key)
        for old, new in RENAMES:
            key = re.sub(old, new, key)
        made[key] = value
    return made


def _write(fixture, folder):
    folder.mkdir()
    for network, role, linear in (("G", "G_ema", "linear0"), ("D", "D", "linear1")):
        tensors = _as_studiogan(fixture.weights(network), linear)
        contents = {"state_dict": torch_tensors(tensors), "seed": 1, "run_name": "x", "step": 2000}
        for step, values in ((2000, tensors), (1000, {"zero": np.zeros(1)})):
            contents = {**contents, "state_dict": torch_tensors(values)}
            save(contents, folder / f"model={role}-best-weights-step={step}.pth")
    return folder


@pytest.mark.parametrize(
    "name",
    ["aj_i64", pytest.param("aj_deep128", marks=pytest.mark.slow)],
)
def test_the_same_weights_give_the_images_of_biggan_pytorch(name, tmp_path):
    fixture = golden(name)
    networks, provenance = converted(
        _write(fixture, tmp_path / "checkpoints"),
        tmp_path / "model",
        bn_epsilon=1e-5,
    )
    assert provenance["family"] == "studiogan"
    arrays = fixture.arrays
    fixture.assert_close(networks["generator"](arrays["in/z"], arrays["in/y_fake"]), "G_eval")
    # StudioGAN's discriminator computes another function of the same weights; a test below compares
    # it.
    discriminator = networks["discriminator"]
    assert discriminator.rectified_shortcuts
    plain = authors_discriminator(fixture)
    biggan_pytorch.load_discriminator(plain, fixture.weights("D"))
    theirs = discriminator(arrays["in/x"], arrays["in/y_real"])
    plain_logits = plain(arrays["in/x"], arrays["in/y_real"])
    assert np.abs(theirs - plain_logits).max() > 1e-3 * np.abs(plain_logits).max()
    for variable, other in zip(discriminator.weights, plain.weights, strict=True):
        if not variable.path.endswith("/u"):
            np.testing.assert_array_equal(variable, other, err_msg=variable.path)


def test_its_relu_in_place_rectifies_the_shortcut():
    """A block written in PyTorch with an in-place ReLU, as StudioGAN's, is the oracle."""
    from tf_biggan.networks.architectures import BlockSpec
    from tf_biggan.networks.blocks import RectifiedDiscriminatorBlock
    from tf_biggan.networks.layers.factory import LayerFactory

    factory = LayerFactory(spectral_norm=False, seed=1)
    block = RectifiedDiscriminatorBlock(BlockSpec(4, 6, 6, True, False), factory=factory)
    block.build((None, 8, 8, 4))
    x = np.random.RandomState(0).standard_normal((2, 8, 8, 4)).astype("float32")

    def conv(layer, h):
        kernel = torch.tensor(layer.kernel.numpy().transpose(3, 2, 0, 1))
        return torch.conv2d(h, kernel, padding=layer.kernel_size // 2)

    entering = h = torch.tensor(x.transpose(0, 3, 1, 2))
    h = conv(block.conv_1, torch.nn.functional.relu(h, inplace=True))
    h = conv(block.conv_2, torch.nn.functional.relu(h, inplace=True))
    pool = torch.nn.functional.avg_pool2d
    expected = pool(h, 2) + pool(conv(block.shortcut, entering), 2)
    np.testing.assert_allclose(
        block(x), expected.numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5
    )
