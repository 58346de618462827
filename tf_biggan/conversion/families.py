"""Each code base in one row: its names, its rules, its habits that no tensor shows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from tf_biggan.conversion import biggan_pytorch, huggingface, mmagic, studiogan, tfhub
from tf_biggan.conversion.names import (
    BIGGAN_PYTORCH,
    HUGGINGFACE,
    MMAGIC,
    STUDIOGAN,
    TFHUB,
)
from tf_biggan.conversion.readers.tensorflow import Graph
from tf_biggan.conversion.readers.tensors import Tensors
from tf_biggan.conversion.rules import Rule
from tf_biggan.conversion.sources import GENERATOR, RAW_GENERATOR, Source
from tf_biggan.conversion.spectral_norm_styles import with_authors_keys
from tf_biggan.conversion.tables import Tables

IMAGENET_SN, CIFAR_SN = 1e-6, 1e-8
CHANNEL_ORDERS = ("rgb", "bgr")
FOLDED = "sigma is folded into the kernels; the generator has no spectral norm of its own"


@dataclasses.dataclass(frozen=True)
class Choices:
    """What the command line says; None where the checkpoint or the family decides."""

    resolution: int | None = None
    num_classes: int | None = None
    sn_epsilon: float | None = None
    bn_epsilon: float | None = None
    output_bn_epsilon: float | None = None
    channel_order: str | None = None
    attention_block: int | None = None


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A network's tensors under the names of its family's tables, and what was done to them."""

    tensors: Tensors
    changes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Family:
    """One code base.

    Attributes:
      tables: its names.
      prepare: (source, network, choices) to that network's `Prepared`.
      generator_rules, discriminator_rules: (model, tensors) to rules.
      epsilons: whether there is a shared class embedding, to sn_epsilon, bn_epsilon and
        output_bn_epsilon as published.
      arguments: of our networks, beyond those that are found.
    """

    tables: Tables
    prepare: Callable[[Source, str, Choices], Prepared]
    generator_rules: Callable[[Any, Tensors], list[Rule]]
    discriminator_rules: Callable[[Any, Tensors], list[Rule]] | None
    epsilons: Callable[[bool], Mapping[str, float]]
    arguments: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)


def _authors_epsilons(shared: bool) -> dict[str, float]:
    sn = IMAGENET_SN if shared else CIFAR_SN
    return dict(sn_epsilon=sn, bn_epsilon=1e-5, output_bn_epsilon=1e-5)


def _prepare_authors(source, network, choices):
    return Prepared(*biggan_pytorch.averaged_statistics(source.networks[network]))


def _prepare_huggingface(source, network, choices):
    tensors = source.networks[network]
    outputs = tensors.shapes.get("generator.conv_to_rgb.bias", (3,))[0]
    cut = () if outputs == 3 else (_cut(outputs),)
    return Prepared(tensors, (FOLDED, *cut))


def _cut(outputs):
    return f"the image's convolution has {outputs} outputs; after folding the first 3 are kept"


def _prepare_mmagic(source, network, choices):
    order = choices.channel_order or _channel_order(source)
    tensors, changes = with_authors_keys(source.networks[network])
    if order == "bgr":
        side = "generator" if network in (GENERATOR, RAW_GENERATOR) else network
        tensors = mmagic.in_rgb_order(tensors, side)
        changes += ("trained on BGR images: the channels of the image are turned to RGB",)
    return Prepared(tensors, changes)


def _channel_order(source) -> str:
    """From the configuration in the file, else from the name that mmagic gave it."""
    text = str((source.settings.get("meta") or {}).get("cfg") or "")
    if re.search(r"rgb2bgr\s*=\s*True", text):
        return "rgb"
    if match := re.search(r"output_channel_order\s*=\s*['\"](RGB|BGR)", text):
        return match[1].lower()
    if re.search(r"rgb_to_bgr\s*=\s*True", text):
        return "bgr"
    if re.search(r"[-_]rgb[-_]", source.path):
        return "rgb"
    raise ValueError(
        "Whether a network was trained on RGB or on BGR images must be known: `--channel_order=rgb`"
        " or `--channel_order=bgr` is needed; its configuration says it as output_channel_order."
        f" Received: {source.path}, which does not say."
    )


def _prepare_studiogan(source, network, choices):
    return Prepared(*with_authors_keys(source.networks[network]))


def _prepare_tfhub(source, network, choices):
    variables, replaced = tfhub.averages(source.networks[network])
    after = choices.attention_block
    tensors = tfhub.with_port_names(variables, after)
    outputs = tensors.shapes.get("generator.conv_to_rgb.bias", (3,))[0]
    changes = (FOLDED,) if outputs == 3 else (FOLDED, _cut(outputs))
    if replaced:
        changes += (f"{replaced} raw values left aside: their moving averages are used",)
    if "generator.bn.running_means" in tensors:
        counts = tfhub.accumulation_counts(variables)
        changes += (
            "statistics of truncation 1, used as they are stored, undivided, as in the authors'"
            f" converter; their counters say {counts}",
        )
        return Prepared(tensors, changes)
    statistics = tfhub.statistics_of_truncations(Graph(source.path), tensors)
    changes += ("statistics of every truncation read from the constants of the graph",)
    return Prepared(Tensors({**tensors.entries, **statistics.entries}), changes)


def _hub_epsilons(shared: bool) -> dict[str, float]:
    return dict(bn_epsilon=1e-4, output_bn_epsilon=1e-4)


def _port_rules(generator, tensors):
    return huggingface.generator_rules(generator)


_FOLDED = {"generator": {"spectral_norm": False}}
FAMILIES = {
    BIGGAN_PYTORCH: Family(
        biggan_pytorch.TABLES,
        _prepare_authors,
        lambda model, tensors: biggan_pytorch.generator_rules(
            model, biggan_pytorch.is_manual_batch_norm(tensors)
        ),
        lambda model, tensors: biggan_pytorch.discriminator_rules(model),
        _authors_epsilons,
    ),
    HUGGINGFACE: Family(
        huggingface.TABLES, _prepare_huggingface, _port_rules, None, _hub_epsilons, _FOLDED
    ),
    MMAGIC: Family(
        mmagic.TABLES,
        _prepare_mmagic,
        lambda model, tensors: mmagic.generator_rules(model),
        lambda model, tensors: mmagic.discriminator_rules(model),
        _authors_epsilons,
    ),
    STUDIOGAN: Family(
        studiogan.TABLES,
        _prepare_studiogan,
        lambda model, tensors: studiogan.generator_rules(model),
        lambda model, tensors: studiogan.discriminator_rules(model),
        lambda shared: dict(sn_epsilon=IMAGENET_SN, bn_epsilon=1e-4, output_bn_epsilon=1e-4),
        {"discriminator": {"rectified_shortcuts": True}},
    ),
    TFHUB: Family(huggingface.TABLES, _prepare_tfhub, _port_rules, None, _hub_epsilons, _FOLDED),
}
