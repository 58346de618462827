"""Each code base in one row: its names, its rules, its habits that no tensor shows."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from tf_biggan import checks
from tf_biggan.conversion import (
    biggan_pytorch,
    biggan_pytorch_flags,
    huggingface,
    mmagic,
    studiogan,
    tfhub,
)
from tf_biggan.conversion.readers.tensorflow import Graph
from tf_biggan.conversion.readers.tensors import Tensors
from tf_biggan.conversion.rules import (
    BIGGAN_PYTORCH,
    HUGGINGFACE,
    MMAGIC,
    STUDIOGAN,
    TFHUB,
    Rule,
    Tables,
)
from tf_biggan.conversion.spectral_norm_styles import is_normalized, with_authors_keys
from tf_biggan.conversion.weight_sources import DISCRIMINATOR, GENERATOR, RAW_GENERATOR, Source

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
    rectified_shortcuts: bool | None = None


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
      epsilons: whether there is a shared class embedding, to sn_epsilon, bn_epsilon and, where
        it is another, output_bn_epsilon as published.
      arguments: (source, choices) to arguments of our networks that no shape shows, by network.
      said_epsilons: settings beside the weights to the epsilons that they say.
      warnings: source to sentences about what differs from its code base.
      assumptions: source to what is assumed because no tensor shows it, by name.
      own_choices: choices that this family alone has a use for.
      no_choices: choices that it has no use for.
    """

    tables: Tables
    prepare: Callable[[Source, str, Choices], Prepared]
    generator_rules: Callable[[Any, Tensors], list[Rule]]
    discriminator_rules: Callable[[Any, Tensors], list[Rule]] | None
    epsilons: Callable[[bool], Mapping[str, float]]
    arguments: Callable[[Source, Choices], Mapping[str, dict]] = lambda source, choices: {}
    said_epsilons: Callable[[Mapping], Mapping[str, float]] = lambda settings: {}
    warnings: Callable[[Source], tuple[str, ...]] = lambda source: ()
    assumptions: Callable[[Source], Mapping[str, str]] = lambda source: {}
    own_choices: tuple[str, ...] = ()
    no_choices: tuple[str, ...] = ()


def _authors_epsilons(shared: bool) -> dict[str, float]:
    sn = IMAGENET_SN if shared else CIFAR_SN
    return dict(sn_epsilon=sn, bn_epsilon=1e-5)


def _prepare_authors(source, network, choices):
    tensors = source.networks[network]
    biggan_pytorch.check_norm_style(tensors)
    tensors, renamed = biggan_pytorch.with_statistics_names(tensors)
    tensors, averaged = biggan_pytorch.averaged_statistics(tensors)
    return Prepared(tensors, (*renamed, *averaged))


def _authors_warnings(source):
    networks = source.networks
    warnings = biggan_pytorch_flags.check_flags(source.settings, tuple(networks))
    normalized = {name: is_normalized(tensors) for name, tensors in networks.items()}
    biggan_pytorch_flags.check_buffers(source.settings, normalized)
    added = any(biggan_pytorch.is_cross_replica(tensors) for tensors in networks.values())
    return (*warnings, biggan_pytorch.ADDED_GAIN) if added else warnings


def _authors_assumptions(source):
    settings = source.settings
    if biggan_pytorch_flags.FLAGS in settings:
        return {"flags": f"those of the run, from {settings[biggan_pytorch_flags.FLAGS_FILE]}"}
    assumed = biggan_pytorch_flags.assumed_flags(tuple(source.networks))
    unreadable = settings.get(biggan_pytorch_flags.UNREADABLE)
    reason = f"cannot be read ({unreadable})" if unreadable else "not beside the weights"
    return {"flags": f"{reason}; assumed: {assumed}"}


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
    if order == "rgb":
        return Prepared(tensors, (*changes, "trained on RGB images"))
    side = "generator" if network in (GENERATOR, RAW_GENERATOR) else network
    turned = "trained on BGR images: the channels of the image are turned to RGB"
    return Prepared(mmagic.in_rgb_order(tensors, side), (*changes, turned))


