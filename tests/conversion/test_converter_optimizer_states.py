"""BigGAN-PyTorch's optimiser files: each slot gets the layout of its weight."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import torch

from tests.conversion.command import converted, run, save, torch_tensors
from tests.golden import rule
from tests.golden_files import FOLDER, golden
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.model_directory import load_optimizer_slots

STEPS = 3


def _with_optimizer(folder, fixture, network):
    """Returns a network and the state of PyTorch's Adam after some steps.

    Gradients are the parameters themselves, so that every slot is a known function of its weight.
    """
    manifest = rule.load_manifest(FOLDER / f"{fixture.name}_{network}.manifest.json")
    tensors = torch_tensors(fixture.weights(network))
    names = [entry["key"] for entry in manifest if entry["param"]]
    parameters = [torch.nn.Parameter(tensors[name].clone()) for name in names]
    optimizer = torch.optim.Adam(parameters, lr=0.0, betas=(0.5, 0.9))
    for _ in range(STEPS):
        for parameter in parameters:
            parameter.grad = parameter.detach().clone()
        optimizer.step()
    save(tensors, folder / f"{network}.pth")
    return optimizer.state_dict()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights")
    fixture = golden("aj_i64")
    for network in "GD":
        save(_with_optimizer(path, fixture, network), path / f"{network}_optim.pth")
    save({"itr": 1000}, path / "state_dict.pth")
    return path


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "weights")


@pytest.mark.parametrize("with_average", [False, True], ids=["G", "G and G_ema"])
def test_slots_are_moved_as_weights_are(folder, with_average, tmp_path):
    if with_average:
        tensors = golden("aj_i64").weights("G")
        save(torch_tensors({k: 0 * v for k, v in tensors.items()}), folder / "G_ema.pth")
    networks, _ = converted(folder, tmp_path / "model")
    # The optimiser belongs to the generator in training, which is then stored beside the moving
    # average.
    generator = "raw_generator" if with_average else "generator"
    assert set(networks) == {"generator", generator, "discriminator"}
    for name in (generator, "discriminator"):
        slots = load_optimizer_slots(str(tmp_path / "model"), name)
        assert slots.iterations == STEPS
        trainable = {
            path: variable
            for path, variable in variables_by_path(networks[name]).items()
            if variable.trainable
        }
        assert set(slots.momentum) == set(slots.velocity) == set(trainable)
        for path, variable in trainable.items():
            mean, square = slots.momentum[path], slots.velocity[path]
            assert mean.shape == square.shape == variable.shape
            np.testing.assert_allclose(mean, (1 - 0.5**STEPS) * variable, rtol=1e-5)
            expected = (1 - 0.9**STEPS) * np.square(variable)
            np.testing.assert_allclose(square, expected, rtol=1e-5)


def test_another_networks_optimizer_is_refused(folder, tmp_path):
    (folder / "G_optim.pth").write_bytes((folder / "D_optim.pth").read_bytes())
    with pytest.raises(ValueError, match=r"the network has \d+ parameters"):
        run(input=folder, output=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_numbers_of_old_pytorch_are_taken_in_the_order_of_the_group(folder, tmp_path):
    """Before PyTorch 1.5, the number was an address."""
    state = torch.load(folder / "D_optim.pth", weights_only=False)
    numbers = state["param_groups"][0]["params"]
    address = {number: 10**14 - 7 * number for number in numbers}
    state["param_groups"][0]["params"] = [address[number] for number in numbers]
    state["state"] = {address[n]: {**s, "step": STEPS} for n, s in state["state"].items()}
    save(state, folder / "D_optim.pth")
    (folder / "G.pth").unlink()
    (folder / "G_optim.pth").unlink()
    run(input=folder, output=tmp_path / "model")
    slots = load_optimizer_slots(str(tmp_path / "model"), "discriminator")
    assert slots.iterations == STEPS
    assert not re.search("u$", " ".join(slots.momentum))
    assert load_optimizer_slots(str(tmp_path / "model"), "generator") is None


def test_a_damaged_file_of_slots_is_refused(tmp_path):
    (tmp_path / "optimizer_generator.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="Cannot read the safetensors file"):
        load_optimizer_slots(str(tmp_path), "generator")
