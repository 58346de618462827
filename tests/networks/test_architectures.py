"""Parameter counts, compared with published ones, and architectures beyond the published sizes.

Counting allocates nothing: networks are made as shapes.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.shapes import shapes_only
from tf_biggan.networks.architectures import (
    ARCHITECTURES,
    VARIANTS,
    Architecture,
    Trunk,
    architecture_for,
    double_resolution,
    fit_architecture,
    get_architecture,
)
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator

# DeepMind's deep modules and pytorch-pretrained-BigGAN have an RGB convolution with 128 outputs, of
# which 3 are used.
UNUSED_RGB = 125 * (9 * 128 + 1)
IMAGENET = 1000


def count(network, *args, **kwargs) -> int:
    """Returns the number of trainable parameters of a network that is never allocated."""
    with shapes_only():
        model = network(*args, **kwargs)
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


# Rows: (architecture, classes, base channels, G's overrides, D's overrides, parameters of G, of D),
# counted in the reference implementations.
COUNTS = [
    ("biggan32", 10, 64, {}, {}, 4_304_387, 4_207_361),
    ("biggan32", 100, 64, {}, {}, 4_580_867, 4_230_401),
    ("biggan32_studiogan", 10, 96, {}, {}, 9_416_196, 2_415_170),
    ("biggan64", IMAGENET, 64, {}, {}, 31_908_100, 20_566_721),
    ("biggan64", IMAGENET, 96, {}, {}, 70_239_108, 45_500_449),
    ("biggan64", IMAGENET, 128, {}, {}, 123_530_756, 80_201_089),
    ("biggan128", IMAGENET, 64, {}, {}, 31_978_628, 39_448_258),
    ("biggan128", IMAGENET, 96, {}, {}, 70_433_988, 87_982_370),
    ("biggan128", IMAGENET, 128, {}, {}, 123_909_380, 155_723_138),
    ("biggan256", IMAGENET, 96, {}, {}, 82_097_604, 99_225_890),
    ("biggan256", IMAGENET, 96, {"attention_stages": (3,)}, {}, 82_235_844, 99_225_890),
    ("biggan512", IMAGENET, 96, {}, {}, 82_468_068, 99_401_282),
    ("biggan512_hub", IMAGENET, 96, {}, {}, 82_296_804, 99_401_282),
    ("biggan_deep32", IMAGENET, 128, {}, {}, 7_561_987, 3_088_129),
    (
        "biggan_deep32",  # PyTorch-StudioGAN's CIFAR-10 setting.
        10,
        128,
        {"attention_stages": (1,)},
        {"attention_stages": (0,)},
        7_762_948,
        2_908_930,
    ),
    ("biggan_deep64", IMAGENET, 128, {}, {}, 49_583_876, 20_869_633),
    ("biggan_deep128", IMAGENET, 128, {}, {}, 50_244_484, 34_590_210),
    ("biggan_deep256", IMAGENET, 128, {}, {}, 55_736_708, 38_247_426),
    ("biggan_deep512", IMAGENET, 128, {}, {}, 56_019_780, 38_301_122),
    (
        "biggan_deep512",  # mmagic has D's attention at 32x32.
        IMAGENET,
        128,
        {},
        {"attention_stages": (3,)},
        56_019_780,
        39_284_162,
    ),
]


@pytest.mark.parametrize("name, classes, channels, of_g, of_d, g_count, d_count", COUNTS)
def test_parameters_are_the_references(name, classes, channels, of_g, of_d, g_count, d_count):
    assert count(Generator, name, classes, base_channels=channels, **of_g) == g_count
    assert count(Discriminator, name, classes, base_channels=channels, **of_d) == d_count


@pytest.mark.parametrize(
    "name, published",
    [
        ("biggan_deep128", 50_388_609),
        ("biggan_deep256", 55_880_833),
        ("biggan_deep512", 56_163_905),
    ],
)
def test_hub_modules_count_their_unused_rgb_channels(name, published):
    assert count(Generator, name, IMAGENET) + UNUSED_RGB == published


# The paper's Table 1 gives the parameters of G and D in millions, without the shared class
# embedding.
NO_SHARED = {"latent_injection": "first", "embedding_dim": 0, "latent_dim": 128}
SHARED = {"latent_injection": "first", "embedding_dim": 128, "latent_dim": 128}
TABLE_1 = [
    (64, NO_SHARED, 81.5),
    (96, NO_SHARED, 173.5),
    (96, SHARED, 160.6),
    (96, {}, 158.3),
    (64, {}, 71.3),
]


@pytest.mark.parametrize("channels, settings, published", TABLE_1)
def test_totals_of_the_papers_table_1(channels, settings, published):
    total = count(Generator, "biggan128", IMAGENET, base_channels=channels, **settings)
    total += count(Discriminator, "biggan128", IMAGENET, base_channels=channels)
    total -= IMAGENET * settings.get("embedding_dim", 128)
    assert round(total / 1e6, 1) == published


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_row_builds_networks_that_fit_each_other(name):
    row = ARCHITECTURES[name]
    with shapes_only():
        generator = Generator(name, 10)
        discriminator = Discriminator(name, 10)
    assert generator.image_size == discriminator.image_size == (row.resolution,) * 2
    assert row.source


VARIATIONS = {
    "narrow": dict(base_channels=1),
    "unconditional": dict(num_classes=0),
    "one channel": dict(image_channels=1),
    "four channels": dict(image_channels=4),
    "not square": dict(bottom_size=(4, 6)),
    "three blocks a stage": dict(depth=3),
    "one block a stage": dict(depth=1),
}


@pytest.mark.parametrize("architecture", ["biggan32", "biggan32_studiogan", "biggan_deep32"])
@pytest.mark.parametrize("variation", VARIATIONS)
def test_variations_run_forward_and_differ_with_the_latents(architecture, variation):
    settings = {"num_classes": 3, "base_channels": 4, **VARIATIONS[variation]}
    row = get_architecture(architecture)
    latents = {}
    if row.latent_injection == "split":
        stages = len(row.generator.resample)
        latents["latent_dim"] = 5 * (stages * settings.get("depth", 1) + 1)
    generator = Generator(architecture, initializer="n02", **settings, **latents)
    discriminator = Discriminator(architecture, initializer="n02", **settings)
    z = np.random.RandomState(0).standard_normal((2, generator.latent_dim)).astype("float32")
    labels = np.array([1, 1]) if settings["num_classes"] else None
    images = generator(z, labels)
    assert images.shape == (2, *generator.image_size, settings.get("image_channels", 3))
    assert np.abs(images[0] - images[1]).max() > 0
    logits = discriminator(images, labels)
    assert logits.shape == (2,) and np.all(np.isfinite(logits))


def test_non_square_images_at_128():
    with shapes_only():
        generator = Generator("biggan128", 10, bottom_size=(4, 6))
        discriminator = Discriminator("biggan128", 10, bottom_size=(4, 6))
    assert generator.image_size == discriminator.image_size == (128, 192)


# The deepest standard architecture that divides both sides and leaves a first map of at least 4x4.
SIZES = [
    (128, 192, "128", (4, 6)),
    (192, 128, "128", (6, 4)),
    (96, 128, "64", (6, 8)),
    (96, 96, "64", (6, 6)),
    (32, 40, "32", (4, 5)),
    (160, 256, "128", (5, 8)),
    (32, 512, "32", (4, 64)),
    (2048, 1024, "1024", (8, 4)),
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("height", "width", "name", "first"), SIZES)
def test_architectures_for_other_sizes(variant, height, width, name, first):
    assert fit_architecture(variant, height, width) == (ARCHITECTURES[f"{variant}{name}"], first)


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_sizes_fit_their_own_architecture(variant):
    for side in (32, 64, 128, 256, 512, 1024):
        expected = architecture_for(variant, side), (4, 4)
        assert fit_architecture(variant, side, side) == expected


@pytest.mark.parametrize(("height", "width"), [(100, 150), (12, 48), (34, 48), (8, 8)])
def test_sizes_that_fit_no_architecture(height, width):
    with pytest.raises(ValueError, match=r"one of 16, 32, .*at least 16 that are multiples of 4"):
        fit_architecture("biggan", height, width)


def test_a_larger_first_map_has_more_parameters_in_the_first_layer_alone():
    row, first = fit_architecture("biggan", 128, 192)
    # 20 of z and a bias for each of 16 x 96 channels at 4 x 6 instead of 4 x 4 positions.
    more = (20 + 1) * 16 * 96 * (4 * 6 - 4 * 4)
    assert count(Generator, row, IMAGENET, bottom_size=first) == 70_433_988 + more
    assert count(Discriminator, row, IMAGENET, bottom_size=first) == 87_982_370


@pytest.mark.parametrize("embedding_dim", [1, 7, 300])
def test_class_embeddings_of_any_size(embedding_dim):
    generator = Generator(
        "biggan64", 3, base_channels=1, embedding_dim=embedding_dim, initializer="n02"
    )
    assert generator.embed(np.array([0, 2])).shape == (2, embedding_dim)
    assert generator(np.zeros((2, 120), "float32"), np.array([0, 2])).shape == (2, 64, 64, 3)


def test_the_rule_for_larger_sizes_keeps_attention_and_chunks():
    large, published = ARCHITECTURES["biggan1024"], ARCHITECTURES["biggan512"]
    assert large.resolution == 1024
    assert large.latent_dim // 9 == published.latent_dim // 8 == 20
    larger = double_resolution(large, "biggan2048")
    assert larger.resolution == 2048
    # Stages are counted from the bottom in G and from the image in D, so both attentions stay at
    # 64x64.
    assert 4 * 2 ** (larger.generator.attention[0] + 1) == 64
    assert 2048 // 2 ** (larger.discriminator.attention[0] + 1) == 64


def test_biggan16_has_the_layers_counted_by_hand():
    wide, narrow, classes, latents, colours = 256, 128, 10, 128, 3

    def convolution(size, inputs, outputs):
        return (size * size * inputs + 1) * outputs

    def block(inputs, outputs, inner):
        return (
            convolution(3, inputs, inner)
            + convolution(3, inner, outputs)
            + convolution(1, inputs, outputs)
        )

    first = (latents + 1) * 16 * wide
    # Gains and offsets of each class, before both convolutions of a block.
    norms = 2 * classes * (wide + wide + wide + narrow)
    to_image = 2 * narrow + convolution(3, narrow, colours)
    generator = first + block(wide, wide, wide) + block(wide, narrow, narrow) + norms + to_image
    assert count(Generator, "biggan16", classes) == generator
    # The last block keeps width and size, so that nothing has to be fitted to its shortcut.
    last = 2 * convolution(3, wide, wide)
    head = wide + 1 + classes * wide
    blocks = block(colours, narrow, narrow) + block(narrow, wide, wide) + last
    assert count(Discriminator, "biggan16", classes) == blocks + head
    assert architecture_for("biggan", 16).name == "biggan16"


def test_unknown_names_and_resolutions_list_the_known():
    with pytest.raises(ValueError, match=r"one of biggan16, .*Received: architecture='biggan100'"):
        get_architecture("biggan100")
    with pytest.raises(ValueError, match=r"one of 32, 64, 128, 256, 512, 1024\. .*resolution=100"):
        architecture_for("biggan_deep", 100)
    assert architecture_for("biggan", 512).name == "biggan512"


def test_plans_that_contradict_themselves_are_refused():
    row = ARCHITECTURES["biggan32"]
    with pytest.raises(ValueError, match="indices of stages, from 0 to 2"):
        Trunk((4, 4, 4, 4), (True, True, True), attention=(3,))
    fields = dict(
        row.__dict__, generator=Trunk((4, 4), (True, True)), discriminator=row.discriminator
    )
    with pytest.raises(ValueError, match="2 stages must have 3 entries"):
        Architecture(**fields)