def _channel_order(source) -> str:
    """From the configuration in the file, else from the name that mmagic gave it."""
    text = mmagic.configuration(source.settings)
    if re.search(r"rgb2bgr\s*=\s*True", text):
        return "rgb"
    if match := re.search(r"output_channel_order\s*=\s*['\"](RGB|BGR)", text):
        return match[1].lower()
    if re.search(r"rgb_to_bgr\s*=\s*True", text):
        return "bgr"
    if re.search(r"[-_]rgb[-_]", os.path.basename(source.path)):
        return "rgb"
    raise ValueError(
        "Whether a network was trained on RGB or on BGR images must be known: `--channel_order=rgb`"
        " or `--channel_order=bgr` is needed; its configuration says it as output_channel_order."
        f" Received: {source.path}, which does not say."
    )


def _mmagic_arguments(source, choices):
    """Its discriminator's ReLUs work in place where the configuration says so."""
    said = mmagic.relu_in_place(mmagic.configuration(source.settings))
    rectified = said if choices.rectified_shortcuts is None else choices.rectified_shortcuts
    checks.require(
        rectified is not None or DISCRIMINATOR not in source.networks,
        "whether a discriminator's ReLUs work in place must be known: `--rectified_shortcuts` (as"
        " mmagic's ImageNet models) or `--norectified_shortcuts` (as its CIFAR-10 one) is needed,"
        " for the file holds no configuration of it",
        path=source.path,
    )
    return {"discriminator": {"rectified_shortcuts": bool(rectified)}}


def _prepare_studiogan(source, network, choices):
    return Prepared(*with_authors_keys(source.networks[network]))


def _prepare_tfhub(source, network, choices):
    variables, replaced = tfhub.averages(source.networks[network])
    after = choices.attention_block
    tensors = tfhub.with_port_names(variables, after)
    outputs = tensors.shapes.get("generator.conv_to_rgb.bias", (3,))[0]
    changes = (FOLDED,) if outputs == 3 else (FOLDED, _cut(outputs))
    changes += tuple(
        f"{count} variables left aside: {reason}"
        for pattern, reason in tfhub.IGNORED.items()
        if (count := sum(bool(re.search(pattern, name)) for name in variables))
    )
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
    return dict(bn_epsilon=1e-4)


def _port_rules(generator, tensors):
    return huggingface.generator_rules(generator)


FAMILIES = {
    BIGGAN_PYTORCH: Family(
        biggan_pytorch.TABLES,
        _prepare_authors,
        lambda model, tensors: biggan_pytorch.generator_rules(
            model, biggan_pytorch.is_manual_batch_norm(tensors)
        ),
        lambda model, tensors: biggan_pytorch.discriminator_rules(model),
        # Its flag for batch norms does not reach the last one.
        lambda shared: {**_authors_epsilons(shared), "output_bn_epsilon": 1e-5},
        said_epsilons=biggan_pytorch_flags.epsilons,
        warnings=_authors_warnings,
        assumptions=_authors_assumptions,
    ),
    HUGGINGFACE: Family(
        huggingface.TABLES,
        _prepare_huggingface,
        _port_rules,
        None,
        _hub_epsilons,
        said_epsilons=lambda settings: {"bn_epsilon": settings["eps"]} if "eps" in settings else {},
        no_choices=("sn_epsilon",),
    ),
    MMAGIC: Family(
        mmagic.TABLES,
        _prepare_mmagic,
        lambda model, tensors: mmagic.generator_rules(model),
        lambda model, tensors: mmagic.discriminator_rules(model),
        _authors_epsilons,
        _mmagic_arguments,
        own_choices=("channel_order", "rectified_shortcuts"),
    ),
    STUDIOGAN: Family(
        studiogan.TABLES,
        _prepare_studiogan,
        lambda model, tensors: studiogan.generator_rules(model),
        lambda model, tensors: studiogan.discriminator_rules(model),
        lambda shared: dict(sn_epsilon=IMAGENET_SN, bn_epsilon=1e-4),
        lambda source, choices: {"discriminator": {"rectified_shortcuts": True}},
    ),
    TFHUB: Family(
        huggingface.TABLES,
        _prepare_tfhub,
        _port_rules,
        None,
        _hub_epsilons,
        own_choices=("attention_block",),
        no_choices=("sn_epsilon",),
    ),
}


def check_choices(name: str, choices: Choices) -> None:
    """Raises ValueError if a choice is made that would have no effect on a family's networks."""
    own = {choice for family in FAMILIES.values() for choice in family.own_choices}
    useless = (own - set(FAMILIES[name].own_choices)) | set(FAMILIES[name].no_choices)
    given = {choice: getattr(choices, choice) for choice in sorted(useless)}
    given = {choice: value for choice, value in given.items() if value is not None}
    checks.require(not given, f"these flags have no effect on {name}; leave them out", **given)
