"""From the arguments of a source's networks to settings that make the same networks."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.shapes import shapes_only
from tf_biggan.cli.network_settings import ModelConfig
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.networks.architectures import Trunk, get_architecture
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.store.run_directory import discriminator_from, generator_from, image_size_from
from tf_biggan.training.finetuning.source_model import (
    SourceModel,
    SourceNetwork,
    with_settings,
    with_stored_settings,
)

OF_G = dict(base_channels=8, depth=1, attention_stages=(1,), bn_epsilon=1e-4, sn_epsilon=1e-6)
OF_D = dict(base_channels=12, depth=3, attention_stages=(0,), wide=False, sn_epsilon=1e-6)
STUDIOGAN = dict(image_channels=1, rectified_shortcuts=True)


def source(architecture, of_g, of_d):
    """Returns a source model of three classes that consists of its networks' arguments only."""
    with shapes_only():
        g = Generator(architecture, 3, **of_g).get_config()
        d = None if of_d is None else Discriminator(architecture, 3, **of_d).get_config()
    networks = [None if config is None else SourceNetwork(config, {}) for config in (g, d)]
    return SourceModel({"path": "models/x"}, *networks, ())


ROWS = {
    "deep": ("biggan_deep32", {**OF_G, "latent_dim": 6, "embedding_dim": 5}, OF_D),
    "other z": (
        "biggan64",
        dict(base_channels=8, latent_dim=5, latent_injection="first", embedding_dim=0),
        dict(base_channels=8),
    ),
    "a row that shares its generator's widths": (
        "biggan32_studiogan",
        dict(base_channels=8, image_channels=1, output_bn_epsilon=1e-3),
        dict(base_channels=8, **STUDIOGAN),
    ),
    "a row with the widths of another": (
        "biggan512_hub",
        dict(base_channels=8),
        dict(base_channels=8),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_settings_make_the_same_networks(row):
    model = source(*ROWS[row])
    settings = with_settings(ModelConfig(), model)
    # A run's config.json stores them like this.
    config = TrainConfig.from_groups(json.loads(TrainConfig(model=settings).to_json()), "")
    with shapes_only():
        made = [make(config.model, 3, None) for make in (generator_from, discriminator_from)]
    for network, wanted in zip(made, (model.generator, model.discriminator), strict=True):
        received = network.get_config()
        for name in set(received) - {"name", "initializer", "dtype", "bn_synchronized"}:
            assert received[name] == wanted.config[name], name
    assert settings.resolution == get_architecture(ROWS[row][0]).resolution


def test_settings_of_training_are_the_runs_own():
    model = source(*ROWS["deep"])
    given = ModelConfig(bn_momentum=0.5, bn_synchronized=False, precision="mixed_bfloat16")
    settings = with_settings(given, model)
    for name in ("bn_momentum", "bn_synchronized", "precision", "g_initializer"):
        assert getattr(settings, name) == getattr(given, name)
    assert with_settings(dataclasses.replace(given, variant="biggan_deep"), model) == settings


def test_a_new_discriminator_follows_the_generator_unless_told():
    model = source("biggan128", dict(base_channels=8, spectral_norm=False, bn_epsilon=1e-4), None)
    settings = with_settings(ModelConfig(sn_epsilon=1e-6), model)
    assert (settings.d_channels, settings.d_depth, settings.d_attention) == (8, 1, None)
    assert (settings.sn_epsilon, settings.bn_epsilon) == (1e-6, 1e-4)
    told = with_settings(ModelConfig(d_channels=3, d_wide=False), model)
    assert (told.d_channels, told.d_wide) == (3, False)


def test_flags_that_contradict_are_named():
    model = source(*ROWS["deep"])
    differing = r"--resolution=64, which is 32 in the source, --d_channels=8"
    with pytest.raises(ValueError, match=differing):
        with_settings(ModelConfig(resolution=64, d_channels=8), model)


def test_a_run_that_goes_on_has_what_was_stored():
    stored = with_settings(ModelConfig(bn_momentum=0.5), source(*ROWS["deep"]))
    again = with_stored_settings(ModelConfig(bn_momentum=0.5), stored)
    assert again == stored
    changed = with_stored_settings(ModelConfig(d_channels=8), stored)
    assert (changed.d_channels, changed.g_channels, changed.bn_momentum) == (8, 8, 0.9)


@pytest.mark.parametrize(
    "of_g, of_d, message",
    [
        (dict(), dict(image_channels=1), r"do not belong together.*different=\['image_channels'\]"),
        (dict(sn_epsilon=1e-6), dict(), r"do not belong together.*different=\['sn_epsilon'\]"),
        (dict(), dict(spectral_norm=False), r"do not belong together.*the discriminator must have"),
    ],
)
def test_networks_that_no_settings_make_are_refused(of_g, of_d, message):
    with pytest.raises(ValueError, match=message):
        with_settings(ModelConfig(), source("biggan32", of_g, of_d))


MINE = dataclasses.replace(
    get_architecture("biggan32"), name="mine", generator=Trunk((4, 4, 2, 2), (True,) * 3)
)


@pytest.mark.parametrize(
    ("architecture", "bottom_size", "name"),
    [(MINE, (4, 4), "mine"), (MINE, (4, 6), "mine"), ("biggan32", (3, 5), "biggan32_own")],
)
def test_networks_outside_of_the_table_give_an_architecture_of_ones_own(
    architecture, bottom_size, name
):
    sizes = dict(base_channels=2, bottom_size=bottom_size)
    model = source(architecture, sizes, sizes)
    settings = with_settings(ModelConfig(), model)
    assert settings.architecture["name"] == name
    assert image_size_from(settings) == tuple(8 * side for side in bottom_size)
    # The same settings are given when the run resumes, or with the source's own file.
    assert with_settings(settings, model) == with_stored_settings(ModelConfig(), settings)
    with shapes_only():
        made = generator_from(settings, 3, None).get_config()
    wanted = model.generator.config
    assert {**made["architecture"], "name": ""} == {**wanted["architecture"], "name": ""}
    assert made["bottom_size"] == wanted["bottom_size"]
    with pytest.raises(ValueError, match=f"=biggan64, which is {name} in the source"):
        with_settings(ModelConfig(architecture="biggan64"), model)


def test_a_generator_that_never_had_a_spectral_norm_is_not_trained_with_one():
    architecture, of_g, _ = ROWS["other z"]
    model = source(architecture, {**of_g, "spectral_norm": False}, None)
    told = {"path": "models/x", "provenance": {"family": "biggan_pytorch"}}
    with pytest.raises(
        ValueError, match=r"trained without spectral norm \(--G_param .* cannot be trained"
    ):
        with_settings(ModelConfig(), dataclasses.replace(model, description=told))
    # If sigma is folded into the kernels, the spectral norm changes nothing.
    told = {"path": "models/x", "provenance": {"family": "huggingface"}}
    assert with_settings(ModelConfig(), dataclasses.replace(model, description=told))
