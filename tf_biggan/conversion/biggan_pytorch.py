"""Tables of the tensors in BigGAN-PyTorch's checkpoints, and checks of the flags of its runs.

The checkpoints hold G, G_ema and D of BigGAN or BigGAN-deep. Conditional batch norms store their
gains as gain - 1, like those of this package.

Some flags of a run change the network, but no tensor shows them. BigGAN-PyTorch stores the flags of
a run under "config" in `state_dict.pth`, next to the weights. If that file is missing, the defaults
of BigGAN-PyTorch are assumed, and the user is told so.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_biggan.conversion import wrappings
from tf_biggan.conversion.readers.files import read_everything
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.conversion.rules import (
    DISCRIMINATOR_LAYOUT,
    ConversionError,
    Row,
    Rule,
    SourceLayout,
    Tables,
    Tensor,
    Transform,
    expand,
    load,
)
from tf_biggan.files import file_system
from tf_biggan.networks.network import variables_by_path

Transforms = Mapping[str, Transform]
COUNTER = ".accumulation_counter"
# With --cross_replica, the keys of running statistics end with this part and one of these names.
# Each name is mapped to the name that it has without the flag. None marks a dropped tensor.
CROSS_REPLICA = ".bn."
CROSS_REPLICA_NAMES = {
    "running_mean": "stored_mean",
    "running_var": "stored_var",
    "num_batches_tracked": None,
}
ADDED_GAIN = (
    "--cross_replica of BigGAN-PyTorch: networks of this package multiply by the gain, like"
    " BigGAN-PyTorch's training on several GPUs. BigGAN-PyTorch's evaluation and its training on"
    " one GPU add the gain instead (its issue 96), so its own samples differ from this package's"
)
IGNORED = {
    r"\.sv\d+$": "sigma, stored for logs only",
    r"\.u[1-9]\d*$": "singular vectors after the first, which no output depends on",
    r"\.accumulation_counter$": "number of batches in --mybn's standing statistics",
}

_BIAS = Tensor((".bias",), "/bias", "same")
_U = Tensor((".u0",), "/u", "u")

KINDS = {
    "conv": (Tensor((".weight",), "/kernel", "conv"), _BIAS, _U),
    "dense": (Tensor((".weight",), "/kernel", "transpose"), _BIAS, _U),
    "first": (
        Tensor((".weight",), "/kernel", "first"),
        Tensor((".bias",), "/bias", "bottom"),
        Tensor((".u0",), "/u", "bottom_row"),
    ),
    "modulation": (Tensor((".weight",), "/kernel", "modulation"), _U),
    "table": (Tensor((".weight",), "/kernel", "same"), _U),
    "statistics": (
        Tensor((".stored_mean",), "/moving_mean", "row"),
        Tensor((".stored_var",), "/moving_variance", "row"),
    ),
    "affine": (
        Tensor((".gain",), "/gain", "same"),
        Tensor((".bias",), "/offset", "same"),
    ),
    "scalar": (Tensor(("",), "", "same"),),
}

GENERATOR = (
    Row("shared", "class_embedding", "table"),
    Row("linear", "first", "first"),
    Row("output_layer.0", "output_norm", "affine"),
    Row("output_layer.2", "to_image", "conv"),
)
DISCRIMINATOR = (
    Row("input_conv", "stem", "conv"),
    Row("linear", "to_logit", "dense"),
    Row("embed", "class_embedding", "table"),
)
BLOCK = (
    *(Row(f"conv{k}", f"conv_{k}", "conv") for k in range(1, 5)),
    *(Row(f"bn{k}.gain", f"norm_{k}/gain", "modulation") for k in range(1, 5)),
    *(Row(f"bn{k}.bias", f"norm_{k}/offset", "modulation") for k in range(1, 5)),
    Row("conv_sc", "shortcut", "conv"),
)
ATTENTION = (
    *(Row(name, name, "conv") for name in ("theta", "phi", "g", "o")),
    Row("gamma", "gamma", "scalar"),
)
TABLES = Tables(
    KINDS, GENERATOR, DISCRIMINATOR, BLOCK, ATTENTION, r"^(blocks\.\d+\.\d+)\.", IGNORED
)
CONFIG, FLAGS, FLAGS_FILE, UNREADABLE = "config", "flags", "flags_file", "unreadable"
# Flag by which a configuration of BigGAN-PyTorch is recognised.
KNOWN_BY = "G_ch"
WEIGHTS_FILE = r"(?:G_ema|G|D)(?P<suffix>_\w+)?\.pth"
RELU = ("relu", "inplace_relu", "ir")
ANY_VALUE = None


def generator_layout(generator) -> SourceLayout:
    """Returns the layout of BigGAN-PyTorch's tensors for a generator.

    BigGAN-PyTorch concatenates [y, z] (class embedding and latent vector) and stores the first
    feature map with channels first.
    """
    return SourceLayout.of_generator(generator, embedding_first=True, channels_first=True)


def is_manual_batch_norm(tensors: Mapping[str, np.ndarray]) -> bool:
    """Returns whether a run used `--mybn`, which adds ".bn" to keys of batch-norm statistics."""
    return any(key.endswith(COUNTER) for key in tensors)


def generator_rules(
    generator, manual_batch_norm: bool = False, transforms: Transforms | None = None
) -> list[Rule]:
    """Returns the rules that convert tensors of `G.pth` or `G_ema.pth` to a generator's variables.

    Args:
      generator: Generator to fill.
      manual_batch_norm: Whether the run used `--mybn`, see `is_manual_batch_norm`.
      transforms: Functions by name, such as `SourceLayout.inverses`. None means
        `SourceLayout.transforms`.
    """
    inner = ".bn" if manual_batch_norm else ""
    statistics = tuple(Row(f"bn{k}{inner}", f"norm_{k}", "statistics") for k in range(1, 5))
    rows = [*GENERATOR, Row(f"output_layer.0{inner}", "output_norm", "statistics")]
    for index, spec in enumerate(generator.block_specs):
        rows += [row.under(f"blocks.{index}.0", f"block_{index}") for row in (*BLOCK, *statistics)]
        if spec.attention:
            rows += [row.under(f"blocks.{index}.1", f"attention_{index}") for row in ATTENTION]
    transforms = transforms or generator_layout(generator).transforms()
    return expand(rows, KINDS, transforms, variables_by_path(generator))


def discriminator_rules(discriminator, transforms: Transforms | None = None) -> list[Rule]:
    """Returns the rules that convert tensors of `D.pth` to a discriminator's variables.

    Args:
      discriminator: Discriminator to fill.
      transforms: See `generator_rules`.
    """
    rows = list(DISCRIMINATOR)
    depth = discriminator.depth
    for index, spec in enumerate(discriminator.block_specs):
        stage, inner = divmod(index, depth)
        rows += [row.under(f"blocks.{stage}.{inner}", f"block_{index}") for row in BLOCK]
        if spec.attention:
            prefix = f"blocks.{stage}.{depth}"
            rows += [row.under(prefix, f"attention_{index}") for row in ATTENTION]
    transforms = transforms or DISCRIMINATOR_LAYOUT.transforms()
    return expand(rows, KINDS, transforms, variables_by_path(discriminator))


def is_cross_replica(tensors: Tensors) -> bool:
    """Returns whether a generator was trained with `--cross_replica`."""
    return any(key.endswith(f"{CROSS_REPLICA}running_mean") for key in tensors)


def with_statistics_names(tensors: Tensors) -> tuple[Tensors, tuple[str, ...]]:
    """Renames batch-norm statistics of a run with `--cross_replica` to the names of other runs.

    Returns:
      A tuple: the tensors, and a sentence for the user about each change.
    """
    if not is_cross_replica(tensors):
        return tensors, ()
    entries = {}
    for key, entry in tensors.entries.items():
        prefix, found, name = key.rpartition(CROSS_REPLICA)
        if not found or name not in CROSS_REPLICA_NAMES:
            entries[key] = entry
        elif CROSS_REPLICA_NAMES[name]:
            entries[f"{prefix}.{CROSS_REPLICA_NAMES[name]}"] = entry
    return Tensors(entries), (
        "running statistics of --cross_replica renamed like those of ordinary batch norms",
    )


def check_norm_style(tensors: Tensors) -> None:
    """Raises ConversionError if a generator's residual blocks have no batch-norm statistics."""
    with_statistics = any(re.search(r"^blocks\..*\.(stored|running)_mean$", k) for k in tensors)
    if not with_statistics and any(re.search(r"^blocks\..*\.gain\.", k) for k in tensors):
        raise ConversionError(
            "Cannot convert a generator that was trained with --norm_style=gn or nonorm: its"
            " blocks have no batch norms, which every generator of this package has. Received: a"
            " file without blocks.*.stored_mean."
        )


