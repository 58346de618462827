"""Tables for checkpoints of BigGAN-PyTorch: G, G_ema and D of BigGAN and BigGAN-deep.

BigGAN-PyTorch stores gains as gain - 1, like this package.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

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
from tf_biggan.networks.network import variables_by_path

Transforms = Mapping[str, Transform]
COUNTER = ".accumulation_counter"
# With --cross_replica, statistics have this prefix and the following names, here mapped to their
# names without the flag. None marks a tensor that is dropped.
CROSS_REPLICA = ".bn."
CROSS_REPLICA_NAMES = {
    "running_mean": "stored_mean",
    "running_var": "stored_var",
    "num_batches_tracked": None,
}
ADDED_GAIN = (
    "--cross_replica of BigGAN-PyTorch: networks here multiply by the gain, as it does in training"
    " on several GPUs; its evaluation and its training on one GPU add the gain instead (its issue"
    " 96), so its own samples differ from the images here"
)
IGNORED = {
    r"\.sv\d+$": "a log of sigma",
    r"\.u[1-9]\d*$": "further singular vectors, which divide no weight",
    r"\.accumulation_counter$": "how many batches --mybn's standing statistics hold",
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


def generator_layout(generator) -> SourceLayout:
    """Returns the layout of BigGAN-PyTorch's tensors: [y, z], first feature map channels first."""
    return SourceLayout.of_generator(generator, embedding_first=True, channels_first=True)


def is_manual_batch_norm(tensors: Mapping[str, np.ndarray]) -> bool:
    """Returns whether a run used `--mybn`, which stores statistics one level deeper (".bn")."""
    return any(key.endswith(COUNTER) for key in tensors)


def generator_rules(
    generator, manual_batch_norm: bool = False, transforms: Transforms | None = None
) -> list[Rule]:
    """Returns the rules that make a generator from the tensors of `G.pth` or `G_ema.pth`.

    Args:
      generator: Generator to fill.
      manual_batch_norm: Whether the run used `--mybn`, see `is_manual_batch_norm`.
      transforms: Functions by name to use instead of `SourceLayout.transforms`.
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
    """Returns the rules that make a discriminator from `D.pth`; see `generator_rules`."""
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
    """Renames the running statistics of `--cross_replica` to their names without that flag.

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
        "running statistics of --cross_replica renamed to those of ordinary batch norms",
    )


def check_norm_style(tensors: Tensors) -> None:
    """Raises ConversionError if a generator's residual blocks have no batch norm statistics."""
    with_statistics = any(re.search(r"^blocks\..*\.(stored|running)_mean$", k) for k in tensors)
    if not with_statistics and any(re.search(r"^blocks\..*\.gain\.", k) for k in tensors):
        raise ConversionError(
            "Cannot convert a generator that was trained with --norm_style=gn or nonorm: its"
            " blocks have no batch norms, and every generator here has them. Received: a file"
            " without blocks.*.stored_mean."
        )


def averaged_statistics(tensors: Tensors) -> tuple[Tensors, tuple[str, ...]]:
    """Divides the standing statistics of `--mybn`, which are sums, by their number of batches.

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
    """Assigns the tensors of `D.pth` to a discriminator; errors as for `load_generator`."""
    load(discriminator, discriminator_rules(discriminator), tensors, IGNORED)
