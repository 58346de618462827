"""Networks survive the way to BigGAN-PyTorch and back; other networks are refused."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from tests.conversion.command import converted, run
from tests.golden_files import golden
from tests.networks.golden_models import AUTHORS, authors_discriminator, authors_generator
from tf_biggan.conversion import biggan_pytorch
from tf_biggan.conversion.readers.files import read_tensors
from tf_biggan.conversion.to_biggan_pytorch import (
    argument_lines,
    constructor_arguments,
    state_dict,
    write_checkpoints,
)
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.networks.network import variables_by_path
from tf_biggan.store.model_directory import write_directory

SMALL = dict(architecture="biggan32", num_classes=3, base_channels=2, seed=3)


def _check_dictionary(network, kind, tensors):
    made = state_dict(network, kind)
    assert set(made) == {key for key in tensors if not key.endswith("sv1")}
    for key, array in made.items():
        assert (array.dtype, array.shape) == ("float32", tensors[key].shape), key
        if not key.endswith("sv0"):
            np.testing.assert_array_equal(array, tensors[key], err_msg=key)


SLOW = {"aj_i128", "aj_i256", "aj_i512g"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in AUTHORS]
)
def test_a_loaded_network_gives_the_tensors_that_were_loaded(name):
    fixture = golden(name)
    generator, tensors = authors_generator(fixture), fixture.weights("G")
    biggan_pytorch.load_generator(generator, tensors)
    _check_dictionary(generator, "generator", tensors)
    if AUTHORS[name]["discriminator"] is not None:
        discriminator, tensors = authors_discriminator(fixture), fixture.weights("D")
        biggan_pytorch.load_discriminator(discriminator, tensors)
        _check_dictionary(discriminator, "discriminator", tensors)


def _both(name):
    fixture = golden(name)
    networks = {"generator": authors_generator(fixture)}
    if AUTHORS[name]["discriminator"] is not None:
        networks["discriminator"] = authors_discriminator(fixture)
    return networks, fixture.info["config"]


@pytest.mark.parametrize("name", [name for name in AUTHORS if name not in SLOW])
def test_arguments_are_those_that_the_reference_was_run_with(name):
    networks, config = _both(name)
    module = config.get("model", "BigGAN")
    for (side, network), line in zip(networks.items(), argument_lines(networks)[1:], strict=True):
        made = constructor_arguments(network, side)
        assert {key: config[key] for key in made if key in config} == {
            key: value for key, value in made.items() if key in config
        }
        assert len(made.keys() & config.keys()) >= (9 if side == "generator" else 5)
        call = eval(line.strip(), {module: types.SimpleNamespace(**{side.capitalize(): dict})})
        assert call == made


def test_networks_without_arguments_are_told_with_the_reason():
    small = dict(num_classes=3, base_channels=2)
    other = Generator("biggan32_studiogan", **small)
    assert constructor_arguments(other, "generator")["G_attn"] == "16"
    networks = {
        "generator": Generator("biggan32", **small, image_channels=1),
        "discriminator": Discriminator("biggan32", **small, attention_stages=(0,)),
    }
    _, of_generator, of_discriminator = argument_lines(networks)
    reason = "because BigGAN-PyTorch's images have 3 channels, not 1"
    assert of_generator == f"  BigGAN.Generator: none, {reason}"
    assert "BigGAN-PyTorch places attention by image size" in of_discriminator
    narrow = {"discriminator": Discriminator("biggan32_studiogan", **small)}
    assert "tables have no network of these widths" in argument_lines(narrow)[1]


@pytest.fixture(scope="module")
def networks():
    return {"generator": Generator(**SMALL), "discriminator": Discriminator(**SMALL)}


@pytest.fixture
def model(networks, tmp_path):
    path = tmp_path / "model"
    write_directory(str(path), networks)
    return path


@pytest.mark.parametrize("file_format", ["pth", "npz"])
def test_there_and_back_through_files(networks, model, file_format, tmp_path, capsys):
    there = tmp_path / "there"
    run(input=model, output=there, to="biggan_pytorch", format=file_format)
    assert "BigGAN.Generator(G_ch=2, resolution=32, " in capsys.readouterr().out
    files = {f"{name}.{file_format}" for name in ("D", "G", "G_ema")}
    files |= {"state_dict.pth"} if file_format == "pth" else set()
    assert {path.name for path in there.iterdir()} == files
    back, _ = converted(there, tmp_path / "back")
    assert set(back) == set(networks)
    for name, network in networks.items():
        again = variables_by_path(back[name])
        assert set(again) == set(variables_by_path(network))
        for path, variable in variables_by_path(network).items():
            np.testing.assert_array_equal(again[path], variable, err_msg=path)


def test_another_epsilon_of_the_last_batch_norm_goes_into_its_variance():
    """Variance + epsilon must stay the same."""
    generator = Generator(**SMALL, output_bn_epsilon=1e-4)
    variance = np.asarray(generator.output_norm.moving_variance)[0]
    made = state_dict(generator, "generator")["output_layer.0.stored_var"]
    np.testing.assert_allclose(made + 1e-5, variance + 1e-4, rtol=1e-7)


@pytest.mark.slow
def test_a_run_gives_both_generators(tmp_path):
    from tf_biggan.cli.train_settings import TrainConfig
    from tf_biggan.training.loop import train

    settings = dict(num_classes=10, g_channels=1, d_channels=1, global_batch_size=4)
    settings |= dict(num_iterations=2, save_every=2, sample_every=0)
    train(TrainConfig.from_flat(settings), str(tmp_path / "run"))
    run(input=tmp_path / "run", output=tmp_path / "there", to="biggan_pytorch", format="npz")
    average, raw = (read_tensors(str(tmp_path / "there" / f"{n}.npz")) for n in ("G_ema", "G"))
    assert set(average) == set(raw)
    key = "blocks.0.0.conv1.weight"
    assert not np.array_equal(average[key], raw[key])


def test_without_pytorch_the_other_format_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match=r"pip install 'tf_biggan\[torch\]', or use --format=npz"):
        run(input=model, output=tmp_path / "there", to="biggan_pytorch")
    assert not (tmp_path / "there").exists()


def test_networks_without_spectral_norm_go_there_and_come_back(tmp_path):
    """Like --G_param=None and --D_param=None there."""
    settings = {**SMALL, "spectral_norm": False}
    networks = {"generator": Generator(**settings), "discriminator": Discriminator(**settings)}
    assert constructor_arguments(networks["generator"], "generator")["G_param"] == "None"
    write_checkpoints(networks, str(tmp_path / "there"), "npz")
    back, _ = converted(tmp_path / "there", tmp_path / "back")
    for name, network in networks.items():
        assert not back[name].factory.spectral_norm
        for one, two in zip(network.variables, back[name].variables, strict=True):
            np.testing.assert_array_equal(one, two, err_msg=one.path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(num_statistics=51), "keeps one set of batch-norm statistics"),
        (dict(num_classes=0), "networks always have classes"),
    ],
)
def test_what_cannot_go_back_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        state_dict(Generator(**{**SMALL, **arguments}), "generator")
    with pytest.raises(ValueError, match="before the ReLU"):
        state_dict(Discriminator(**SMALL, rectified_shortcuts=True), "discriminator")


def test_other_inputs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must be the folder of a run or of a converted model"):
        run(input=tmp_path, output=tmp_path / "there", to="biggan_pytorch")
