"""Finds the constructor arguments with which BigGAN-PyTorch builds the same network.

BigGAN-PyTorch looks up the widths of a network in tables by `resolution`. A network with other
widths therefore has no such arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import keras

from tf_biggan.networks.architectures import ARCHITECTURES, Architecture, Trunk

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
# BigGAN-PyTorch's table for discriminators of 32x32 pixels gives 16 as the size after every block.
SIZES_OF_D32 = (16, 16, 16, 16)


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
    """Returns the arguments of BigGAN-PyTorch's class, by name.

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
    """Yields reasons why no arguments of BigGAN-PyTorch's class give this network."""
    config, row = network.get_config(), _row(network, side)
    if row is None:
        yield "its tables have no network of these widths"
    elif _attention(network, side) is None:
        yield "its attention cannot be chosen by image sizes"
    if config["image_channels"] != 3:
        yield f"its images have 3 channels, not {config['image_channels']}"
    if len(set(config.get("bottom_size", (4, 4)))) != 1:
        yield "its images are square"


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

    The argument lists image sizes: attention follows the blocks with these output sizes. None is
    returned if the network's attention cannot be described in this way.
    """
    sizes = _sizes(network, side)
    stages = tuple(network.get_config()["attention_stages"])
    chosen = sorted({sizes[stage] for stage in stages})
    # A size in the argument adds attention after every block of that size.
    if tuple(i for i, size in enumerate(sizes) if size in chosen) != tuple(sorted(stages)):
        return None
    return "_".join(map(str, chosen)) or "0"


def _sizes(network, side) -> Sequence[int]:
    """Returns the image size after every stage, as BigGAN-PyTorch's tables give it."""
    row = _row(network, side)
    if side == "discriminator" and row.resolution == 32:
        return SIZES_OF_D32[: len(row.discriminator.resample)]
    size, sizes = (4 if side == "generator" else row.resolution), []
    for resample in getattr(row, side).resample:
        size = size if not resample else size * 2 if side == "generator" else size // 2
        sizes.append(size)
    return sizes