def averaged_statistics(tensors: Tensors) -> tuple[Tensors, tuple[str, ...]]:
    """Divides the sums that `--mybn` stores as standing statistics by their number of batches.

    Returns:
      A tuple: the tensors, and a sentence for the user about each change.
    """
    counts = {
        key.removesuffix(COUNTER): float(np.ravel(tensors[key])[0])
        for key in tensors
        if key.endswith(COUNTER)
    }
    summed = {prefix: count for prefix, count in counts.items() if count > 0}
    if not summed:
        return tensors, ()
    entries = dict(tensors.entries)
    for prefix, count in summed.items():
        for name in (".stored_mean", ".stored_var"):
            entries[prefix + name] = _divided(entries[prefix + name], count)
    found = ", ".join(sorted({f"{count:g}" for count in summed.values()}))
    return Tensors(entries), (f"standing statistics divided by their number of batches, {found}",)


def _divided(entry: StoredTensor, count: float) -> StoredTensor:
    return dataclasses.replace(entry, read=lambda: entry.read() / np.float32(count))


def load_generator(generator, tensors: Mapping[str, np.ndarray]) -> None:
    """Assigns the tensors of `G.pth` or `G_ema.pth` to a generator.

    Raises:
      ConversionError: The tensors do not fit the generator. It is then unchanged.
    """
    rules = generator_rules(generator, is_manual_batch_norm(tensors))
    load(generator, rules, tensors, IGNORED)


