"""Files with the weights of all golden fixtures go through the command and give the same images."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from tests.conversion.command import converted, save, save_json, torch_tensors
from tests.golden_files import golden
from tests.networks.golden_models import AUTHORS, MMAGIC, truncation_of_ours
from tf_biggan.conversion.converter import plan_conversion
from tf_biggan.conversion.families import Choices
from tf_biggan.conversion.weight_sources import open_source

# The other fixtures would take the same paths through the command. tests/networks compares them.
SLOW = {"aj_i128", "aj_i256", "aj_i512g", "aj_deep128", "aj_c10_sv2", "mm_128", "mm_deep128"}
SLOW |= {"hf_tiny128 config", "hf_tiny128 alone"}


def _cases(*names):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in names]


def _check_images(fixture, generator, key="G_eval", z=None, **kwargs):
    z = fixture.arrays["in/z"] if z is None else z
    images = np.asarray(generator(z, fixture.arrays["in/y_fake"], **kwargs))
    fixture.assert_close(images, key)


def _check_logits(fixture, discriminator):
    arrays = fixture.arrays
    fixture.assert_close(discriminator(arrays["in/x"], arrays["in/y_real"]), "D_eval")


@pytest.mark.parametrize("name", _cases(*AUTHORS))
def test_biggan_pytorch(name, tmp_path):
    fixture = golden(name)
    folder = tmp_path / "weights"
    folder.mkdir()
    save(torch_tensors(fixture.weights("G")), folder / "G_ema.pth")
    has_discriminator = AUTHORS[name]["discriminator"] is not None
    if has_discriminator:
        save(torch_tensors(fixture.weights("D")), folder / "D.pth", older=True)
    epsilon = fixture.info["config"]["SN_eps"]
    networks, provenance = converted(folder, tmp_path / "model", sn_epsilon=epsilon)
    _check_images(fixture, networks["generator"])
    assert has_discriminator == ("discriminator" in networks)
    if has_discriminator:
        _check_logits(fixture, networks["discriminator"])
    assert provenance["family"] == "biggan_pytorch"
    assert [len(file["sha256"]) for file in provenance["files"]] == [64] * (1 + has_discriminator)


@pytest.mark.parametrize("name", _cases("aj_c10_mybn", "aj_c10_sv2"))
def test_biggan_pytorch_with_manual_batch_norm_and_two_singular_values(name, tmp_path):
    fixture = golden(name)
    networks = {}
    for key, kind in (("G", "generator"), ("D", "discriminator")):
        path = save(torch_tensors(fixture.weights(key)), tmp_path / f"{key}.pth")
        networks |= converted(path, tmp_path / kind)[0]
    _check_images(fixture, networks["generator"])
    _check_logits(fixture, networks["discriminator"])


# hf_tiny32 has a made-up architecture, whose last stage keeps the size. Only its configuration
# tells so.
@pytest.mark.parametrize(
    "case", _cases("hf_tiny32 config", "hf_tiny128 config", "hf_tiny128 alone")
)
def test_pytorch_pretrained_biggan(case, tmp_path):
    name, _, with_config = case.partition(" ")
    fixture = golden(name)
    path = tmp_path / "biggan-deep-32-pytorch_model.bin"
    save(torch_tensors(fixture.weights("")), path, older=True)
    if with_config == "config":
        save_json(fixture.info["config"], tmp_path / "biggan-deep-32-config.json")
    networks, provenance = converted(path, tmp_path / "model")
    generator = networks["generator"]
    assert (generator.factory.num_statistics, generator.factory.bn_epsilon) == (51, 1e-4)
    z, labels = fixture.arrays["in/z"], fixture.arrays["in/y"]
    keys = [key for key in fixture.arrays.files if key.startswith("out_t")]
    if name == "hf_tiny32":
        assert {"out_t1.0", "out_t0.5", "out_t0.43", "out_t0.425", "out_t0.02"} <= set(keys)
    for key in keys:
        truncation = truncation_of_ours(float(key.removeprefix("out_t")), 51)
        fixture.assert_close(generator(z, labels, truncation=truncation), key)
    assert "kernels divided by sigma" in provenance["changes"]["generator"][0]
    assert "has 8 outputs" in provenance["changes"]["generator"][1]


def _mmagic_checkpoint(fixture, config):
    """Returns a checkpoint as mmengine writes it: both generators, discriminator, bookkeeping."""
    tensors = {"generator_ema.steps": np.array(3)}
    for key, value in fixture.weights("G").items():
        tensors[f"generator.{key}"] = np.zeros_like(value)
        tensors[f"generator_ema.module.{key}"] = value
    tensors |= {f"discriminator.{key}": value for key, value in fixture.weights("D").items()}
    meta = {"cfg": config, "iter": 3, "args": argparse.Namespace(x=1), "best": np.float64(1)}
    return {"meta": meta, "state_dict": torch_tensors(tensors), "message_hub": {}}


@pytest.mark.parametrize("name", _cases(*MMAGIC))
def test_mmagic(name, tmp_path):
    fixture = golden(name)
    path = save(_mmagic_checkpoint(fixture, "model = dict(rgb2bgr=True)"), tmp_path / "x.pth")
    epsilon = fixture.info["config"]["sn_eps"]
    networks, provenance = converted(
        path, tmp_path / "model", sn_epsilon=epsilon, rectified_shortcuts=False
    )
    _check_images(fixture, networks["generator"])
    clipped = np.clip(fixture.arrays["in/z"], -0.5, 0.5)
    _check_images(fixture, networks["generator"], "G_eval_truncation0.5", clipped)
    _check_logits(fixture, networks["discriminator"])
    (aside,) = provenance["set_aside"]
    assert aside == (
        "state_dict/generator.*: its moving average, state_dict/generator_ema.*, is used"
    )


def test_mmagic_with_the_spectral_norm_of_pytorch(tmp_path):
    fixture = golden("mm_32_torchsn")
    path = save(_mmagic_checkpoint(fixture, "rgb2bgr=True"), tmp_path / "x.pth")
    networks, provenance = converted(
        path, tmp_path / "model", sn_epsilon=1e-6, rectified_shortcuts=False
    )
    generator = networks["generator"]
    _check_images(fixture, generator)
    _check_logits(fixture, networks["discriminator"])
    assert "replaced by a vector u" in provenance["changes"]["generator"][0]
    # The network can still be trained: it has a spectral norm whose u is updated.
    assert generator.factory.spectral_norm


def test_mmagic_with_relus_in_place_has_rectified_shortcuts(tmp_path):
    """mmagic's ImageNet models have in-place ReLUs."""
    fixture = golden("mm_32_torchsn")
    generator = "generator=dict(act_cfg=dict(type='ReLU', inplace=True), rgb2bgr=True), "
    relu = "act_cfg=dict(type='ReLU', inplace={}), x=1)"
    for value, flags in (("True", {}), ("False", {}), ("False", dict(rectified_shortcuts=True))):
        text = f"model=dict({generator}discriminator=dict(type='D', {relu.format(value)})"
        path = save(_mmagic_checkpoint(fixture, text), tmp_path / "x.pth")
        source = open_source(str(path))
        arguments = plan_conversion(source, Choices(**flags)).arguments["discriminator"]
        assert arguments["rectified_shortcuts"] == (value == "True" or bool(flags))
    networks, _ = converted(path, tmp_path / "model", rectified_shortcuts=True)
    _check_images(fixture, networks["generator"])
    assert networks["discriminator"].rectified_shortcuts
    # With in-place ReLUs, the same weights give other logits than the recorded ones.
    arrays = fixture.arrays
    logits = networks["discriminator"](arrays["in/x"][:2], arrays["in/y_real"][:2])
    assert np.abs(np.asarray(logits) - arrays["D_eval"].reshape(-1)[:2]).max() > 0.01


