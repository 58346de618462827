"""Our networks as BigGAN-PyTorch's state dictionaries, so that results can be checked there."""

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

# What each network's file is called there; alone, a generator is G.
FILES = {"generator": "G_ema", "raw_generator": "G", "discriminator": "D"}
U, SIGMA_LOG = ".u0", ".sv0"
# What its loader wants beside the networks: a run that has only begun.
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
    """A network's variables by BigGAN-PyTorch's keys, in its layout.

    `sv0`, its log of the last training call's sigma, is 1, as before the first call.

    Args:
      network: one with a single row of statistics. Without spectral norm there is no "u0", as
        with BigGAN-PyTorch's `--G_param=None`.
      kind: "generator", "raw_generator" or "discriminator".

    Raises:
      ValueError: BigGAN-PyTorch has no such network.
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
        # Its last batch norm has this epsilon whatever the flag says; the sum stays what it is.
        made[OUTPUT_VARIANCE] += np.float32(network.output_bn_epsilon - OUTPUT_BN_EPSILON)
    return made


def write_checkpoints(
    networks: Mapping[str, keras.Model], output: str, file_format: str
) -> list[str]:
    """Writes `state_dict` of every network under the names that BigGAN-PyTorch gives its files.

    Args:
      networks: by "generator", "raw_generator" and "discriminator".
      output: folder; must not exist, or be empty.
      file_format: "pth" or "npz".

    Returns:
      The paths of the files.

    Raises:
      ValueError: see `state_dict`; or there is something at `output`; or PyTorch is needed and not
        installed.
    """
    check_new(output)
    save = _saver(file_format)
    dictionaries = {FILES[kind]: state_dict(network, kind) for kind, network in networks.items()}
    if "G" not in dictionaries and "G_ema" in dictionaries:
        # Its loader wants a G beside G_ema.
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
