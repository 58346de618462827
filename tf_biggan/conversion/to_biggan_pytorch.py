"""Writes networks as checkpoints of BigGAN-PyTorch, and finds the arguments of its classes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from tf_biggan import checks
from tf_biggan.conversion import biggan_pytorch
from tf_biggan.conversion.rules import DISCRIMINATOR_LAYOUT, Rule
from tf_biggan.files.atomic import check_new, new_folder
from tf_biggan.networks.architectures import ARCHITECTURES, Architecture, Trunk
from tf_biggan.networks.network import variables_by_path

# Names of BigGAN-PyTorch's files, by network. A generator without a "raw_generator" is written as
# both G_ema and G.
FILES = {"generator": "G_ema", "raw_generator": "G", "discriminator": "D"}
U, SIGMA_LOG = ".u0", ".sv0"
# BigGAN-PyTorch's loader also needs a file with the progress of the run. It is written as for a run
# that has just begun.
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
# Architectures of this package whose widths are in BigGAN-PyTorch's tables. BigGAN-PyTorch has no
# BigGAN-deep above 256x256 pixels and no discriminator for 512x512.
DEEP_TABLE = tuple(f"biggan_deep{size}" for size in (32, 64, 128, 256))
TABLE = tuple(f"biggan{size}" for size in (32, 64, 128, 256))
TABLES = {
    ("biggan", "generator"): (*TABLE, "biggan512"),
    ("biggan", "discriminator"): TABLE,
    ("biggan_deep", "generator"): DEEP_TABLE,
    ("biggan_deep", "discriminator"): DEEP_TABLE,
}
MODULES = {"biggan": "BigGAN", "biggan_deep": "BigGANdeep"}
# BigGAN-PyTorch's table for discriminators of 32x32 pixels lists 16 as the size after every block.
SIZES_OF_D32 = (16, 16, 16, 16)


def state_dict(network: keras.Model, kind: str) -> dict[str, np.ndarray]:
    """Returns a network's variables with the keys and layouts of BigGAN-PyTorch.

    `sv0`, in which BigGAN-PyTorch logs the sigma of the last training step, is 1 as in a new
    network.

    Args:
      network: Network whose batch norms have one row of statistics. If the network has no spectral
        norm, the result has no "u0", as with `--G_param=None` of BigGAN-PyTorch.
      kind: "generator", "raw_generator" or "discriminator".

    Raises:
      ValueError: BigGAN-PyTorch cannot build the network.
    """
    _check(network)
    rules = _inverse_rules(network, kind)
    variables = variables_by_path(network)
    unknown = sorted(set(variables) - {rule.target for rule in rules})
    checks.require(
        not unknown,
        "BigGAN-PyTorch has no layers for these variables, so the model cannot be written for it",
        unknown=unknown,
    )
    made = {}
    for rule in rules:
        (key,) = rule.sources
        made[key] = np.array(rule.transform(np.asarray(variables[rule.target])), order="C")
        if key.endswith(U):
            made[key.removesuffix(U) + SIGMA_LOG] = np.ones(1, "float32")
    if kind != "discriminator":
        # BigGAN-PyTorch's last batch norm always has the epsilon OUTPUT_BN_EPSILON. The difference
        # is added to the variance, so that variance + epsilon stays the same.
        made[OUTPUT_VARIANCE] += np.float32(network.output_bn_epsilon - OUTPUT_BN_EPSILON)
    return made


def write_checkpoints(
    networks: Mapping[str, keras.Model], output: str, file_format: str
) -> list[str]:
    """Writes networks to a folder, with the file names of BigGAN-PyTorch.

    Args:
      networks: Networks by the names "generator", "raw_generator" and "discriminator".
      output: Folder to write. It must be new or empty.
      file_format: "pth" or "npz".

    Returns:
      Paths of the networks' files.

    Raises:
      ValueError: BigGAN-PyTorch cannot build a network, `output` exists and is not an empty folder,
        or "pth" is requested and PyTorch is not installed.
    """
    check_new(output)
    save = _saver(file_format)
    dictionaries = {FILES[kind]: state_dict(network, kind) for kind, network in networks.items()}
    if "G" not in dictionaries and "G_ema" in dictionaries:
        # BigGAN-PyTorch's loader needs a G next to G_ema.
        dictionaries["G"] = dictionaries["G_ema"]
    first, *_ = dictionaries
    with new_folder(output, last=f"{first}.{file_format}") as temporary:
        for name, tensors in dictionaries.items():
            save(os.path.join(temporary, f"{name}.{file_format}"), tensors)
        if file_format == "pth":
            _save_progress(os.path.join(temporary, PROGRESS_FILE))
    return [os.path.join(output, f"{name}.{file_format}") for name in dictionaries]


def _check(network):
    checks.require(
        network.factory.num_statistics == 1,
        "the model cannot be written for BigGAN-PyTorch, which keeps one set of batch-norm"
        " statistics, not one set for each truncation",
        num_statistics=network.factory.num_statistics,
    )
    checks.require(
        network.num_classes > 0,
        "the model cannot be written for BigGAN-PyTorch, whose networks always have classes",
        num_classes=0,
    )
    checks.require(
        not getattr(network, "rectified_shortcuts", False),
        "the model cannot be written for BigGAN-PyTorch, because the shortcuts of its"
        " discriminators see features before the ReLU",
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
    checks.require_packages(
        "Cannot write .pth files, because PyTorch is not installed. Run pip install"
        " 'tf_biggan[torch]', or use --format=npz.",
        "torch",
    )
    import torch

    def save(path, tensors):
        torch.save({key: torch.from_numpy(np.array(array)) for key, array in tensors.items()}, path)

    return save


def _save_progress(path):
    import torch

    torch.save(dict(PROGRESS), path)


def _save_npz(path, tensors):
    with open(path, "wb") as file:
        np.savez(file, **tensors)


def argument_lines(networks: Mapping[str, keras.Model]) -> list[str]:
    """Returns lines for the user with the calls that build the networks in BigGAN-PyTorch.

    Args:
      networks: Networks by the names "generator", "raw_generator" and "discriminator". Both
        generators have the same arguments.
    """
    sides = {kind.removeprefix("raw_"): network for kind, network in networks.items()}
    lines = ["Arguments of BigGAN-PyTorch's classes for these files:"]
    for side, network in sides.items():
        variant = network.architecture.variant
        name = f"{MODULES[variant]}.{side.capitalize()}"
        problems = list(_problems(network, side))
        if problems:
            lines.append(f"  {name}: none, because {' and '.join(problems)}")
            continue
        values = constructor_arguments(network, side)
        lines.append(f"  {name}({', '.join(f'{key}={value!r}' for key, value in values.items())})")
    return lines


def constructor_arguments(network: keras.Model, side: str) -> dict[str, object]:
    """Returns the arguments, by name, with which BigGAN-PyTorch's class builds a network.

    Arguments for optimisers, initialisers and mixed precision are left out, because the output of
    the network does not depend on them.

    Args:
      network: Network that BigGAN-PyTorch can build.
      side: "generator" or "discriminator".
    """
    config = network.get_config()
    prefix = side[0].upper()
    made = {f"{prefix}_ch": config["base_channels"]}
    if network.architecture.variant == "biggan_deep":
        made[f"{prefix}_depth"] = config["depth"]
    made["resolution"] = _row(network, side).resolution
    made[f"{prefix}_attn"] = _attention(network, side)
    made["n_classes"] = config["num_classes"]
    if side == "discriminator":
        made["D_wide"] = config["wide"]
    else:
        shared = config["embedding_dim"]
        made |= {
            "dim_z": config["latent_dim"],
            "bottom_width": config["bottom_size"][0],
            "G_shared": bool(shared),
            "shared_dim": shared,
            "hier": config["latent_injection"] != "first",
            "cross_replica": False,
            "mybn": False,
            "norm_style": "bn",
            "BN_eps": config["bn_epsilon"],
        }
    if not config["spectral_norm"]:
        return made | {f"{prefix}_param": "None"}
    made["SN_eps"] = config["sn_epsilon"]
    return made | {f"{prefix}_param": "SN", f"num_{prefix}_SVs": 1, f"num_{prefix}_SV_itrs": 1}


def _problems(network, side) -> Iterator[str]:
    """Yields the reasons why BigGAN-PyTorch's class cannot build the network."""
    config, row = network.get_config(), _row(network, side)
    if row is None:
        yield "BigGAN-PyTorch's tables have no network of these widths"
    elif _attention(network, side) is None:
        yield "BigGAN-PyTorch places attention by image size, and no choice of sizes gives this one"
    if config["image_channels"] != 3:
        yield f"BigGAN-PyTorch's images have 3 channels, not {config['image_channels']}"
    if len(set(config.get("bottom_size", (4, 4)))) != 1:
        yield "BigGAN-PyTorch's images are square"


