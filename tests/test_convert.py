"""The convert command writes the right model, or prints one line that names the keys."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from tests.conversion.command import converted, run, save, torch_tensors
from tf_biggan.conversion.rules import FAMILIES
from tf_biggan.conversion.run_conversion import class_names
from tf_biggan.conversion.to_biggan_pytorch import state_dict
from tf_biggan.networks.discriminator import Discriminator
from tf_biggan.networks.generator import Generator

SMALL = dict(architecture="biggan32", num_classes=3, base_channels=2, seed=3)


@pytest.fixture(scope="module")
def generator():
    return Generator(**SMALL, latent_dim=12)


@pytest.fixture(scope="module")
def tensors(generator):
    return state_dict(generator, "generator")


@pytest.fixture(scope="module")
def discriminator_tensors():
    return state_dict(Discriminator(**SMALL), "discriminator")


@pytest.fixture
def refused(tmp_path):
    """Checks that an input is refused with a message, and that nothing is written."""

    def check(message, contents=None, path=None, **flags):
        if path is None:
            path = save(contents, tmp_path / "weights.pth")
        with pytest.raises(ValueError, match=message):
            run(input=path, output=tmp_path / "model", **flags)
        assert not [entry.name for entry in tmp_path.iterdir() if "model" in entry.name]

    return check


def _check_same(network, other, rtol=0.0):
    for one, two in zip(network.variables, other.variables, strict=True):
        np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol, err_msg=one.path)


def test_one_file_of_a_generator(generator, tensors, tmp_path):
    networks, provenance = converted(
        save(torch_tensors(tensors), tmp_path / "G.pth"), tmp_path / "m"
    )
    assert set(networks) == {"generator"}
    _check_same(networks["generator"], generator)
    assert provenance["not_in_the_file"]["sn_epsilon"] == "1e-08, as published by biggan_pytorch"


def test_a_prefix_of_dataparallel_and_half_precision(generator, tensors, tmp_path):
    half = {f"module.{k}": v.half() for k, v in torch_tensors(tensors).items()}
    networks, provenance = converted(save(half, tmp_path / "G.pth"), tmp_path / "model")
    _check_same(networks["generator"], generator, rtol=1e-3)
    assert provenance["changes"]["generator"] == ["float16 widened to float32"]


class _Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_file_that_would_run_something_runs_nothing(tensors, refused, tmp_path):
    victim = tmp_path / "made"
    contents = {"state_dict": torch_tensors(tensors), "meta": _Attack(str(victim))}
    refused(r"refers to posix\.mkdir\. .* Nothing was executed", contents)
    assert not victim.exists()


def test_another_family_is_refused(tensors, refused):
    contents = torch_tensors(tensors)
    refused(
        "tensors have the names of biggan_pytorch; .* Received: from='mmagic'",
        contents,
        **{"from": "mmagic"},
    )


def test_missing_and_left_over_keys_are_named(tensors, refused):
    contents = torch_tensors(tensors)
    value = contents.pop("blocks.1.0.conv2.bias")
    refused(r"missing: blocks\.1\.0\.conv2\.bias", contents)
    contents |= {"blocks.1.0.conv2.bias": value, "surprise.weight": torch.zeros(2)}
    refused(r"left over: surprise\.weight", contents)
    del contents["surprise.weight"], contents["linear.weight"]
    refused(r"the tensor linear\.weight is missing", contents)


def test_a_transposed_tensor_is_named(tensors, refused):
    contents = torch_tensors(tensors)
    weight = contents["output_layer.2.weight"]
    contents["output_layer.2.weight"] = weight.permute(0, 2, 3, 1)
    refused(r"output_layer\.2\.weight \(3, 3, 3, 8\)", contents)
    contents["output_layer.2.weight"] = weight
    contents["linear.weight"] = contents["linear.weight"].T
    refused(r"`first/\w+` needs the shape .*linear\.", contents)
    contents = torch_tensors(tensors)
    contents["blocks.1.0.conv1.weight"] = torch.zeros(8, 4, 3, 3)
    refused(
        r"blocks\.0\.0 has 8 output channels, but `blocks\.1\.0\.conv1\.weight` takes 4", contents
    )


def test_a_truncated_file_and_no_checkpoint_at_all(tensors, refused, tmp_path):
    path = save(torch_tensors(tensors), tmp_path / "G.pth")
    path.write_bytes(path.read_bytes()[:-3000])
    refused("damaged or incomplete", path=path)
    refused(
        r"holds only tensors of unknown names \(1, such as a\.b\)\. It must hold the weights of a"
        r" generator or a discriminator of biggan_pytorch",
        {"a.b": torch.zeros(1)},
    )
    refused("The input does not exist", path=tmp_path / "nowhere")
    refused("folder must hold", path=tmp_path / "..")


def test_what_the_command_line_contradicts_is_refused(tensors, refused):
    contents = torch_tensors(tensors)
    refused(
        "--num_classes differs from the number of classes of the generator, 3",
        contents,
        num_classes=10,
    )
    refused(
        "has these residual blocks at this resolution; .* Received: resolution=64",
        contents,
        resolution=64,
    )


def test_nothing_is_overwritten(tensors, tmp_path):
    path = save(torch_tensors(tensors), tmp_path / "G.pth")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("kept")
    with pytest.raises(ValueError, match="The output exists and is not an empty folder"):
        run(input=path, output=tmp_path / "model")
    assert (tmp_path / "model" / "mine").read_text() == "kept"


def test_one_of_several_savings(generator, tensors, discriminator_tensors, refused, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    zeros = {key: 0 * value for key, value in tensors.items()}
    for suffix, values in (("copy0", zeros), ("best1", tensors)):
        save(torch_tensors(zeros), folder / f"G_{suffix}.pth")
        save(torch_tensors(values), folder / f"G_ema_{suffix}.pth")
        save(torch_tensors(discriminator_tensors), folder / f"D_{suffix}.pth")
    refused(r"choose one by --suffix.*suffixes=\['best1', 'copy0'\]", path=folder)
    refused(r"no checkpoint with this --suffix", path=folder, suffix="best2")
    networks, provenance = converted(folder, tmp_path / "model", suffix="best1")
    assert set(networks) == {"generator", "discriminator"}
    _check_same(networks["generator"], generator)
    assert provenance["set_aside"] == ["G_best1.pth: its moving average is used"]


def test_a_channel_order_that_nothing_says_is_asked_for(refused):
    keys = {"conv_blocks.0.conv1.conv.weight": torch.zeros(2, 3, 3, 3)}
    refused("Give --channel_order=rgb or --channel_order=bgr", keys)


@pytest.mark.parametrize(
    "flags, message",
    [
        (dict(channel_order="bgr"), "no effect on weights of biggan_pytorch.*channel_order='bgr'"),
        (dict(rectified_shortcuts=True), "no effect on weights of biggan_pytorch"),
        (dict(attention_block=3), "no effect on weights of biggan_pytorch"),
        (dict(suffix="best9"), "--suffix chooses among the checkpoints of a folder"),
    ],
)
def test_flags_without_effect_are_refused(refused, tensors, flags, message):
    refused(message, torch_tensors(tensors), **flags)


def test_class_names_of_a_file(tensors, tmp_path):
    from tf_biggan.store.model_directory import read_directory

    path = save(torch_tensors(tensors), tmp_path / "G.pth")
    names = tmp_path / "names.txt"
    names.write_text("finch\nowl\nwren\n")
    run(input=path, output=tmp_path / "model", class_names=names)
    assert read_directory(str(tmp_path / "model")).class_names == ("finch", "owl", "wren")
    names.write_text("finch\n")
    with pytest.raises(ValueError, match="3 names, one for each class"):
        run(input=path, output=tmp_path / "other", class_names=names)
    assert not (tmp_path / "other").exists()


def test_a_thousand_classes_get_the_names_of_imagenet():
    names = class_names(None, 1000)
    assert (len(names), names[0].split(",")[0]) == (1000, "tench")
    assert class_names("none", 1000) == class_names(None, 10) == ()


def test_class_names_of_other_editors(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("finch\r\nkönig\r\n".encode("utf-8-sig"))
    assert class_names(str(path), 2) == ("finch", "könig")
    path.write_bytes("finch\nkönig\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"class names .*txt': byte 0xf6 in line 2 is not UTF-8"):
        class_names(str(path), 2)


def test_help_is_quick_and_names_every_family():
    start = time.monotonic()
    command = [sys.executable, "-m", "tf_biggan.convert", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    text = " ".join(result.stdout.split())
    assert result.returncode == 0
    assert all(name in text for name in FAMILIES)
    # On an idle machine, this takes a second. Importing TensorFlow alone takes five.
    assert seconds < 4, seconds
