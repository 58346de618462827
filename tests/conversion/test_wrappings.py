"""Weights are found in every form in which training code saves them; else one line tells why."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.conversion.command import run, save, torch_tensors
from tf_biggan.conversion.converter import plan_conversion, provenance
from tf_biggan.conversion.families import Choices
from tf_biggan.conversion.to_biggan_pytorch import state_dict
from tf_biggan.conversion.weight_sources import open_source
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator

SMALL = dict(architecture="biggan32", num_classes=3, base_channels=2, seed=3, initializer="n02")


@pytest.fixture(scope="module")
def weights():
    """Returns state dictionaries of a generator, its moving average and a discriminator."""
    g = torch_tensors(state_dict(Generator(**SMALL, latent_dim=12), "generator"))
    d = torch_tensors(state_dict(Discriminator(**SMALL), "discriminator"))
    return {"g": g, "average": {key: value + 1 for key, value in g.items()}, "d": d}


def _prefixed(prefix, tensors):
    return {prefix + key: value for key, value in tensors.items()}


def _compiled_inside(tensors):
    """Renames keys as if each block, and not the network, were passed to torch.compile."""
    return {key.replace(".conv1.", "._orig_mod.conv1."): value for key, value in tensors.items()}


def _adam(tensors):
    parameters = [torch.nn.Parameter(value.clone()) for value in tensors.values()]
    optimizer = torch.optim.Adam(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


def _check_same(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value.numpy())


# The content of the file, and the state dictionary that must be found for each network.
FORMS = {
    "torch.compile": (lambda w: _prefixed("_orig_mod.", w["g"]), {"generator": "g"}),
    "compiled, then parallel": (
        lambda w: _prefixed("module._orig_mod.", w["g"]),
        {"generator": "g"},
    ),
    "parallel, then compiled twice": (
        lambda w: _prefixed("_orig_mod._orig_mod.module.", w["d"]),
        {"discriminator": "d"},
    ),
    "compiled blocks": (lambda w: _compiled_inside(w["g"]), {"generator": "g"}),
    "G_ema": (lambda w: {"G_ema": w["average"]}, {"generator": "average"}),
    "g_ema beside g and d, as StyleGAN's ports save them": (
        lambda w: {"g": w["g"], "d": w["d"], "g_ema": w["average"], "g_optim": _adam(w["g"])},
        {"generator": "average", "discriminator": "d"},
    ),
    "model": (lambda w: {"model": w["g"], "epoch": 3, "config": {"lr": 1e-4}}, {"generator": "g"}),
    "two levels": (
        lambda w: {"epoch": 3, "state_dict": {"G_ema": w["average"], "D": w["d"]}},
        {"generator": "average", "discriminator": "d"},
    ),
    "generator and discriminator": (
        lambda w: {"generator": w["g"], "discriminator": w["d"], "optimizer": _adam(w["d"])},
        {"generator": "g", "discriminator": "d"},
    ),
    "attributes of a Lightning module": (
        lambda w: {
            "pytorch-lightning_version": "2.5.0",
            "state_dict": {
                **_prefixed("generator.", w["g"]),
                **_prefixed("generator_ema.", w["average"]),
                **_prefixed("discriminator._orig_mod.", w["d"]),
                "fid.inception.weight": torch.ones(2),
            },
            "optimizer_states": [_adam(w["d"])],
        },
        {"generator": "average", "discriminator": "d"},
    ),
    "one attribute": (lambda w: {"state_dict": _prefixed("model.", w["g"])}, {"generator": "g"}),
    "AveragedModel": (
        lambda w: {"n_averaged": torch.tensor(7), **_prefixed("module.", w["g"])},
        {"generator": "g"},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_known_forms_are_unwrapped(form, weights, tmp_path):
    make, expected = FORMS[form]
    source = open_source(str(save(make(weights), tmp_path / "x.pth")))
    assert source.family == "biggan_pytorch"
    assert set(source.networks) == set(expected)
    for name, key in expected.items():
        _check_same(source.networks[name], weights[key])


def test_what_was_taken_off_and_left_aside_is_said(weights, tmp_path):
    make, _ = FORMS["attributes of a Lightning module"]
    source = open_source(str(save(make(weights), tmp_path / "x.ckpt")))
    plan = plan_conversion(source, Choices())
    said = provenance(plan)
    assert said["wrappings"] == {
        "generator": "taken from state_dict/generator_ema.*",
        "discriminator": "taken from state_dict/discriminator.*; _orig_mod. dropped from its keys",
    }
    assert said["set_aside"][:2] == [
        "state_dict/generator.*: its moving average, state_dict/generator_ema.*, is used",
        "fid.*: belongs to no known network",
    ]
    text = "\n".join(plan.describe())
    assert all(line in text for line in (*said["wrappings"].values(), *said["set_aside"]))


def test_a_wrapped_safetensors_file_and_a_wrapped_file_of_a_folder(weights, tmp_path):
    save_file(_prefixed("_orig_mod.", weights["g"]), tmp_path / "G.safetensors")
    _check_same(open_source(str(tmp_path)).networks["generator"], weights["g"])
    folder = tmp_path / "weights"
    folder.mkdir()
    save({"G_ema": _prefixed("module.", weights["average"])}, folder / "G_ema.pth")
    save(_prefixed("_orig_mod.", weights["d"]), folder / "D.pth")
    source = open_source(str(folder))
    _check_same(source.networks["generator"], weights["average"])
    _check_same(source.networks["discriminator"], weights["d"])


def test_files_of_a_folder_under_names_of_ones_own(weights, tmp_path):
    save(weights["g"], tmp_path / "netG.pth")
    save({"ema": weights["average"]}, tmp_path / "netG_ema.pth")
    save(weights["d"], tmp_path / "netD.pth")
    save(_adam(weights["d"]), tmp_path / "optimizer.pth")
    source = open_source(str(tmp_path))
    _check_same(source.networks["generator"], weights["average"])
    _check_same(source.networks["discriminator"], weights["d"])
    assert [file.rpartition("/")[2] for file in source.files] == ["netG_ema.pth", "netD.pth"]
    assert source.set_aside == (
        "netG.pth: its moving average, netG_ema.pth/ema, is used",
        f"optimizer.pth: holds the state of an optimiser of {len(weights['d'])} parameters",
    )


# The content of the file, and words of the message about it.
REFUSED = {
    "an optimiser": (lambda w: _adam(w["g"]), r"holds the state of an optimiser of \d+ parameters"),
    "optimisers": (
        lambda w: {"optim_G": _adam(w["g"]), "epoch": 1},
        r"holds states of optimisers \(optim_G\) and no weights",
    ),
    "the progress of a run": (
        lambda w: {"itr": 500, "epoch": 2, "config": {"G_ch": 64, "act": torch.nn.ReLU()}},
        r"progress and the flags of a BigGAN-PyTorch run \(iteration 500\), no weights",
    ),
    "weights without names": (
        lambda w: {"decay": 0.99, "shadow_params": list(w["g"].values())},
        r"holds lists of tensors without names \(shadow_params\)",
    ),
    "bookkeeping": (lambda w: {"epoch": 3, "lr": 0.1}, "no tensors; its entries are epoch, lr"),
    "another network": (
        lambda w: {"model": {"layer1.0.conv1.weight": torch.ones(1)}},
        r"only tensors of unknown names \(1 in model, such as layer1\.0\.conv1\.weight\)",
    ),
    "two generators": (
        lambda w: {"first": w["g"], "second": w["average"]},
        r"several generators.*found_at=\['first', 'second'\]",
    ),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_network_is_named_in_one_line(form, weights, tmp_path):
    make, message = REFUSED[form]
    path = save(make(weights), tmp_path / "x.pth")
    with pytest.raises(ValueError, match=message) as error:
        run(input=path, output=tmp_path / "model")
    assert "\n" not in str(error.value) and "x.pth" in str(error.value)
    assert not (tmp_path / "model").exists()


def test_a_discriminator_under_the_name_of_a_generator_is_refused(weights, tmp_path):
    save(weights["d"], tmp_path / "G.pth")
    with pytest.raises(ValueError, match=r"must hold a generator.*G\.pth', holds='discriminator'"):
        open_source(str(tmp_path))


def test_a_model_without_a_generator_is_not_offered_for_sampling(weights, tmp_path, capsys):
    path = save(weights["d"], tmp_path / "D.pth")
    run(input=path, output=tmp_path / "model")
    assert "no generator" in capsys.readouterr().out.splitlines()[-1]
