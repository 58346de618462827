"""Tables for the BigGAN and BigGAN-deep of mmagic and mmediting.

mmagic has two styles of spectral norm, "ajbrock" and "torch". The tables have the keys of the
"ajbrock" style; `spectral_norm_styles` converts tensors of the "torch" style to these keys.

Attention layers are numbered together with the blocks. BigGAN concatenates [y, z] (class embedding
and latent vector) and stores its first feature map with channels first. BigGAN-deep concatenates
[z, y] and stores its first feature map with channels last.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from tf_biggan.conversion.biggan_pytorch import KINDS as AUTHORS_KINDS
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.conversion.rules import (
    DISCRIMINATOR_LAYOUT,
    Row,
    Rule,
    SourceLayout,
    Tables,
    Tensor,
    expand,
    load,
)
from tf_biggan.networks.network import variables_by_path

IGNORED = {
    r"\.sv0$": "sigma, stored for logs only",
    r"\.num_batches_tracked$": "a counter of batches",
}

# For each network: the axis of the image channels, by the pattern of a tensor's key.
CHANNEL_AXES = {
    "generator": {r"^output_layer\.conv\.(weight|bias)$": 0, r"^output_layer\.conv\.u0$": 1},
    "discriminator": {r"^(input_conv|conv_blocks\.0\.(conv1|shortcut))\.conv\.weight$": 1},
}

KINDS = {
    **AUTHORS_KINDS,
    "statistics": (
        Tensor((".running_mean",), "/moving_mean", "row"),
        Tensor((".running_var",), "/moving_variance", "row"),
    ),
    "affine": (
        Tensor((".weight",), "/gain", "same"),
        Tensor((".bias",), "/offset", "same"),
    ),
}

GENERATOR = (
    Row("shared_embedding", "class_embedding", "table"),
    Row("noise2feat", "first", "first"),
    Row("output_layer.bn", "output_norm", "affine"),
    Row("output_layer.bn", "output_norm", "statistics"),
    Row("output_layer.conv", "to_image", "conv"),
)
DISCRIMINATOR = (
    Row("input_conv.conv", "stem", "conv"),
    Row("decision", "to_logit", "dense"),
    Row("proj_y", "class_embedding", "table"),
)
BLOCK = (
    *(Row(f"conv{k}.conv", f"conv_{k}", "conv") for k in range(1, 5)),
    *(Row(f"bn{k}.gain", f"norm_{k}/gain", "modulation") for k in range(1, 5)),
    *(Row(f"bn{k}.bias", f"norm_{k}/offset", "modulation") for k in range(1, 5)),
    *(Row(f"bn{k}.bn", f"norm_{k}", "statistics") for k in range(1, 5)),
    Row("shortcut.conv", "shortcut", "conv"),
)
ATTENTION = (
    *(Row(f"{name}.conv", name, "conv") for name in ("theta", "phi", "g", "o")),
    Row("gamma", "gamma", "scalar"),
)
TABLES = Tables(
    KINDS, GENERATOR, DISCRIMINATOR, BLOCK, ATTENTION, r"^(conv_blocks\.\d+)\.", IGNORED
)


def _block_rows(model) -> list[Row]:
    rows, place = [], 0
    for index, spec in enumerate(model.block_specs):
        rows += [row.under(f"conv_blocks.{place}", f"block_{index}") for row in BLOCK]
        place += 1
        if spec.attention:
            prefix = f"conv_blocks.{place}"
            rows += [row.under(prefix, f"attention_{index}") for row in ATTENTION]
            place += 1
    return rows


def generator_rules(generator) -> list[Rule]:
    """Returns the rules that convert mmagic's tensors to a generator's variables.

    The keys of the tensors have no prefix `generator.` or `generator_ema.module.`.
    """
    deep = generator.architecture.variant == "biggan_deep"
    layout = SourceLayout.of_generator(generator, embedding_first=not deep, channels_first=not deep)
    rows = [*GENERATOR, *_block_rows(generator)]
    return expand(rows, KINDS, layout.transforms(), variables_by_path(generator))


def discriminator_rules(discriminator) -> list[Rule]:
    """Returns the rules that convert mmagic's tensors to a discriminator's variables.

    The keys of the tensors have no prefix `discriminator.`.
    """
    rows = [*DISCRIMINATOR, *_block_rows(discriminator)]
    transforms = DISCRIMINATOR_LAYOUT.transforms()
    return expand(rows, KINDS, transforms, variables_by_path(discriminator))


def load_generator(generator, tensors: Mapping[str, np.ndarray]) -> None:
    """Assigns mmagic's tensors, whose keys have no prefix (see `generator_rules`), to a generator.

    Raises:
      ConversionError: The tensors do not fit the generator. It is then unchanged.
    """
    load(generator, generator_rules(generator), tensors, IGNORED)


def load_discriminator(discriminator, tensors: Mapping[str, np.ndarray]) -> None:
    """Assigns mmagic's tensors to a discriminator. Raises the errors of `load_generator`."""
    load(discriminator, discriminator_rules(discriminator), tensors, IGNORED)


def in_rgb_order(tensors: Tensors, network: str) -> Tensors:
    """Converts the tensors of a network that was trained on BGR images to RGB.

    This reverses the output channels of the generator's last convolution, and the input channels of
    the discriminator's convolutions that see the image.

    Args:
      tensors: Tensors of the network.
      network: "generator" or "discriminator".
    """
    patterns = CHANNEL_AXES[network]
    stem = any(key.startswith("input_conv.") for key in tensors)
    entries = dict(tensors.entries)
    for key, entry in tensors.entries.items():
        axis = next((axis for pattern, axis in patterns.items() if re.search(pattern, key)), None)
        if axis is not None and not (stem and key.startswith("conv_blocks")):
            entries[key] = _reversed(entry, axis)
    return Tensors(entries)


def _reversed(entry: StoredTensor, axis: int) -> StoredTensor:
    return dataclasses.replace(entry, read=lambda: np.flip(entry.read(), axis))


def configuration(settings: Mapping[str, object]) -> str:
    """Returns the text of the mmagic configuration stored with the weights; "" if there is none."""
    meta = settings.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    return str(meta.get("cfg") or meta.get("config") or "")


def relu_in_place(text: str) -> bool | None:
    """Returns whether a configuration's discriminator has in-place ReLUs.

    With in-place ReLUs, the shortcuts see features after the ReLU. The published ImageNet models
    have in-place ReLUs; mmagic's default discriminator has none.

    Args:
      text: Text of the configuration.

    Returns:
      Whether the ReLUs are in place, or None if the text describes no discriminator.
    """
    start = text.find("discriminator=dict(")
    if start < 0:
        return None
    depth = 0
    for end in range(text.index("(", start), len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return bool(re.search(r"inplace\s*=\s*True", text[start:end]))
    return False
