"""Checkpoints of BigGAN-PyTorch runs with unusual flags are converted, warned about or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conversion.command import converted, run, save, torch_tensors
from tests.conversion.key_lists import of_shapes, tensors_of
from tests.golden_files import golden
from tests.shapes import shapes_only
from tf_biggan.conversion.converter import new_network, plan_conversion, provenance, rules_for
from tf_biggan.conversion.families import FAMILIES, Choices
from tf_biggan.conversion.rules import convert
from tf_biggan.conversion.weight_sources import Source, open_source
from tf_biggan.networks.network import variables_by_path

CONFIG = {"G_ch": 8, "D_ch": 8, "G_param": "SN", "G_activation": torch.nn.ReLU(), "SN_eps": 1e-7}


def _plan(choices=None, settings=None, **shapes):
    networks = {name: of_shapes(found) for name, found in shapes.items()}
    source = Source("x", "biggan_pytorch", networks, (), settings=settings or {})
    return plan_conversion(source, choices or Choices())


def _check_nothing_left_over(plan, name):
    tensors = plan.prepared[name].tensors
    ignored = FAMILIES[plan.source.family].tables.ignored
    with shapes_only():
        network = new_network(name, plan.arguments[name])
        shapes = {path: tuple(v.shape) for path, v in variables_by_path(network).items()}
        made = convert(rules_for(plan, name, network), tensors, shapes, ignored)
    assert set(made) == set(shapes)


def _folded(weights):
    """Returns weights divided by the sigma of one step of power iteration, without u.

    The reference's formula computes sigma in float64. The generator must give the same images.
    """
    made = {key: value for key, value in weights.items() if not key.endswith((".u0", ".sv0"))}
    for key in weights:
        if key.endswith(".u0"):
            name = f"{key.removesuffix('.u0')}.weight"
            matrix = np.asarray(weights[name], "float64").reshape(len(weights[name]), -1)
            v = np.asarray(weights[key], "float64")[0] @ matrix
            v /= np.linalg.norm(v)
            sigma = np.linalg.norm(matrix @ v)
            made[name] = (weights[name] / sigma).astype("float32")
    return made


def _of_cross_replica(weights):
    """Renames running statistics as SyncBN2d does, and adds its counter of batches."""
    names = {"stored_mean": "bn.running_mean", "stored_var": "bn.running_var"}
    made = {}
    for key, value in weights.items():
        prefix, _, name = key.rpartition(".")
        made[f"{prefix}.{names.get(name, name)}"] = value
        if name == "stored_var":
            made[f"{prefix}.bn.num_batches_tracked"] = np.array(3)
    return made


def test_without_spectral_norm_and_across_replicas_images_are_the_references(tmp_path):
    """Flags: --cross_replica --G_param=none --D_param=none."""
    fixture = golden("aj_c10")
    generator = _of_cross_replica(_folded(fixture.weights("G")))
    save(torch_tensors(generator), tmp_path / "G.pth")
    save(torch_tensors(_folded(fixture.weights("D"))), tmp_path / "D.pth")
    networks, said = converted(tmp_path, tmp_path / "model")
    arrays = fixture.arrays
    images = networks["generator"](arrays["in/z"], arrays["in/y_fake"])
    fixture.assert_close(images, "G_eval")
    fixture.assert_close(networks["discriminator"](arrays["in/x"], arrays["in/y_real"]), "D_eval")
    assert not networks["generator"].factory.spectral_norm
    assert "sn_epsilon" not in said["not_in_the_file"]
    assert "--cross_replica" in said["changes"]["generator"][0]
    assert "its training on one GPU add the gain instead" in said["warnings"][0]
    assert len(said["warnings"]) == 3


def test_one_network_alone_may_have_a_spectral_norm():
    shapes = tensors_of("aj_D32").shapes
    without = {key: shape for key, shape in shapes.items() if not key.endswith((".u0", ".sv0"))}
    plan = _plan(generator=tensors_of("aj_G32").shapes, discriminator=without)
    norms = {name: found["spectral_norm"] for name, found in plan.arguments.items()}
    assert norms == {"generator": True, "discriminator": False}
    assert "sn_epsilon" in plan.chosen
    _check_nothing_left_over(plan, "discriminator")
    (warning,) = plan.warnings
    assert warning.startswith("the discriminator's tensors have no singular vectors (u0)")
    # Weights with spectral norm that were saved without buffers are not weights without spectral
    # norm.
    settings = {"flags": CONFIG | {"D_param": "SN"}, "flags_file": "state_dict.pth"}
    with pytest.raises(ValueError, match=r"spectral norm \(--D_param=SN in state_dict\.pth\)"):
        _plan(settings=settings, discriminator=without)
    with pytest.raises(ValueError, match="--sn_epsilon has no effect on networks without"):
        _plan(Choices(sn_epsilon=1e-6), discriminator=without)


@pytest.mark.parametrize("name", ["mm_G32", "mm_Ddeep32", "sg_C10_G"])
def test_other_code_bases_may_be_without_spectral_norm_too(name):
    family = {"mm": "mmagic", "sg": "studiogan"}[name[:2]]
    shapes = {}
    for key, shape in tensors_of(name).shapes.items():
        if not key.endswith((".u0", ".sv0", ".weight_u", ".weight_v")):
            shapes[key.replace(".weight_orig", ".weight")] = shape
    network = "generator" if "_G" in name else "discriminator"
    choices = Choices(channel_order="rgb", rectified_shortcuts=False)
    source = Source("x", family, {network: of_shapes(shapes)}, ())
    plan = plan_conversion(source, choices if family == "mmagic" else Choices())
    assert not plan.arguments[network]["spectral_norm"]
    _check_nothing_left_over(plan, network)


def test_a_generator_of_another_norm_is_refused_by_name():
    shapes = tensors_of("aj_G32").shapes
    left = {k: s for k, s in shapes.items() if not (k.startswith("blocks") and ".stored_" in k)}
    with pytest.raises(ValueError, match=r"trained with --norm_style=gn or nonorm"):
        _plan(generator=left)


def test_the_discriminator_has_the_first_feature_map_of_its_generator():
    g, d = tensors_of("aj_G32").shapes, tensors_of("aj_D32").shapes
    outputs, inputs = g["linear.weight"]
    wide = {"linear.weight": (outputs // 16 * 36, inputs), "linear.bias": (outputs // 16 * 36,)}
    plan = _plan(generator={**g, **wide, "linear.u0": (1, outputs // 16 * 36)}, discriminator=d)
    assert {found["bottom_size"] for found in plan.arguments.values()} == {(6, 6)}
    # A discriminator alone does not show the image size.
    alone = _plan(discriminator=d)
    assert alone.arguments["discriminator"]["bottom_size"] == (4, 4)
    assert alone.chosen["resolution"].startswith("32, assumed because a discriminator alone")
    alone = _plan(Choices(resolution=48), discriminator=d)
    assert alone.arguments["discriminator"]["bottom_size"] == (6, 6)
    with pytest.raises(ValueError, match=r"at this resolution; .* Received: resolution=50"):
        _plan(Choices(resolution=50), discriminator=d)


def test_attention_at_two_sizes_and_at_none():
    """Flags: --G_attn=32_64 and --G_attn=0."""
    shapes = tensors_of("aj_G128").shapes
    layer = {k: s for k, s in shapes.items() if k.startswith("blocks.3.1.")}
    twice = {
        key.replace(".3.1.", ".2.1."): tuple(2 * size if size > 1 else size for size in shape)
        for key, shape in layer.items()
    }
    plan = _plan(generator={**shapes, **twice})
    _check_nothing_left_over(plan, "generator")
    assert plan.arguments["generator"]["attention_stages"] == (2, 3)
    plan = _plan(generator={k: s for k, s in shapes.items() if k not in layer})
    assert plan.arguments["generator"]["attention_stages"] == ()
    _check_nothing_left_over(plan, "generator")


def test_a_thin_discriminator_and_two_singular_vectors():
    """Flags: --D_thin --num_D_SVs=2."""
    shapes = dict(tensors_of("aj_D32").shapes)
    for block in range(4):
        prefix = f"blocks.{block}.0."
        inputs = shapes[f"{prefix}conv1.weight"][1]
        shapes[f"{prefix}conv1.weight"] = (inputs, inputs, 3, 3)
        shapes[f"{prefix}conv1.bias"], shapes[f"{prefix}conv1.u0"] = (inputs,), (1, inputs)
        outputs = shapes[f"{prefix}conv2.weight"][0]
        shapes[f"{prefix}conv2.weight"] = (outputs, inputs, 3, 3)
    further = {k[:-1] + "1": s for k, s in shapes.items() if k.endswith((".u0", ".sv0"))}
    plan = _plan(discriminator={**shapes, **further})
    assert not plan.arguments["discriminator"]["wide"]
    _check_nothing_left_over(plan, "discriminator")
    assert provenance(plan)["ignored"]["discriminator"]


@pytest.fixture
def folder(tmp_path):
    """Returns a folder of weights with the flags of their run beside them."""

    def write(**flags):
        save(torch_tensors(_ones(tensors_of("aj_G32"))), tmp_path / "G_ema_best0.pth")
        save(torch_tensors(_ones(tensors_of("aj_D32"))), tmp_path / "D_best0.pth")
        contents = {"itr": 7, "epoch": 1, "best_IS": np.float64(3), "config": {**CONFIG, **flags}}
        save(contents, tmp_path / "state_dict_best0.pth", older=True)
        return str(tmp_path)

    return write


def _ones(tensors):
    return {key: np.ones(shape, "float16") for key, shape in tensors.shapes.items()}


def test_flags_of_the_run_are_taken_from_its_file(folder):
    plan = plan_conversion(open_source(folder()), Choices())
    assert not plan.warnings
    assert plan.chosen["flags"] == "those of the run, from state_dict_best0.pth"
    assert plan.chosen["sn_epsilon"] == "1e-07, from the configuration beside the weights"
    assert {found["sn_epsilon"] for found in plan.arguments.values()} == {1e-7}
    # Flags are also read from the file beside a single file of weights. The command line takes
    # precedence.
    source = open_source(f"{folder()}/D_best0.pth")
    plan = plan_conversion(source, Choices(sn_epsilon=1e-5))
    assert plan.arguments["discriminator"]["sn_epsilon"] == 1e-5


@pytest.mark.parametrize(
    "flags, message",
    [
        (
            dict(num_G_SV_itrs=2),
            "--num_G_SV_itrs=2 of BigGAN-PyTorch: networks of this package have one step",
        ),
        (
            dict(num_D_SV_itrs=3),
            "--num_D_SV_itrs=3 of BigGAN-PyTorch: networks of this package have one step",
        ),
        (
            dict(norm_style="in"),
            "--norm_style=in of BigGAN-PyTorch: networks of this package have batch norm",
        ),
        (dict(z_var=2.0), "--z_var=2.0 of BigGAN-PyTorch: networks of this package have latents"),
    ],
)
def test_flags_that_change_further_training_are_warned_of(folder, flags, message):
    plan = plan_conversion(open_source(folder(**flags)), Choices())
    (warning,) = plan.warnings
    assert warning.startswith(message)
    assert f"  Warning: {warning}." in plan.describe()
    assert provenance(plan)["warnings"] == [warning]


@pytest.mark.parametrize(
    "flags", [dict(G_nl="leaky_relu"), dict(D_nl="elu"), dict(norm_style="gn")]
)
def test_flags_of_other_networks_are_refused_by_name(folder, flags, tmp_path):
    ((name, value),) = flags.items()
    with pytest.raises(ValueError, match=f"Cannot convert .* with --{name}={value} of BigGAN"):
        run(input=folder(**flags), output=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_norm_style_without_effect_and_activations_that_are_the_same(folder):
    flags = dict(norm_style="gn", cross_replica=True, G_nl="inplace_relu")
    assert not plan_conversion(open_source(folder(**flags)), Choices()).warnings


def test_what_is_assumed_without_the_flags_is_said(folder, tmp_path):
    path = folder()
    (tmp_path / "state_dict_best0.pth").write_bytes(b"cut")
    plan = plan_conversion(open_source(path), Choices())
    assert "cannot be read (state_dict_best0.pth: " in plan.chosen["flags"]
    (tmp_path / "state_dict_best0.pth").unlink()
    plan = plan_conversion(open_source(path), Choices())
    assert plan.chosen["flags"] == (
        "not beside the weights; assumed: --G_nl=relu, --D_nl=relu, --norm_style=bn,"
        " --num_G_SV_itrs=1, --num_D_SV_itrs=1, --z_var=1"
    )
    assert plan.chosen["sn_epsilon"] == "1e-08, as published by biggan_pytorch"
