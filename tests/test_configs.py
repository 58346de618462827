"""Every file in configs/ parses, has a complete header, and makes the networks that it names."""

from __future__ import annotations

import json
import pathlib
import re

import numpy as np
import pytest
from absl import flags as absl_flags

from tests.shapes import shapes_only
from tf_biggan.cli.flags import define, expand_flagfiles, parsed
from tf_biggan.cli.small_data_settings import SMALL_DATA_FLAGS
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.store.run_directory import discriminator_from, generator_from, image_size_from

FOLDER = pathlib.Path(__file__).parent.parent / "configs"
NAMES = sorted(path.stem for path in FOLDER.rglob("*.flags"))
HEADER = ["What", "Source", "Command", "Hardware", "Expected", "Deviations"]
CLASSES = {"digits": 10, "tfds:cifar10": 10, "tfds:imagenet2012": 1000}

# Trainable parameters of G and D, as counted in the reference implementations.
PARAMETERS = {
    "cifar10_biggan_pytorch": (4_304_387, 4_207_361),
    "cifar10_mmagic": (4_304_387, 4_207_361),
    "cifar10_studiogan": (9_416_196, 2_415_170),
    "imagenet128_biggan_pytorch": (70_433_988, 87_982_370),
    "imagenet128_mmagic": (70_433_988, 87_982_370),
    "imagenet128_paper": (70_433_988, 87_982_370),
    "imagenet256_paper": (82_097_604, 99_225_890),
    "imagenet512_paper": (82_468_068, 99_401_282),
    "deep128": (50_244_484, 34_590_210),
    "deep256": (55_736_708, 38_247_426),
    "deep512": (56_019_780, 38_301_122),
}
# Parameters of G and D together in millions, without the shared class embedding (paper, Table 1).
TABLE_1 = dict(
    zip(range(1, 10), (81.5, 81.5, 81.5, 81.5, 173.5, 160.6, 158.3, 158.3, 71.3), strict=True)
)
# An iteration is an update of G, even if the source counts differently.
STEP_FIELDS = (
    "global_batch_size d_accumulations num_d_steps g_learning_rate d_learning_rate"
    " d_beta_1 d_beta_2 adam_epsilon ema_start g_orthogonal"
).split()
STEPS = {
    "cifar10_biggan_pytorch": (50, 1, 4, 2e-4, 2e-4, 0, 0.999, 1e-8, 1000, 0, 125_000),
    "cifar10_mmagic": (50, 1, 4, 2e-4, 2e-4, 0, 0.999, 1e-8, 1000, 0, 125_000),
    "cifar10_studiogan": (64, 1, 5, 2e-4, 2e-4, 0.5, 0.999, 1e-6, 1000, 0, 100_000),
    "imagenet128_biggan_pytorch": (2048, 8, 1, 1e-4, 4e-4, 0, 0.999, 1e-6, 20000, 0, 150_000),
    "imagenet128_mmagic": (2048, 8, 1, 1e-4, 4e-4, 0, 0.999, 1e-6, 20000, 0, 187_500),
    "imagenet128_paper": (2048, 1, 2, 5e-5, 2e-4, 0, 0.999, 1e-8, 0, 1e-4, 165_000),
    "imagenet256_paper": (2048, 1, 2, 5e-5, 2e-4, 0, 0.999, 1e-8, 0, 1e-4, 200_000),
    "deep128": (2048, 1, 2, 5e-5, 2e-4, 0, 0.999, 1e-8, 0, 1e-4, 200_000),
    "deep512": (2048, 1, 2, 2.5e-5, 2.5e-5, 0, 0.999, 1e-8, 0, 1e-4, 200_000),
    "sagan": (256, 2, 1, 1e-4, 4e-4, 0, 0.999, 1e-8, 2000, 0, 500_400),
    "sngan": (64, 1, 5, 2e-4, 2e-4, 0, 0.9, 1e-8, 0, 0, 400_300),
    "table1_row1": (256, 2, 1, 1e-4, 4e-4, 0, 0.999, 1e-8, 2000, 0, 1_000_000),
    "table1_row2": (512, 1, 2, 5e-5, 2e-4, 0, 0.999, 1e-8, 0, 0, 1_000_000),
    "table1_row7": (2048, 1, 2, 5e-5, 2e-4, 0, 0.999, 1e-8, 0, 0, 152_000),
    "table1_row8": (2048, 1, 2, 5e-5, 2e-4, 0, 0.999, 1e-8, 0, 1e-4, 165_000),
}
# What the authors' scripts and papers set for small data; everything else is off.
SMALL_DATA = {
    "cifar10_diff_augment": dict(diff_augment="translation,cutout"),
    "cifar10_lecam": dict(diff_augment="translation,cutout", lecam_weight=0.3),
    "cifar10_icr": dict(bcr_real_weight=10, bcr_fake_weight=10, zcr_d_weight=5, zcr_g_weight=0.5),
    "finetune": dict(diff_augment="color,translation,cutout"),
}


def config_of(name: str) -> TrainConfig:
    values = absl_flags.FlagValues()
    define(TrainConfig, values)
    values(expand_flagfiles(["train", f"--flagfile={FOLDER / name}.flags"]))
    return parsed(TrainConfig, values)


