"""Checkpoints of every code base at full size: what is found, and that no tensor is left over."""

from __future__ import annotations

import ast
import dataclasses
import re

import numpy as np
import pytest

from tests.conversion.key_lists import key_lists, of_shapes, tensors_of
from tests.shapes import shapes_only
from tf_biggan.conversion import deepmind
from tf_biggan.conversion.converter import new_network, plan_conversion, rules_for
from tf_biggan.conversion.families import FAMILIES, Choices
from tf_biggan.conversion.rules import convert
from tf_biggan.conversion.to_biggan_pytorch import state_dict
from tf_biggan.conversion.weight_sources import Source
from tf_biggan.conversion.wrappings import MARKERS
from tf_biggan.networks.architectures import Architecture, Trunk
from tf_biggan.networks.network import variables_by_path

BIGGAN, DEEP = "biggan", "biggan_deep"

# Maps each list to (code base, architecture, width, classes, attention stages, parameters or None).
# Parameters are those that PyTorch counts (the code bases' own counts, and the papers').
GENERATORS = {
    "aj_G32": ("biggan_pytorch", "biggan32", 64, 10, (), 4_304_387),
    "aj_G128": ("biggan_pytorch", "biggan128", 96, 1000, (3,), 70_433_988),
    "aj_Gdeep128": ("biggan_pytorch", "biggan_deep128", 128, 1000, (3,), 50_244_484),
    "mm_G32": ("mmagic", "biggan32", 64, 10, (), 4_304_387),
    "mm_G64": ("mmagic", "biggan64", 96, 1000, (3,), 70_239_108),
    "mm_G128": ("mmagic", "biggan128", 96, 1000, (3,), 70_433_988),
    "mm_G256": ("mmagic", "biggan256", 96, 1000, (3,), None),
    "mm_G512": ("mmagic", "biggan512", 96, 1000, (3,), None),
    "mm_Gdeep32": ("mmagic", "biggan_deep32", 128, 1000, (), 7_561_987),
    "mm_Gdeep64": ("mmagic", "biggan_deep64", 128, 1000, (3,), 49_583_876),
    "mm_Gdeep128": ("mmagic", "biggan_deep128", 128, 1000, (3,), 50_244_484),
    "mm_Gdeep128_torch": ("mmagic", "biggan_deep128", 128, 1000, (3,), 50_244_484),
    "mm_Gdeep256": ("mmagic", "biggan_deep256", 128, 1000, (3,), 55_736_708),
    "mm_Gdeep512": ("mmagic", "biggan_deep512", 128, 1000, (3,), 56_019_780),
    "sg_C10_G": ("studiogan", "biggan32_studiogan", 96, 10, (1,), 9_416_196),
    "sg_I128_G": ("studiogan", "biggan128", 96, 1000, (3,), 70_433_988),
    "sg_deep_legacy_C10_G": ("studiogan", "biggan_deep32", 128, 10, (1,), 7_762_948),
    # PyTorch counts all outputs of conv_to_rgb, and the embedding as a layer.
    "hf_full_128": ("huggingface", "biggan_deep128", 128, 1000, (3,), 50_388_609 - 125 * 1153),
    "hf_full_256": ("huggingface", "biggan_deep256", 128, 1000, (3,), 55_880_833 - 125 * 1153),
    "hf_full_512": ("huggingface", "biggan_deep512", 128, 1000, (3,), 56_163_905 - 125 * 1153),
}
DISCRIMINATORS = {
    "aj_D32": ("biggan_pytorch", "biggan32", 64, 10, (), 4_207_361),
    "aj_D128": ("biggan_pytorch", "biggan128", 96, 1000, (0,), 87_982_370),
    "aj_Ddeep128": ("biggan_pytorch", "biggan_deep128", 128, 1000, (0,), 34_590_210),
    "mm_D32": ("mmagic", "biggan32", 64, 10, (), 4_207_361),
    "mm_D64": ("mmagic", "biggan64", 96, 1000, (), 45_500_449),
    "mm_D128": ("mmagic", "biggan128", 96, 1000, (0,), 87_982_370),
    "mm_Ddeep32": ("mmagic", "biggan_deep32", 128, 1000, (), 3_088_129),
    "mm_Ddeep64": ("mmagic", "biggan_deep64", 128, 1000, (), 20_869_633),
    "mm_Ddeep128": ("mmagic", "biggan_deep128", 128, 1000, (0,), 34_590_210),
    "mm_Ddeep256": ("mmagic", "biggan_deep256", 128, 1000, (1,), 38_247_426),
    "mm_Ddeep512": ("mmagic", "biggan_deep512", 128, 1000, (3,), 39_284_162),
    # The layers are those of biggan32 with another multiplier: 2 * 96 = 4 * 48.
    "sg_C10_D": ("studiogan", "biggan32", 48, 10, (0,), 2_415_170),
    "sg_I128_D": ("studiogan", "biggan128", 96, 1000, (0,), 87_982_370),
    "sg_deep_legacy_C10_D": ("studiogan", "biggan_deep32", 128, 10, (0,), 2_908_930),
}
MMAGIC = Choices(channel_order="rgb", rectified_shortcuts=False)


def _plan(name, family, network, choices=None, tensors=None):
    choices = choices or (MMAGIC if family == "mmagic" else Choices())
    tensors = tensors_of(name) if tensors is None else tensors
    source = Source(name, family, {network: tensors}, ())
    return plan_conversion(source, choices)


def _parameters(network):
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


