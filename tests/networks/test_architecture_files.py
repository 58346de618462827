"""Custom architectures: the files, their errors, and the networks that they describe."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json

import numpy as np
import pytest
import yaml

from tests.documentation import marked_block
from tests.networks.test_architectures import count
from tf_biggan.cli.network_settings import ModelConfig
from tf_biggan.cli.train_settings import TrainConfig
from tf_biggan.networks.architecture_files import (
    architecture_of,
    complete_fields,
    parse_architecture,
    read_architecture,
)
from tf_biggan.networks.architectures import ARCHITECTURES
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator
from tf_biggan.store.run_directory import (
    discriminator_arguments,
    discriminator_from,
    generator_arguments,
    generator_from,
    image_size_from,
)

# The plan of the published BigGAN at 128x128, written out.
BIGGAN_128 = {
    "variant": "biggan",
    "generator": {"widths": [16, 16, 8, 4, 2, 1], "resample": [True] * 5, "attention": [3]},
    "discriminator": {
        "widths": [1, 2, 4, 8, 16, 16],
        "resample": [True] * 5 + [False],
        "attention": [0],
    },
    "base_channels": 96,
    "latent_dim": 120,
    "latent_injection": "split",
    "embedding_dim": 128,
}
DEEP_128 = BIGGAN_128 | {
    "variant": "biggan_deep",
    "discriminator": {
        "widths": [1, 2, 4, 8, 16, 16],
        "resample": [True] * 5,
        "attention": [0],
    },
    "base_channels": 128,
    "latent_dim": 128,
    "latent_injection": "all",
}
# The plan of biggan32_studiogan, 4 channels wide.
STUDIOGAN = {
    "variant": "biggan",
    "generator": {"widths": [4, 4, 4, 4], "resample": [True] * 3, "attention": [1]},
    "discriminator": {
        "widths": [2, 2, 2, 2],
        "resample": [True, True, False, False],
        "attention": [0],
    },
    "base_channels": 4,
    "latent_dim": 80,
    "latent_injection": "split",
    "embedding_dim": 128,
}
TINY = {
    "variant": "biggan",
    "first_size": [1, 2],
    "generator": {"widths": [2, 1], "resample": [True]},
    "discriminator": {"widths": [1, 2], "resample": [True, False]},
    "base_channels": 1,
    "latent_dim": 5,
    "latent_injection": "first",
    "embedding_dim": 0,
}


def written(folder, fields, name="own.json"):
    path = folder / name
    path.write_text(json.dumps(fields), encoding="utf-8")
    return str(path)


def with_value(fields, place, value):
    """Returns the fields with another value at a place such as "generator.widths"."""
    made = copy.deepcopy(fields)
    *parents, key = place.split(".")
    inner = made
    for parent in parents:
        inner = inner[parent]
    inner[key] = value
    return made


def parameters(model, num_classes):
    return (
        count(Generator, **generator_arguments(model, num_classes, None)),
        count(Discriminator, **discriminator_arguments(model, num_classes, None)),
    )


@pytest.mark.parametrize(
    ("fields", "published"),
    [(BIGGAN_128, (70_433_988, 87_982_370)), (DEEP_128, (50_244_484, 34_590_210))],
)
def test_published_plans_in_a_file_have_the_published_parameters(tmp_path, fields, published):
    model = ModelConfig(architecture=written(tmp_path, fields))
    assert image_size_from(model) == (128, 128)
    assert parameters(model, 1000) == published


def test_parameters_of_a_tiny_plan_counted_by_hand(tmp_path):
    model = ModelConfig(architecture=written(tmp_path, TINY))
    # First layer, two batch norms of two classes, two convolutions, shortcut, output.
    generator = (5 * 4 + 4) + 2 * 2 * (2 + 1) + (18 + 1) + (9 + 1) + (2 + 1) + 2 + (27 + 3)
    # Two blocks of two convolutions and a shortcut, the head, the embeddings.
    first = (27 + 1) + (9 + 1) + (3 + 1)
    second = (18 + 2) + (36 + 2) + (2 + 2)
    assert parameters(model, 2) == (generator, first + second + (2 + 1) + 2 * 2)
    assert image_size_from(model) == (2, 4)


def test_a_published_plan_in_a_file_makes_the_same_images_and_logits_bit_for_bit(tmp_path):
    model = ModelConfig(architecture=written(tmp_path, STUDIOGAN), image_channels=1)
    named = dict(image_channels=1, base_channels=4, seed=7)
    z = np.random.default_rng(0).standard_normal((2, 80), np.float32)
    labels = np.array([0, 2])
    images = [
        np.asarray(generator(z, labels))
        for generator in (
            Generator("biggan32_studiogan", 3, **named),
            generator_from(model, 3, seed=7),
        )
    ]
    assert images[0].shape == (2, 32, 32, 1) and np.ptp(images[0]) > 0
    np.testing.assert_array_equal(*images)
    logits = [
        np.asarray(discriminator(images[0], labels))
        for discriminator in (
            Discriminator("biggan32_studiogan", 3, **named),
            discriminator_from(model, 3, seed=7),
        )
    ]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_published_architecture_can_be_written_to_a_file(tmp_path, name):
    row = ARCHITECTURES[name]
    fields = read_architecture(written(tmp_path, dataclasses.asdict(row)))
    assert architecture_of(fields) == row and fields["first_size"] == [4, 4]
    assert complete_fields(fields) == parse_architecture(row) == fields


def test_what_a_file_may_leave_out(tmp_path):
    fields = read_architecture(written(tmp_path, DEEP_128, "birds.json"))
    assert (fields["name"], fields["depth"], fields["source"]) == ("birds", 2, "")
    tiny = read_architecture(written(tmp_path, TINY))
    assert tiny["generator"]["attention"] == [] and tiny["depth"] == 1


def test_yaml_says_the_same_as_json(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("# my plan\n" + yaml.safe_dump(STUDIOGAN), encoding="utf-8")
    assert read_architecture(str(path)) == read_architecture(written(tmp_path, STUDIOGAN))


def test_the_example_of_the_documentation(tmp_path):
    (tmp_path / "birds96.json").write_text(marked_block("docs/training.md", "birds96.json"))
    model = ModelConfig(architecture=str(tmp_path / "birds96.json"))
    assert image_size_from(model) == (96, 128)


def test_a_configuration_keeps_the_whole_architecture(tmp_path):
    config = TrainConfig.from_flat({"architecture": written(tmp_path, STUDIOGAN)})
    (tmp_path / "own.json").unlink()
    again = TrainConfig.from_groups(json.loads(config.to_json()), "config.json")
    assert again == config and not config.differences(again)
    assert again.model.architecture["discriminator"]["attention"] == [0]


def test_differences_of_two_architectures_name_the_key(tmp_path):
    made = [
        TrainConfig.from_flat({"architecture": written(tmp_path, fields)})
        for fields in (STUDIOGAN, with_value(STUDIOGAN, "generator.attention", [0]))
    ]
    assert made[0].differences(made[1]) == {"architecture.generator.attention": ([1], [0])}
    assert made[0].differences(TrainConfig()) == {"architecture": ("own", None)}


# Place, value, and what the message says.
MISTAKES = {
    "unknown key": ("colour", 1, r"unknown key 'colour'. The keys are name, variant, generator"),
    "unknown key of a trunk": (
        "generator.widhts",
        [1],
        r"unknown key 'widhts' of 'generator'. The keys of 'generator' are widths, resample",
    ),
    "text for a number": ("base_channels", "96", r"'base_channels' must be an integer, not \"96\""),
    "number for a list": ("generator.widths", 4, r"'generator.widths' must be a list of integers"),
    "numbers for true": ("generator.resample", [1, 1, 1], r"must be a list of true and false"),
    "list for an object": ("discriminator", [], r"'discriminator' must be an object, not \[\]"),
    "null": ("latent_dim", None, r"'latent_dim' must be an integer, not null"),
    "variant": ("variant", "stylegan", r"`variant` must be one of biggan, biggan_deep"),
    "injection": ("latent_injection", "last", r"`latent_injection` must be one of first, split"),
    "no stage": ("generator", {"widths": [4], "resample": []}, r"at least one stage"),
    "width 0": (
        "discriminator.widths",
        [2, 0, 2, 2],
        r"in 'discriminator': .*`widths` must be abo",
    ),
    "too few widths": ("generator.widths", [4, 4, 4], r"3 stages must have 4 entries"),
    "too many widths of D": ("discriminator.widths", [2] * 5, r"4 stages must have 4 entries"),
    "stage of attention": ("generator.attention", [3], r"indices of stages, from 0 to 2"),
    "attention twice": ("generator.attention", [1, 1], r"must not hold a stage twice"),
    "base_channels": ("base_channels", 0, r"`base_channels` must be an integer at least 1"),
    "depth": ("depth", 40, r"at most 64 residual blocks\. Received: blocks=120"),
    "first size of one": ("first_size", [4], r"`first_size` must be two integers above 0"),
    "first size 0": ("first_size", [0, 4], r"`first_size` must be two integers above 0"),
    "halvings": (
        "discriminator",
        {"widths": [1] * 6, "resample": [True] * 6},
        r"halves the size 6 times, so both sides of the images must be multiples of 64\."
        r" Received: image_size=\(32, 32\)",
    ),
    "attention at 1x1": (
        "discriminator",
        {"widths": [1] * 5, "resample": [True] * 5, "attention": [4]},
        r"feature maps of at least 2x2; move or remove the attention of the discriminator",
    ),
    "published name": ("name", "biggan32", r"`name` belongs to a published architecture"),
    "two lines": ("name", "a\nb", r"`name` must be one line of text"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_in_one_line(tmp_path, mistake):
    place, value, message = MISTAKES[mistake]
    path = written(tmp_path, with_value(STUDIOGAN, place, value))
    with pytest.raises(ValueError, match=f"^Cannot read {path}: .*{message}") as refused:
        ModelConfig(architecture=path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "place", [key for key in STUDIOGAN] + ["generator.widths", "discriminator.resample"]
)
def test_missing_keys_are_named(tmp_path, place):
    fields = copy.deepcopy(STUDIOGAN)
    *parents, key = place.split(".")
    del (fields[parents[0]] if parents else fields)[key]
    with pytest.raises(ValueError, match=f"own.json: the field '{place}' is missing$"):
        read_architecture(written(tmp_path, fields))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.json", "{", "it must be JSON"),
        ("own.json", "[]", r"it must be an object, not \[\]"),
        ("own.yaml", "a: [", "it must be YAML"),
        ("own.yml", "", "it must be an object, not null"),
        ("own.yaml", "2026-99-99", "it must be YAML"),
        ("own.yaml", "1: 2", "unknown key 1"),
    ],
)
def test_files_that_are_no_objects(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name}: {message}") as refused:
        read_architecture(str(tmp_path / name))
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match=r"architecture file ./gone/a\.json. \(.*\): No such file"):
        ModelConfig(architecture="/gone/a.json")


def test_yaml_without_pyyaml(tmp_path, monkeypatch):
    (tmp_path / "own.yaml").write_text("a: 1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"YAML files need PyYAML \(pip install PyYAML\)"):
        read_architecture(str(tmp_path / "own.yaml"))


def test_flags_that_the_file_contradicts_are_refused(tmp_path):
    path = written(tmp_path, BIGGAN_128)
    assert ModelConfig(architecture=path, resolution=128).architecture["name"] == "own"
    with pytest.raises(ValueError, match=r"makes images of 128x128 pixels; .*resolution=64"):
        ModelConfig(architecture=path, resolution=64)
    with pytest.raises(ValueError, match=r"own is biggan and .*variant='biggan_deep'"):
        ModelConfig(architecture=path, variant="biggan_deep")
