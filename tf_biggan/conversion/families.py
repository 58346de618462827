"""Describes each supported code base: its tables, its rules and settings that no tensor shows."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from tf_biggan import checks
from tf_biggan.conversion import biggan_pytorch, deepmind, mmagic, studiogan
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
FOLDED = "kernels divided by sigma, so the converted generator has no spectral norm"


@dataclasses.dataclass(frozen=True)
class Choices:
    """Settings of a conversion that the user gave.

    Each setting is None if the checkpoint or the code base decides it.
    """

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
    """Tensors of a network, renamed and corrected so that its code base's rules can assign them.

    Attributes:
      tensors: Tensors by the keys that the tables of the code base use.
      changes: Sentences about what was changed.
    """

    tensors: Tensors
    changes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Family:
    """One supported code base.

    Attributes:
      tables: Names of its layers and tensors.
      prepare: Function (source, network name, choices) that returns the network's `Prepared`.
      generator_rules, discriminator_rules: Functions (network, tensors) that return the rules. None
        if the code base has no such network.
      epsilons: Function that returns the published epsilons by argument name. Its argument says
        whether the generator has a shared class embedding.
      arguments: Function (source, choices) that returns, for each network, the constructor
        arguments that cannot be read from tensor shapes.
      stored_epsilons: Function (settings) that returns the epsilons stored next to the weights, by
        argument name.
      warnings: Function (source) that returns sentences about differences from the source's code
        base.
      assumptions: Function (source) that returns, by name, settings that are assumed because no
        tensor shows them.
      own_choices: Choices of the user that have an effect for this code base, and for another one
        only if its `own_choices` lists them too.
      no_choices: Choices of the user that have no effect for this code base.
    """

    tables: Tables
    prepare: Callable[[Source, str, Choices], Prepared]
    generator_rules: Callable[[Any, Tensors], list[Rule]]
    discriminator_rules: Callable[[Any, Tensors], list[Rule]] | None
    epsilons: Callable[[bool], Mapping[str, float]]
    arguments: Callable[[Source, Choices], Mapping[str, dict]] = lambda source, choices: {}
    stored_epsilons: Callable[[Mapping], Mapping[str, float]] = lambda settings: {}
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
    warnings = biggan_pytorch.check_flags(source.settings, tuple(networks))
    normalized = {name: is_normalized(tensors) for name, tensors in networks.items()}
    biggan_pytorch.check_buffers(source.settings, normalized)
    added = any(biggan_pytorch.is_cross_replica(tensors) for tensors in networks.values())
    return (*warnings, biggan_pytorch.ADDED_GAIN) if added else warnings


def _authors_assumptions(source):
    settings = source.settings
    if biggan_pytorch.FLAGS in settings:
        return {"flags": f"those of the run, from {settings[biggan_pytorch.FLAGS_FILE]}"}
    assumed = biggan_pytorch.assumed_flags(tuple(source.networks))
    unreadable = settings.get(biggan_pytorch.UNREADABLE)
    reason = f"cannot be read ({unreadable})" if unreadable else "not beside the weights"
    return {"flags": f"{reason}; assumed: {assumed}"}


def _prepare_huggingface(source, network, choices):
    tensors = source.networks[network]
    outputs = tensors.shapes.get("generator.conv_to_rgb.bias", (3,))[0]
    cut = () if outputs == 3 else (_cut(outputs),)
    return Prepared(tensors, (FOLDED, *cut))


def _cut(outputs):
    return (
        f"the last convolution has {outputs} outputs; after the division by sigma, the first"
        " 3 are kept"
    )


def _prepare_mmagic(source, network, choices):
    order = choices.channel_order or _channel_order(source)
    tensors, changes = with_authors_keys(source.networks[network])
    if order == "rgb":
        return Prepared(tensors, (*changes, "trained on RGB images"))
    side = "generator" if network in (GENERATOR, RAW_GENERATOR) else network
    turned = "trained on BGR images: the image channels are reversed to RGB"
    return Prepared(mmagic.in_rgb_order(tensors, side), (*changes, turned))


def _channel_order(source) -> str:
    """Returns "rgb" or "bgr" from the configuration in the file, or from the file's name."""
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
        f"{source.path} does not say whether it was trained on RGB or BGR images. Give"
        " --channel_order=rgb or --channel_order=bgr. The training configuration has the order"
        " under the name output_channel_order."
    )