def load_discriminator(discriminator, tensors: Mapping[str, np.ndarray]) -> None:
    """Assigns the tensors of `D.pth` to a discriminator. Raises the errors of `load_generator`."""
    load(discriminator, discriminator_rules(discriminator), tensors, IGNORED)


@dataclasses.dataclass(frozen=True)
class RunFlag:
    """One flag of BigGAN-PyTorch, and which of its values can be converted.

    Attributes:
      name: Name of the flag, without "--".
      network: Network that the flag concerns, "generator" or "discriminator".
      same: Values for which the converted network is equal to the original. The first one is the
        flag's default.
      here: Text for messages: what networks of this package always have, whatever the value of the
        flag, such as "batch norm".
      warned: Other values that are converted with a warning, or `ANY_VALUE` for all other values.
        A value that is neither in `same` nor in `warned` is refused.
      warning: End of the warning for a value in `warned`. It says what the user must expect, for
        example "images are exact, but further training differs".
      unless: Other flags. If one of them is set, this flag has no effect.
    """

    name: str
    network: str
    same: tuple
    here: str
    warned: tuple | None = ()
    warning: str = ""
    unless: tuple[str, ...] = ()


ONE_STEP = "one step of power iteration in every training forward pass"
IN_TRAINING = "images are exact, but further training differs"
RUN_FLAGS = (
    RunFlag("G_nl", wrappings.GENERATOR, RELU, "the activation ReLU"),
    RunFlag("D_nl", wrappings.DISCRIMINATOR, RELU, "the activation ReLU"),
    RunFlag(
        "norm_style",
        wrappings.GENERATOR,
        ("bn",),
        "batch norm",
        warned=("in",),
        warning=IN_TRAINING,
        unless=("cross_replica", "mybn"),
    ),
    RunFlag("num_G_SV_itrs", wrappings.GENERATOR, (1,), ONE_STEP, ANY_VALUE, IN_TRAINING),
    RunFlag("num_D_SV_itrs", wrappings.DISCRIMINATOR, (1,), ONE_STEP, ANY_VALUE, IN_TRAINING),
    RunFlag(
        "z_var",
        wrappings.GENERATOR,
        (1,),
        "latents of standard deviation 1",
        ANY_VALUE,
        "the generator was trained on latents of the flag's standard deviation",
    ),
)
PARAMETERIZATIONS = {wrappings.GENERATOR: "G_param", wrappings.DISCRIMINATOR: "D_param"}
# Flags of BigGAN-PyTorch, by the names of the network arguments that take their values.
EPSILON_FLAGS = {"sn_epsilon": "SN_eps", "bn_epsilon": "BN_eps"}