def _row(network, side) -> Architecture | None:
    """Returns the architecture in BigGAN-PyTorch's tables with the network's widths, or None."""
    own = network.architecture
    rows = [ARCHITECTURES[name] for name in TABLES[own.variant, side]]
    widths = _plan(getattr(own, side))
    return next((row for row in rows if _plan(getattr(row, side)) == widths), None)


def _plan(trunk: Trunk) -> tuple:
    return trunk.widths, trunk.resample


def _attention(network, side) -> str | None:
    """Returns BigGAN-PyTorch's attention argument, such as "64" or "32_64".

    The argument lists image sizes. Self-attention follows every block with one of these output
    sizes. None is returned if the network's attention cannot be described in this way.
    """
    sizes = _sizes(network, side)
    stages = tuple(network.get_config()["attention_stages"])
    chosen = sorted({sizes[stage] for stage in stages})
    # A size in the argument adds attention after every block of that size.
    if tuple(i for i, size in enumerate(sizes) if size in chosen) != tuple(sorted(stages)):
        return None
    return "_".join(map(str, chosen)) or "0"


def _sizes(network, side) -> Sequence[int]:
    """Returns the image size after every stage, according to BigGAN-PyTorch's tables."""
    row = _row(network, side)
    if side == "discriminator" and row.resolution == 32:
        return SIZES_OF_D32[: len(row.discriminator.resample)]
    size, sizes = (4 if side == "generator" else row.resolution), []
    for resample in getattr(row, side).resample:
        size = size if not resample else size * 2 if side == "generator" else size // 2
        sizes.append(size)
    return sizes
