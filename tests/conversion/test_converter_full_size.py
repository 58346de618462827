"""Conversions at full size: images of another implementation, and the memory of a conversion."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.conversion.command import converted, save
from tests.conversion.key_lists import tensors_of
from tests.networks.golden_models import truncation_of_ours

pytestmark = pytest.mark.slow
GIGABYTE = 1 << 30


def _state(shapes):
    """Returns tensors whose images have contrast: kernels of unit gain, statistics near 0 and 1."""
    random = torch.Generator().manual_seed(0)
    made = {}
    for key, shape in shapes.items():
        noise = torch.randn(shape, generator=random)
        if key.endswith("running_vars"):
            made[key] = 1 + 0.1 * noise.abs()
        elif key.endswith(("weight_orig", "embeddings.weight")):
            made[key] = noise / np.prod(shape[1:]) ** 0.5
        elif key.endswith(("weight_u", "weight_v")):
            made[key] = noise / noise.norm()
        else:
            made[key] = 0.1 * noise + (0.5 if key.endswith(("gamma", "bn.weight")) else 0)
    for key in shapes:
        if key.endswith("weight_u"):
            # Training stores the vectors of one step of power iteration.
            prefix = key.removesuffix("weight_u")
            matrix = made[f"{prefix}weight_orig"].flatten(1)
            v = torch.nn.functional.normalize(matrix.T @ made[key], dim=0)
            made[f"{prefix}weight_v"] = v
            made[key] = torch.nn.functional.normalize(matrix @ v, dim=0)
    return made


def test_images_of_the_package_from_pypi_at_full_size(tmp_path):
    peer = pytest.importorskip(
        "pytorch_pretrained_biggan", reason="pip install 'tf_biggan[peers]' for this comparison"
    )
    config = peer.BigGANConfig()
    model = peer.BigGAN(config).eval()
    model.load_state_dict(_state({k: tuple(v.shape) for k, v in model.state_dict().items()}))
    path = save(model.state_dict(), tmp_path / "pytorch_model.bin", older=True)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    networks, _ = converted(path, tmp_path / "model")
    generator = networks["generator"]
    assert generator.base_channels == 128 and generator.num_classes == 1000
    z = peer.truncated_noise_sample(batch_size=2, truncation=0.4, seed=1)
    labels = np.array([7, 207])
    one_hot = peer.one_hot_from_int(labels, batch_size=2)
    for truncation in (1.0, 0.43, 0.425, 0.02):
        with torch.no_grad():
            expected = model(torch.from_numpy(z), torch.from_numpy(one_hot), truncation)
        expected = expected.numpy().transpose(0, 2, 3, 1)
        images = generator(z, labels, truncation=truncation_of_ours(truncation, 51))
        assert expected.std() > 0.1
        np.testing.assert_allclose(images, expected, rtol=0, atol=2e-5)


def test_a_real_conversion_at_512_pixels_stays_under_six_gigabytes(tmp_path):
    state = _state(tensors_of("hf_full_512").shapes)
    path = save(state, tmp_path / "biggan-deep-512-pytorch_model.bin", older=True)
    del state
    command = [sys.executable, "-m", "tf_biggan.convert"]
    command += [f"--input={path}", f"--output={tmp_path / 'model'}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"{peak / GIGABYTE:.2f} GiB")
    assert peak < 6 * GIGABYTE
    assert "512x512" in result.stdout