def flags_in(contents: Mapping[str, Any], name: str | None = None) -> dict[str, Any]:
    """Returns the flags of a run from the contents of a file, in the form of `Source.settings`.

    Args:
      contents: Contents of the file.
      name: Name of the file, or None if the file also holds the weights.

    Returns:
      A dictionary with the flags under "flags" and the name of their file under "flags_file", or {}
      if the file holds no flags.
    """
    config = contents.get(CONFIG)
    if not isinstance(config, Mapping) or KNOWN_BY not in config:
        return {}
    return {FLAGS: config, FLAGS_FILE: name or "the file itself"}


def flags_beside(files: Sequence[str]) -> dict[str, Any]:
    """Returns a run's flags from the `state_dict.pth` next to files of weights; see `flags_in`.

    Args:
      files: Paths of the weight files.

    Returns:
      A dictionary like that of `flags_in`. It is {} if there is no `state_dict.pth`. If this file
      exists and cannot be read, the dictionary holds only the reason, under "unreadable".
    """
    for file in files:
        folder, name = os.path.split(file)
        match = re.fullmatch(WEIGHTS_FILE, name)
        beside = os.path.join(folder, f"state_dict{match['suffix'] or ''}.pth") if match else ""
        if not file_system.isfile(beside):
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
      ConversionError: A flag has a value whose effect on the output cannot be reproduced by a
        network of this package.
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
                f" {settings[FLAGS_FILE]} says: networks of this package have {row.here}."
            )
        warnings.append(f"{flag}: networks of this package have {row.here}; {row.warning}")
    return tuple(warnings)


def check_buffers(settings: Mapping[str, Any], normalized: Mapping[str, bool]) -> None:
    """Raises ConversionError if a run used spectral norm but its weights lack the singular vectors.

    Args:
      settings: Settings of a source, as `flags_in` returns them.
      normalized: Whether a network's tensors include singular vectors, by the network's name.
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
    """Returns, as text, the flags that are assumed if the weights come without flags."""
    rows = [row for row in RUN_FLAGS if row.network in networks]
    return ", ".join(f"--{row.name}={row.same[0]}" for row in rows)


def epsilons(settings: Mapping[str, Any]) -> dict[str, float]:
    """Returns the epsilons in a run's flags, by the argument names of this package's networks."""
    flags = settings.get(FLAGS, {})
    return {
        argument: float(flags[name])
        for argument, name in EPSILON_FLAGS.items()
        if isinstance(flags.get(name), (int, float)) and not isinstance(flags[name], bool)
    }