def networks_of(config: TrainConfig):
    """Returns both networks without allocating them."""
    num_classes = CLASSES[config.data.dataset]
    with shapes_only():
        return tuple(
            make(config.model, num_classes, seed=0) for make in (generator_from, discriminator_from)
        )


def count(model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def test_what_must_be_there_is_there():
    assert {*PARAMETERS, *STEPS, "quickstart", "cifar10_cpu", "finetune"} <= set(NAMES)
    assert {f"table1_row{row}" for row in TABLE_1} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_a_document(name):
    text = (FOLDER / f"{name}.flags").read_text()
    header = text.partition("\n\n")[0]
    assert re.findall(r"^# (\w+): \S", header, re.MULTILINE) == HEADER
    assert f"--flagfile=configs/{name}.flags" in header and "--run_dir=" in header
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_makes_its_networks_and_steps(name):
    config = config_of(name)
    assert TrainConfig.from_groups(json.loads(config.to_json()), "") == config
    generator, discriminator = networks_of(config)
    if name in PARAMETERS:
        assert (count(generator), count(discriminator)) == PARAMETERS[name]
    size = image_size_from(config.model)
    assert generator.image_size == discriminator.image_size == size
    assert size[0] == config.model.resolution
    step = config.step
    assert step.global_batch_size % (step.d_accumulations * 2) == 0
    assert (step.g_batch_size or step.global_batch_size) % (step.g_accumulations * 2) == 0


@pytest.mark.parametrize("row", TABLE_1)
def test_parameters_of_the_papers_table_1(row):
    generator, discriminator = networks_of(config_of(f"table1_row{row}"))
    embedding = generator.class_embedding
    total = count(generator) + count(discriminator) - (count(embedding) if embedding else 0)
    assert round(total / 1e6, 1) == TABLE_1[row]


@pytest.mark.parametrize("name", STEPS)
def test_steps_are_the_published(name):
    config = config_of(name)
    received = [getattr(config.step, field) for field in STEP_FIELDS]
    assert (*received, config.run.num_iterations) == STEPS[name]
    assert config.step.g_accumulations == config.step.d_accumulations
    assert (config.step.g_beta_1, config.step.g_beta_2) == (
        config.step.d_beta_1,
        config.step.d_beta_2,
    )


def test_methods_for_small_data_are_on_where_the_source_has_them():
    found = {name: config_of(name).step.changed(SMALL_DATA_FLAGS) for name in NAMES}
    assert {name: changed for name, changed in found.items() if changed} == SMALL_DATA


def test_batch_norm_is_over_replicas_where_the_source_has_it():
    per_replica = {name for name in NAMES if not config_of(name).model.bn_synchronized}
    assert per_replica == {
        "cifar10_biggan_pytorch",
        "cifar10_diff_augment",
        "cifar10_icr",
        "cifar10_lecam",
        "cifar10_mmagic",
        "cifar10_studiogan",
        "imagenet128_biggan_pytorch",
        "imagenet128_mmagic",
        "sagan",
        "sngan",
        "table1_row1",
    }


def test_fields_reach_the_networks():
    config = TrainConfig.from_flat(
        dict(
            variant="biggan_deep",
            resolution=32,
            g_channels=8,
            d_channels=12,
            g_depth=1,
            d_depth=3,
            latent_dim=6,
            latent_injection="first",
            embedding_dim=5,
            g_attention=(1,),
            d_attention=(0,),
            image_channels=1,
            sn_epsilon=1e-3,
            bn_epsilon=1e-2,
            output_bn_epsilon=1e-1,
            bn_momentum=0.5,
            bn_synchronized=False,
            g_initializer="glorot",
            d_initializer="n02",
            precision="float64",
        )
    )
    with shapes_only():
        generator = generator_from(config.model, 3, seed=1)
        discriminator = discriminator_from(config.model, 3, seed=1)
    shared = dict(num_classes=3, image_channels=1, sn_epsilon=1e-3)
    expected_of_g = dict(
        base_channels=8,
        depth=1,
        latent_dim=6,
        latent_injection="first",
        embedding_dim=5,
        attention_stages=(1,),
        bn_epsilon=1e-2,
        output_bn_epsilon=1e-1,
        bn_momentum=0.5,
        bn_synchronized=False,
        initializer="glorot",
    )
    expected_of_d = dict(base_channels=12, depth=3, attention_stages=(0,), initializer="n02")
    for model, expected in ((generator, expected_of_g), (discriminator, expected_of_d)):
        received = model.get_config()
        for field, value in (shared | expected).items():
            assert received[field] == value, field
        assert model.variable_dtype == "float64"
    assert generator.factory.seed != discriminator.factory.seed


def test_thin_discriminator_and_named_architecture():
    assert networks_of(config_of("sngan"))[1].wide is False
    assert networks_of(config_of("cifar10_studiogan"))[0].architecture.name == "biggan32_studiogan"


def test_the_clamp_is_a_constant_or_relative_not_both():
    with pytest.raises(ValueError, match=r"Give only one of .*g_sigma_clamp=1.0"):
        TrainConfig.from_flat(dict(g_sigma_clamp=1.0, g_sigma_clamp_ratio=2.0))
