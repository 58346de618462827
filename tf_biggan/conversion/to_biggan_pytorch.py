"""Writes networks as checkpoints of BigGAN-PyTorch, so that results can be checked with it."""

from __future__ import annotations

import os
from collections.abc import Mapping

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.conversion import biggan_pytorch
from tf_biggan.conversion.rules import DISCRIMINATOR_LAYOUT, Rule
from tf_biggan.files.atomic import check_new, new_folder
from tf_biggan.networks.network import variables_by_path

# Names of BigGAN-PyTorch's files, by network. A generator without a "raw_generator" is written as
# both G_ema and G.
FILES = {"generator": "G_ema", "raw_generator": "G", "discriminator": "D"}
U, SIGMA_LOG = ".u0", ".sv0"
# BigGAN-PyTorch's loader also needs a file with the progress of the run: one that has just begun.
PROGRESS_FILE = "state_dict.pth"
PROGRESS = (
    ("itr", 0),
    ("epoch", 0),
    ("save_num", 0),
    ("save_best_num", 0),
    ("best_IS", 0),
    ("best_FID", 999999),
    ("config", {}),
)
OUTPUT_VARIANCE, OUTPUT_BN_EPSILON = "output_layer.0.stored_var", 1e-5


def state_dict(network: keras.Model, kind: str) -> dict[str, np.ndarray]:
    """Returns a network's variables with the keys and layouts of BigGAN-PyTorch.

    `sv0`, in which BigGAN-PyTorch logs the sigma of the last training step, is 1 as in a new
    network.

    Args:
      network: Network whose batch norms have one row of statistics. Without spectral norm, the
        result has no "u0", like BigGAN-PyTorch with `--G_param=None`.
      kind: "generator", "raw_generator" or "discriminator".

    Raises:
      ValueError: BigGAN-PyTorch cannot build such a network.
    """
    _check(network)
    rules = _inverse_rules(network, kind)
    variables = variables_by_path(network)
    unknown = sorted(set(variables) - {rule.target for rule in rules})
    checks.require(not unknown, "BigGAN-PyTorch must have every layer", unknown=unknown)
    made = {}
    for rule in rules:
        (key,) = rule.sources
        made[key] = np.array(rule.transform(np.asarray(variables[rule.target])), order="C")
        if key.endswith(U):
            made[key.removesuffix(U) + SIGMA_LOG] = np.ones(1, "float32")
    if kind != "discriminator":
        # BigGAN-PyTorch's last batch norm always has this epsilon. The difference is added to the
        # variance, so that variance + epsilon stays the same.
        made[OUTPUT_VARIANCE] += np.float32(network.output_bn_epsilon - OUTPUT_BN_EPSILON)
    return made


def write_checkpoints(
    networks: Mapping[str, keras.Model], output: str, file_format: str
) -> list[str]:
    """Writes networks to a folder, with the file names of BigGAN-PyTorch.

    Args:
      networks: Networks by the names "generator", "raw_generator" and "discriminator".
      output: Folder to write. It must not exist, or be empty.
      file_format: "pth" or "npz".

    Returns:
      Paths of the networks' files.

    Raises:
      ValueError: BigGAN-PyTorch cannot build a network, there is something at `output`, or "pth" is
        requested and PyTorch is not installed.
    """
    check_new(output)
    save = _saver(file_format)
    dictionaries = {FILES[kind]: state_dict(network, kind) for kind, network in networks.items()}
    if "G" not in dictionaries and "G_ema" in dictionaries:
        # BigGAN-PyTorch's loader needs a G next to G_ema.
        dictionaries["G"] = dictionaries["G_ema"]
    with new_folder(output) as temporary:
        for name, tensors in dictionaries.items():
            save(os.path.join(temporary, f"{name}.{file_format}"), tensors)
        if file_format == "pth":
            _save_progress(os.path.join(temporary, PROGRESS_FILE))
    return [os.path.join(output, f"{name}.{file_format}") for name in dictionaries]


def _check(network):
    checks.require(
        network.factory.num_statistics == 1,
        "BigGAN-PyTorch keeps one set of statistics, not a table over truncation",
        num_statistics=network.factory.num_statistics,
    )
    checks.require(network.num_classes > 0, "BigGAN-PyTorch's networks have classes", num_classes=0)
    checks.require(
        not getattr(network, "rectified_shortcuts", False),
        "BigGAN-PyTorch's shortcuts see features before the ReLU",
        rectified_shortcuts=True,
    )


def _inverse_rules(network, kind) -> list[Rule]:
    if kind == "discriminator":
        transforms = DISCRIMINATOR_LAYOUT.inverses()
        return biggan_pytorch.discriminator_rules(network, transforms)
    transforms = biggan_pytorch.generator_layout(network).inverses()
    return biggan_pytorch.generator_rules(network, transforms=transforms)


def _saver(file_format):
    if file_format == "npz":
        return _save_npz
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ValueError(
            "Writing .pth needs PyTorch: pip install 'tf_biggan[torch]', or --format=npz."
            " Received: --format=pth, without PyTorch."
        ) from error

    def save(path, tensors):
        torch.save({key: torch.from_numpy(np.array(array)) for key, array in tensors.items()}, path)

    return save


def _save_progress(path):
    import torch

    torch.save(dict(PROGRESS), path)


def _save_npz(path, tensors):
    with open(path, "wb") as file:
        np.savez(file, **tensors)