def _mmagic_arguments(source, choices):
    """Returns the discriminator's argument `rectified_shortcuts`.

    The argument is True if mmagic's discriminator has in-place ReLUs. The user's choice takes
    precedence over the configuration in the file.
    """
    in_place = mmagic.relu_in_place(mmagic.configuration(source.settings))
    rectified = in_place if choices.rectified_shortcuts is None else choices.rectified_shortcuts
    checks.require(
        rectified is not None or DISCRIMINATOR not in source.networks,
        "the file has no configuration that says whether the discriminator's ReLUs work in"
        " place; give --rectified_shortcuts (as in mmagic's ImageNet models) or"
        " --norectified_shortcuts (as in its CIFAR-10 model)",
        path=source.path,
    )
    return {"discriminator": {"rectified_shortcuts": bool(rectified)}}


def _prepare_studiogan(source, network, choices):
    return Prepared(*with_authors_keys(source.networks[network]))


def _prepare_tfhub(source, network, choices):
    variables, replaced = deepmind.averages(source.networks[network])
    after = choices.attention_block
    tensors = deepmind.with_port_names(variables, after)
    outputs = tensors.shapes.get("generator.conv_to_rgb.bias", (3,))[0]
    changes = (FOLDED,) if outputs == 3 else (FOLDED, _cut(outputs))
    changes += tuple(
        f"{count} variables not used: {reason}"
        for pattern, reason in deepmind.IGNORED.items()
        if (count := sum(bool(re.search(pattern, name)) for name in variables))
    )
    if replaced:
        changes += (f"{replaced} raw variables not used: their moving averages are used instead",)
    if "generator.bn.running_means" in tensors:
        counts = deepmind.accumulation_counts(variables)
        changes += (
            (
                "batch-norm statistics of truncation 1 used as stored, not divided by their"
                f" counters ({counts}), as in BigGAN-PyTorch's converter"
            ),
        )
        return Prepared(tensors, changes)
    statistics = deepmind.statistics_of_truncations(Graph(source.path), tensors)
    changes += ("batch-norm statistics of every truncation read from the constants of the graph",)
    return Prepared(Tensors({**tensors.entries, **statistics.entries}), changes)


def _hub_epsilons(shared: bool) -> dict[str, float]:
    return dict(bn_epsilon=1e-4)


def _port_rules(generator, tensors):
    return deepmind.generator_rules(generator)


FAMILIES = {
    BIGGAN_PYTORCH: Family(
        biggan_pytorch.TABLES,
        _prepare_authors,
        lambda model, tensors: biggan_pytorch.generator_rules(
            model, biggan_pytorch.is_manual_batch_norm(tensors)
        ),
        lambda model, tensors: biggan_pytorch.discriminator_rules(model),
        # BigGAN-PyTorch's --BN_eps does not change the epsilon of the last batch norm.
        lambda shared: {**_authors_epsilons(shared), "output_bn_epsilon": 1e-5},
        stored_epsilons=biggan_pytorch.epsilons,
        warnings=_authors_warnings,
        assumptions=_authors_assumptions,
    ),
    HUGGINGFACE: Family(
        deepmind.TABLES,
        _prepare_huggingface,
        _port_rules,
        None,
        _hub_epsilons,
        stored_epsilons=lambda settings: (
            {"bn_epsilon": settings["eps"]} if "eps" in settings else {}
        ),
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
        deepmind.TABLES,
        _prepare_tfhub,
        _port_rules,
        None,
        _hub_epsilons,
        own_choices=("attention_block",),
        no_choices=("sn_epsilon",),
    ),
}


def check_choices(name: str, choices: Choices) -> None:
    """Raises ValueError if a choice would have no effect for a code base.

    Args:
      name: Name of the code base.
      choices: Settings that the user gave.
    """
    own = {choice for family in FAMILIES.values() for choice in family.own_choices}
    useless = (own - set(FAMILIES[name].own_choices)) | set(FAMILIES[name].no_choices)
    given = {choice: getattr(choices, choice) for choice in sorted(useless)}
    given = {choice: value for choice, value in given.items() if value is not None}
    checks.require(
        not given, f"these flags have no effect on weights of {name}; leave them out", **given
    )