@pytest.mark.parametrize("name", [*GENERATORS, *DISCRIMINATORS])
def test_full_size_checkpoints_convert_with_nothing_left_over(name):
    kind = "generator" if name in GENERATORS else "discriminator"
    expected = {**GENERATORS, **DISCRIMINATORS}[name]
    family, row, width, classes, attention, parameters = expected
    plan = _plan(name, family, kind)
    arguments = plan.arguments[kind]
    assert arguments["architecture"].name == row
    found = (arguments["base_channels"], arguments["num_classes"], arguments["attention_stages"])
    assert found == (width, classes, attention)
    # Only keys and shapes matter here. Solving for vectors takes long at this size.
    tensors = of_shapes(plan.prepared[kind].tensors.shapes)
    plan = dataclasses.replace(
        plan, prepared={kind: dataclasses.replace(plan.prepared[kind], tensors=tensors)}
    )
    with shapes_only():
        network = new_network(kind, arguments)
        shapes = {path: tuple(v.shape) for path, v in variables_by_path(network).items()}
        if parameters is not None:
            assert _parameters(network) == parameters
        with np.errstate(all="ignore"):
            made = convert(
                rules_for(plan, kind, network), tensors, shapes, FAMILIES[family].tables.ignored
            )
    assert set(made) == set(shapes)


def test_every_list_is_looked_at():
    lists = {name for name in key_lists() if not name.startswith(("hf_tf", "hf_stacks"))}
    assert lists == {*GENERATORS, *DISCRIMINATORS, "aj_G32_mybn"}


@pytest.mark.parametrize("name", [*GENERATORS, *DISCRIMINATORS])
def test_the_family_is_found_from_the_keys(name):
    keys = tensors_of(name)
    found = [
        family for family, marker in MARKERS.items() if any(re.search(marker, key) for key in keys)
    ]
    assert found == [{**GENERATORS, **DISCRIMINATORS}[name][0]]


@pytest.mark.parametrize("size", [128, 256, 512])
def test_names_of_a_hub_module_become_those_of_its_port(size):
    """The expected names are the PyTorch port's own table."""
    rows = key_lists()[f"hf_tf_{size}"]
    variables, replaced = deepmind.averages(
        of_shapes({row[0]: ast.literal_eval(row[1]) for row in rows})
    )
    assert replaced == 0
    ported = deepmind.with_port_names(variables).shapes
    port = tensors_of(f"hf_full_{size}").shapes
    statistics = {pt for _, pt in key_lists()[f"hf_stacks_{size}"]}
    assert set(ported) == set(port) - statistics
    assert ported == {key: port[key] for key in ported}


@pytest.mark.parametrize("name", ["aj_G32_mybn"])
def test_manual_batch_norm_nests_the_statistics(name):
    plan = _plan(name, "biggan_pytorch", "generator")
    assert plan.arguments["generator"]["base_channels"] == 8
    # Counters of 1 mean that the statistics are sums.
    assert "divided by their number of batches, 1" in plan.prepared["generator"].changes[0]


def _architecture(variant, g_widths, d_widths, d_resample):
    return Architecture(
        name="made up",
        variant=variant,
        generator=Trunk(g_widths, (True,) * (len(g_widths) - 1)),
        discriminator=Trunk(d_widths, d_resample),
        base_channels=2,
        depth=1 if variant == BIGGAN else 2,
        latent_dim=10,
        latent_injection="split" if variant == BIGGAN else "all",
        embedding_dim=6,
        source="a test",
    )


# StudioGAN's model for 64 pixels, whose first stage already narrows; and a BigGAN-deep that is not
# in the table.
PLANS = {
    BIGGAN: _architecture(BIGGAN, (16, 8, 4, 2, 1), (1, 2, 3, 3), (True, True, True, False)),
    DEEP: _architecture(DEEP, (8, 3, 1), (1, 3, 8), (True, True)),
}


def _made_up(variant):
    arguments = dict(architecture=PLANS[variant], num_classes=5)
    return {
        "generator": new_network("generator", {**arguments, "attention_stages": (1,)}),
        "discriminator": new_network("discriminator", {**arguments, "attention_stages": (0,)}),
    }


@pytest.fixture(scope="module", params=PLANS)
def made_up(request):
    return _made_up(request.param)


@pytest.mark.parametrize(
    "kinds", [["generator"], ["discriminator"], ["generator", "discriminator"]]
)
def test_blocks_of_no_row_make_an_architecture_of_their_own(made_up, kinds):
    tensors = {k: of_shapes(_shapes(state_dict(made_up[k], k))) for k in kinds}
    resolution = made_up["generator"].image_size[0]
    deep_d_alone = kinds == ["discriminator"] and made_up["discriminator"].depth == 2
    choices = Choices(resolution=resolution if deep_d_alone else None)
    plan = plan_conversion(Source("made up", "biggan_pytorch", tensors, ()), choices)
    for kind in kinds:
        network = new_network(kind, plan.arguments[kind])
        assert network.block_specs == made_up[kind].block_specs
        assert _shapes(variables_by_path(network)) == _shapes(variables_by_path(made_up[kind]))
    if "generator" in kinds:
        assert plan.arguments["generator"]["architecture"].resolution == resolution


def test_a_size_that_nothing_says_is_asked_for():
    discriminator = _made_up(DEEP)["discriminator"]
    tensors = of_shapes(_shapes(state_dict(discriminator, "discriminator")))
    with pytest.raises(ValueError, match="do not show the image size; give it by --resolution"):
        _plan("x", "biggan_pytorch", "discriminator", Choices(), tensors)


def _shapes(arrays):
    return {key: tuple(array.shape) for key, array in arrays.items()}
