"""Tables of BigGAN-PyTorch's checkpoints: G, G_ema and D of BigGAN and BigGANdeep.

Gains and offsets are stored as gain - 1 and offset, as here. `sv0` is a log of sigma and
`accumulation_counter` belongs to `--mybn`'s standing statistics; neither is a weight.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tf_biggan.conversion.layouts import DISCRIMINATOR_LAYOUT, SourceLayout
from tf_biggan.conversion.rules import (
    Row,
    Rule,
    Tensor,
    expand,
    load,
    variables_by_path,
)

IGNORED = (r"\.sv\d+$", r"\.accumulation_counter$")

_BIAS = Tensor((".bias",), "/bias", "same")
_U = Tensor((".u0",), "/u", "row")

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


def generator_rules(generator, manual_batch_norm: bool = False) -> list[Rule]:
    """Rules from `G.pth` or `G_ema.pth` to a generator.

    Args:
      generator: the target.
      manual_batch_norm: whether the run used `--mybn`, which nests the statistics.
    """
    inner = ".bn" if manual_batch_norm else ""
    statistics = tuple(Row(f"bn{k}{inner}", f"norm_{k}", "statistics") for k in range(1, 5))
    rows = [*GENERATOR, Row(f"output_layer.0{inner}", "output_norm", "statistics")]
    for index, spec in enumerate(generator.block_specs):
        rows += [row.under(f"blocks.{index}.0", f"block_{index}") for row in (*BLOCK, *statistics)]
        if spec.attention:
            rows += [row.under(f"blocks.{index}.1", f"attention_{index}") for row in ATTENTION]
    layout = SourceLayout.of_generator(generator, embedding_first=True, channels_first=True)
    return expand(rows, KINDS, layout.transforms(), variables_by_path(generator))


def discriminator_rules(discriminator) -> list[Rule]:
    """Rules from `D.pth` to a discriminator."""
    rows = list(DISCRIMINATOR)
    depth = discriminator.depth
    for index, spec in enumerate(discriminator.block_specs):
        stage, inner = divmod(index, depth)
        rows += [row.under(f"blocks.{stage}.{inner}", f"block_{index}") for row in BLOCK]
        if spec.attention:
            prefix = f"blocks.{stage}.{depth}"
            rows += [row.under(prefix, f"attention_{index}") for row in ATTENTION]
    return expand(rows, KINDS, DISCRIMINATOR_LAYOUT.transforms(), variables_by_path(discriminator))


def load_generator(generator, tensors: Mapping[str, np.ndarray]) -> None:
    """Fills a generator from the tensors of `G.pth` or `G_ema.pth`.

    Raises:
      ConversionError: they do not fit each other; the generator is as it was.
    """
    manual_batch_norm = any(key.endswith(".accumulation_counter") for key in tensors)
    load(generator, generator_rules(generator, manual_batch_norm), tensors, IGNORED)


def load_discriminator(discriminator, tensors: Mapping[str, np.ndarray]) -> None:
    """Fills a discriminator from the tensors of `D.pth`; see `load_generator`."""
    load(discriminator, discriminator_rules(discriminator), tensors, IGNORED)
