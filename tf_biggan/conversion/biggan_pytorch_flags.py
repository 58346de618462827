"""Reads and checks flags of a BigGAN-PyTorch run that change the network but show in no tensor.

BigGAN-PyTorch stores the flags of a run under "config" in `state_dict.pth`, next to the weights. If
that file is missing, the defaults of BigGAN-PyTorch are assumed, and the user is told so.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tf_biggan.conversion.readers.files import read_everything
from tf_biggan.conversion.rules import ConversionError
from tf_biggan.conversion.wrappings import DISCRIMINATOR, GENERATOR

CONFIG, FLAGS, FLAGS_FILE, UNREADABLE = "config", "flags", "flags_file", "unreadable"
# Flag by which a configuration of BigGAN-PyTorch is recognised.
KNOWN_BY = "G_ch"
WEIGHTS_FILE = r"(?:G_ema|G|D)(?P<suffix>_\w+)?\.pth"
RELU = ("relu", "inplace_relu", "ir")
ANY_VALUE = None


@dataclasses.dataclass(frozen=True)
class RunFlag:
    """One flag of BigGAN-PyTorch and the values that can be converted.

    Attributes:
      name: Name of the flag, without "--".
      network: Network that the flag concerns, "generator" or "discriminator".
      same: Values for which the converted network is equal to the original. The first one is the
        flag's default.
      here: Text that says what the converted network has, whatever the value.
      warned: Other values that are converted with a warning, or `ANY_VALUE` for all other values.
        A value in neither list is refused.
      warning: Text that says what differs for these values.
      unless: Flags that make this flag ineffective if they are set.
    """

    name: str
    network: str
    same: tuple
    here: str
    warned: tuple | None = ()
    warning: str = ""
    unless: tuple[str, ...] = ()


ONE_STEP = "one step of power iteration in every training forward"
IN_TRAINING = "images are exact, and further training differs"
RUN_FLAGS = (
    RunFlag("G_nl", GENERATOR, RELU, "the activation ReLU"),
    RunFlag("D_nl", DISCRIMINATOR, RELU, "the activation ReLU"),
    RunFlag(
        "norm_style",
        GENERATOR,
        ("bn",),
        "batch norm",
        warned=("in",),
        warning=IN_TRAINING,
        unless=("cross_replica", "mybn"),
    ),
    RunFlag("num_G_SV_itrs", GENERATOR, (1,), ONE_STEP, ANY_VALUE, IN_TRAINING),
    RunFlag("num_D_SV_itrs", DISCRIMINATOR, (1,), ONE_STEP, ANY_VALUE, IN_TRAINING),
    RunFlag(
        "z_var",
        GENERATOR,
        (1,),
        "latents of standard deviation 1",
        ANY_VALUE,
        "the generator was trained on latents of the flag's standard deviation",
    ),
)
PARAMETERIZATIONS = {GENERATOR: "G_param", DISCRIMINATOR: "D_param"}
# Flags of BigGAN-PyTorch, by the names of the network arguments that take their values.
EPSILONS = {"sn_epsilon": "SN_eps", "bn_epsilon": "BN_eps"}


def flags_in(contents: Mapping[str, Any], name: str | None = None) -> dict[str, Any]:
    """Returns a run's flags, if the contents of a file hold them, as settings of a source.

    Args:
      contents: Contents of the file.
      name: Name of the file, or None if it is the file of the weights.

    Returns:
      The flags under "flags" and the name of their file under "flags_file", or {} if the file holds
      no flags.
    """
    config = contents.get(CONFIG)
    if not isinstance(config, Mapping) or KNOWN_BY not in config:
        return {}
    return {FLAGS: config, FLAGS_FILE: name or "the file itself"}


def flags_beside(files: Sequence[str]) -> dict[str, Any]:
    """Returns a run's flags from the `state_dict.pth` next to files of weights; see `flags_in`.

    Args:
      files: Paths of the files of weights.

    Returns:
      The settings, {} if there is no such file, or the reason under "unreadable" if it cannot be
      read.
    """
    for file in files:
        folder, name = os.path.split(file)
        match = re.fullmatch(WEIGHTS_FILE, name)
        beside = os.path.join(folder, f"state_dict{match['suffix'] or ''}.pth") if match else ""
        if not os.path.isfile(beside):
            continue
        try:
            return flags_in(read_everything(beside), os.path.basename(beside))
        except (OSError, ValueError) as error:
            return {UNREADABLE: f"{os.path.basename(beside)}: {error}"}
    return {}


def check_flags(settings: Mapping[str, Any], networks: Sequence[str]) -> tuple[str, ...]:
    """Returns a warning for each flag whose effect is not converted.

    Args:
      settings: Settings of a source, as `flags_in` returns them.
      networks: Names of the networks that are converted.

    Raises:
      ConversionError: A flag has a value with which no network of this package gives the same
        output.
    """
    flags, warnings = settings.get(FLAGS, {}), []
    for row in RUN_FLAGS:
        value = flags.get(row.name, row.same[0])
        unused = any(flags.get(name) for name in row.unless) or row.network not in networks
        if unused or value in row.same:
            continue
        flag = f"--{row.name}={value} of BigGAN-PyTorch"
        if row.warned is not ANY_VALUE and value not in row.warned:
            raise ConversionError(
                f"Cannot convert a {row.network} that was trained with {flag}, as"
                f" {settings[FLAGS_FILE]} says: networks here have {row.here}."
            )
        warnings.append(f"{flag}: networks here have {row.here}; {row.warning}")
    return tuple(warnings)


def check_buffers(settings: Mapping[str, Any], normalized: Mapping[str, bool]) -> None:
    """Raises ConversionError if a run used spectral norm but its weights lack the singular vectors.

    Args:
      settings: Settings of a source, as `flags_in` returns them.
      normalized: Whether the tensors of each network include singular vectors, by its name.
    """
    flags = settings.get(FLAGS, {})
    for network, flag in PARAMETERIZATIONS.items():
        if not normalized.get(network, True) and flags.get(flag) == "SN":
            raise ConversionError(
                f"Cannot convert the {network}: it was trained with spectral norm"
                f" (--{flag}=SN in {settings[FLAGS_FILE]}), and its file has no vectors u0."
                " Save it with state_dict(), which includes buffers."
            )


def assumed_flags(networks: Sequence[str]) -> str:
    """Returns the flags that are assumed if no flags lie next to the weights, as text."""
    rows = [row for row in RUN_FLAGS if row.network in networks]
    return ", ".join(f"--{row.name}={row.same[0]}" for row in rows)


def epsilons(settings: Mapping[str, Any]) -> dict[str, float]:
    """Returns the epsilons in a run's flags, by the names of the network arguments."""
    flags = settings.get(FLAGS, {})
    return {
        argument: float(flags[name])
        for argument, name in EPSILONS.items()
        if isinstance(flags.get(name), (int, float)) and not isinstance(flags[name], bool)
    }
