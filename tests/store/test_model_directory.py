"""Model folders: networks survive writing and reading, and nothing is half-written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.store.model_directory import (
    is_model_directory,
    load_network,
    read_directory,
    write_directory,
)

SIZES = dict(architecture="biggan32", num_classes=3, base_channels=2, seed=1)
NAMES = ("finch", "owl", "wren")


@pytest.fixture(scope="module")
def networks():
    generator = Generator(**SIZES, latent_dim=8, num_statistics=3)
    return {"generator": generator, "discriminator": Discriminator(**SIZES)}


@pytest.fixture
def stored(networks, tmp_path):
    path = str(tmp_path / "model")
    write_directory(path, networks, NAMES, {"source": "made up"})
    return path


def test_networks_come_back_with_every_variable(networks, stored):
    directory = read_directory(stored)
    assert is_model_directory(stored)
    assert (directory.class_names, directory.provenance) == (NAMES, {"source": "made up"})
    for name, network in networks.items():
        again = load_network(directory, name)
        assert {**again.get_config(), "initializer": "ortho"} == network.get_config()
        for one, other in zip(again.variables, network.variables, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=one.path)


def test_an_argument_can_be_replaced(stored):
    generator = load_network(read_directory(stored), "generator", dtype="mixed_bfloat16")
    assert generator.compute_dtype == "bfloat16"


def test_nothing_is_overwritten_and_nothing_is_left(networks, stored, tmp_path):
    with pytest.raises(ValueError, match="exists and is not an empty folder"):
        write_directory(stored, networks)
    with pytest.raises(ValueError, match="3 names, one for each class"):
        write_directory(str(tmp_path / "other"), networks, ("one",))
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_directory(str(tmp_path / "other"), networks, NAMES, {"source": object()})
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_other_folders_are_refused(tmp_path, stored):
    assert not is_model_directory(str(tmp_path))
    with pytest.raises(ValueError, match=r"Cannot read .*config\.json: No such"):
        read_directory(str(tmp_path))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match="it must be an object"):
        read_directory(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"format": "tf_biggan model"}))
    with pytest.raises(ValueError, match=r"version 1\).*version=None"):
        read_directory(str(tmp_path))


def test_damaged_and_missing_weights_are_named(stored, tmp_path):
    directory = read_directory(stored)
    weights = tmp_path / "model" / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"Cannot read the safetensors file .*generator"):
        load_network(directory, "generator")
    weights.unlink()
    with pytest.raises(ValueError, match=r"Cannot read the safetensors file"):
        load_network(directory, "generator")


def test_weights_of_another_network_are_refused(stored, tmp_path):
    directory = read_directory(stored)
    directory.networks["generator"]["base_channels"] = 4
    with pytest.raises(ValueError, match=r"do not fit the network.*other_shapes=\['block_0"):
        load_network(directory, "generator")
    del directory.networks["discriminator"]
    with pytest.raises(ValueError, match="holds no discriminator"):
        load_network(directory, "discriminator")
