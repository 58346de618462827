"""Flags of a BigGAN-PyTorch run that change what the weights mean and that no tensor shows.

BigGAN-PyTorch writes a run's flags as "config" to `state_dict.pth`, beside the weights. Where that
file is missing, the reference's defaults are assumed, and the reader is told so.
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
# A flag that every configuration of a run has.
KNOWN_BY = "G_ch"
WEIGHTS_FILE = r"(?:G_ema|G|D)(?P<suffix>_\w+)?\.pth"
RELU = ("relu", "inplace_relu", "ir")
ANY_VALUE = None


@dataclasses.dataclass(frozen=True)
class RunFlag:
    """One flag of the reference.

    Attributes:
      name: the flag, without "--".
      network: the network whose weights it concerns.
      same: the values with which the converted network equals the reference's, the default first.
      here: what the converted network has instead of other values.
      warned: the other values that are converted with a warning; `ANY_VALUE` for all of them.
        A value that is neither is refused.
      warning: what differs then.
      unless: flags that make this one meaningless where they are set.
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
# Arguments of our networks that the reference has flags for.
EPSILONS = {"sn_epsilon": "SN_eps", "bn_epsilon": "BN_eps"}


def flags_in(contents: Mapping[str, Any], name: str | None = None) -> dict[str, Any]:
    """The settings of a source whose contents hold a run's flags; {} without such flags.

    Args:
      contents: of a file.
      name: of the file, if it is another than that of the weights.
    """
    config = contents.get(CONFIG)
    if not isinstance(config, Mapping) or KNOWN_BY not in config:
        return {}
    return {FLAGS: config, FLAGS_FILE: name or "the file itself"}


def flags_beside(files: Sequence[str]) -> dict[str, Any]:
    """The settings of a source from the `state_dict.pth` beside files of weights; {} without it."""
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
      settings: settings of a source, as `flags_in` returns them.
      networks: the networks that are converted, "generator" or "discriminator".

    Raises:
      ConversionError: a flag makes the reference's network another function than ours.
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
                f"A {row.network} of {flag} cannot be converted: networks here have {row.here}."
                f" Received: the flags in {settings[FLAGS_FILE]}."
            )
        warnings.append(f"{flag}: networks here have {row.here}; {row.warning}")
    return tuple(warnings)


def check_buffers(settings: Mapping[str, Any], normalized: Mapping[str, bool]) -> None:
    """Raises ConversionError if a run's spectral norm has left no vectors in the weights.

    Args:
      settings: settings of a source, as `flags_in` returns them.
      normalized: whether a network has the vectors of a spectral norm, by its name.
    """
    flags = settings.get(FLAGS, {})
    for network, flag in PARAMETERIZATIONS.items():
        if not normalized.get(network, True) and flags.get(flag) == "SN":
            raise ConversionError(
                f"A {network} with spectral norm must be saved with its buffers, as state_dict()"
                f" does. Received: one without u0, where {settings[FLAGS_FILE]} has --{flag}=SN."
            )


def assumed_flags(networks: Sequence[str]) -> str:
    """The defaults that are assumed where no flags lie beside the weights."""
    rows = [row for row in RUN_FLAGS if row.network in networks]
    return ", ".join(f"--{row.name}={row.same[0]}" for row in rows)


def epsilons(settings: Mapping[str, Any]) -> dict[str, float]:
    """The epsilons that a run's flags say, by the names of our arguments."""
    flags = settings.get(FLAGS, {})
    return {
        argument: float(flags[name])
        for argument, name in EPSILONS.items()
        if isinstance(flags.get(name), (int, float)) and not isinstance(flags[name], bool)
    }