def test_mmagic_says_what_its_discriminator_is_or_is_asked(tmp_path):
    fixture = golden("mm_32_torchsn")
    path = save(_mmagic_checkpoint(fixture, "rgb2bgr=True"), tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"--rectified_shortcuts .* --norectified_shortcuts"):
        plan_conversion(open_source(str(path)), Choices())


def test_the_name_of_a_file_of_mmagic_says_rgb_and_its_folder_does_not(tmp_path):
    fixture = golden("mm_32")
    contents = _mmagic_checkpoint(fixture, "no configuration")
    (tmp_path / "my_rgb_models").mkdir()
    choices = Choices(rectified_shortcuts=False)
    named = save(contents, tmp_path / "biggan_cvt_rgb_20210730-3e353fef.pth")
    plan = plan_conversion(open_source(str(named)), choices)
    assert "trained on RGB images" in plan.prepared["generator"].changes
    unnamed = save(contents, tmp_path / "my_rgb_models" / "biggan_cifar10-08b61a44.pth")
    with pytest.raises(ValueError, match="--channel_order=bgr"):
        plan_conversion(open_source(str(unnamed)), choices)


@pytest.mark.parametrize("name", _cases("mm_32", "mm_deep128"))
def test_mmagic_trained_on_bgr_images(name, tmp_path):
    fixture = golden(name)
    config = "data_preprocessor=dict(output_channel_order='BGR')"
    path = save(_mmagic_checkpoint(fixture, config), tmp_path / "x.pth")
    networks, provenance = converted(path, tmp_path / "model", rectified_shortcuts=False)
    z, labels, arrays = fixture.arrays["in/z"], fixture.arrays["in/y_fake"], fixture.arrays
    images = np.asarray(networks["generator"](z, labels))[..., ::-1]
    fixture.assert_close(images, "G_eval")
    logits = networks["discriminator"](arrays["in/x"][..., ::-1], arrays["in/y_real"])
    fixture.assert_close(logits, "D_eval")
    assert "reversed to RGB" in provenance["changes"]["discriminator"][-1]
