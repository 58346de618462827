"""The networks in a file or folder of checkpoints: which files, which code base, which tensors."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from tf_biggan import checks
from tf_biggan.conversion.names import (
    BIGGAN_PYTORCH,
    HUGGINGFACE,
    MMAGIC,
    STUDIOGAN,
    TFHUB,
)
from tf_biggan.conversion.readers.files import FORMATS, Checkpoint, read_checkpoint
from tf_biggan.conversion.readers.tensorflow import GRAPH_FILE, VARIABLES, is_module, read_variables
from tf_biggan.conversion.readers.tensors import Tensors

# Keys that only one code base has, in either network.
MARKERS = {
    BIGGAN_PYTORCH: r"^blocks\.\d+\.\d+\.conv1\.",
    HUGGINGFACE: r"^generator\.gen_z\.",
    MMAGIC: r"^(\w+\.)*conv_blocks\.\d+\.",
    STUDIOGAN: r"^blocks\.\d+\.\d+\.conv2d1\.",
}
# Files of a folder. `role` says which network, `suffix` which of several savings.
FOLDERS = {
    BIGGAN_PYTORCH: r"(?P<role>G_ema|G_optim|D_optim|G|D)(?:_(?P<suffix>\w+))?\.(?:pth|npz)",
    STUDIOGAN: r"model=(?P<role>G_ema|G|D)-(?P<suffix>\w+)-weights-step=(?P<step>\d+)\.pth",
}
PREFERRED_SUFFIXES = ("", "best")
EXTENSIONS = (".pth", ".pt", ".bin", ".npz", ".safetensors")
GENERATOR, RAW_GENERATOR, DISCRIMINATOR = "generator", "raw_generator", "discriminator"
# Files of optimisers, and whose they are; of a generator alone, that one's.
OPTIMIZERS = {"G_optim": RAW_GENERATOR, "D_optim": DISCRIMINATOR}
ALONE = {RAW_GENERATOR: GENERATOR}
# Where mmagic's file has each network; the later prefix of a name goes first.
MMAGIC_PREFIXES = {
    "generator.": RAW_GENERATOR,
    "generator_ema.": GENERATOR,
    "generator_ema.module.": GENERATOR,
    "discriminator.": DISCRIMINATOR,
}


@dataclasses.dataclass(frozen=True)
class Source:
    """What an input holds.

    Attributes:
      path: the input.
      family: a name of `names.FAMILIES`.
      networks: the tensors of "generator", "discriminator" and "raw_generator" (a generator beside
        its moving average), those that are there.
      files: the files that were read.
      set_aside: sentences about what else is there and is not used.
      settings: what lies beside the weights: a configuration, meta data.
      optimizers: state dictionaries of optimisers by network.
    """

    path: str
    family: str
    networks: Mapping[str, Tensors]
    files: tuple[str, ...]
    set_aside: tuple[str, ...] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    optimizers: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def open_source(path: str, family: str | None = None, suffix: str | None = None) -> Source:
    """The networks at a path; values are not read yet.

    Args:
      path: a file, a folder of BigGAN-PyTorch's or StudioGAN's files, a folder with one file, or
        the folder of a TF-Hub module.
      family: a name of `names.FAMILIES`; None to find it from the keys.
      suffix: which of several savings in a folder, such as "best0".

    Raises:
      ValueError: it is none of these, it is of another family, or there are several to choose from.
      OSError: it cannot be read.
    """
    checks.require_existing("input", path, "a file or folder of weights")
    checks.require(
        suffix is None or os.path.isdir(path),
        "`--suffix` chooses among the savings of a folder",
        suffix=suffix,
        path=path,
    )
    if is_module(path):
        source = _module(path)
    elif os.path.isdir(path):
        source = _folder(path, suffix)
    else:
        source = _file(path)
    checks.require(
        family in (None, source.family),
        f"the tensors' names are those of {source.family}",
        **{"from": family, "path": path},
    )
    return source


def _module(path):
    files = [os.path.join(path, f"{VARIABLES}.index")]
    folder = os.path.dirname(files[0])
    files += [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if ".data-" in n]
    graph = os.path.join(path, GRAPH_FILE)
    files += [graph] if os.path.isfile(graph) else []
    return Source(path, TFHUB, {GENERATOR: read_variables(path)}, tuple(files))


def _folder(path, suffix):
    names = sorted(os.listdir(path))
    for pattern in FOLDERS.values():
        matches = [match for name in names if (match := re.fullmatch(pattern, name))]
        if any("optim" not in match["role"] for match in matches):
            return _savings(path, _of_one_suffix(path, matches, suffix))
    files = [name for name in names if name.endswith(EXTENSIONS)]
    checks.require(
        len(files) == 1,
        f"a folder must hold G.pth, G_ema.pth or D.pth, StudioGAN's model=*.pth, a TF-Hub module,"
        f" or one file of {FORMATS}",
        path=path,
        files=files,
    )
    return _file(os.path.join(path, files[0]))


def _of_one_suffix(path, matches, suffix):
    suffixes = sorted({match["suffix"] or "" for match in matches})
    wanted = suffix
    if wanted is None:
        preferred = [one for one in PREFERRED_SUFFIXES if one in suffixes]
        wanted = preferred[0] if preferred else suffixes[0]
        checks.require(
            bool(preferred) or len(suffixes) == 1,
            "one of several savings must be chosen with `--suffix`",
            path=path,
            suffixes=suffixes,
        )
    chosen = [match for match in matches if (match["suffix"] or "") == wanted]
    checks.require(
        bool(chosen), "`--suffix` must be one of the folder's", suffix=suffix, suffixes=suffixes
    )
    by_role = {}
    for match in sorted(chosen, key=lambda match: int(match.groupdict().get("step") or 0)):
        by_role[match["role"]] = os.path.join(path, match[0])
    return by_role


def _savings(path, by_role):
    checkpoints = {role: read_checkpoint(file) for role, file in by_role.items()}
    optimizers = {
        network: checkpoints[role].other
        for role, network in OPTIMIZERS.items()
        if role in checkpoints
    }
    networks, aside, used = {}, [], dict(by_role)
    if "G_ema" in checkpoints:
        networks[GENERATOR] = checkpoints["G_ema"].tensors
        if "G" in checkpoints and RAW_GENERATOR in optimizers:
            networks[RAW_GENERATOR] = checkpoints["G"].tensors
        elif "G" in checkpoints:
            aside.append(f"{os.path.basename(used.pop('G'))}: its moving average is used")
    elif "G" in checkpoints:
        networks[GENERATOR] = checkpoints["G"].tensors
        if RAW_GENERATOR in optimizers:
            optimizers[GENERATOR] = optimizers.pop(RAW_GENERATOR)
    if "D" in checkpoints:
        networks[DISCRIMINATOR] = checkpoints["D"].tensors
    checks.require(bool(networks), "a folder must hold a network", path=path, files=sorted(by_role))
    family = _family(path, next(iter(networks.values())))
    owned = {name: state for name, state in optimizers.items() if name in networks}
    for role, network in OPTIMIZERS.items():
        if role in used and not {network, ALONE.get(network)} & set(owned):
            aside.append(f"{os.path.basename(used.pop(role))}: its network is not there")
    return Source(path, family, networks, tuple(used.values()), tuple(aside), {}, owned)


def _file(path):
    checkpoint = read_checkpoint(path)
    family = _family(path, checkpoint.tensors)
    if family == MMAGIC:
        return _mmagic(path, checkpoint)
    files, settings = (path,), {}
    if family == HUGGINGFACE:
        config = _config_beside(path)
        if config is not None:
            files, settings = (path, config), _read_json(config)
    network = GENERATOR if _is_generator(checkpoint.tensors) else DISCRIMINATOR
    aside = _unused_optimizers(checkpoint)
    return Source(path, family, {network: checkpoint.tensors}, files, aside, settings)


def _unused_optimizers(checkpoint: Checkpoint) -> tuple[str, ...]:
    found = sorted(key for key in checkpoint.other if "optim" in str(key))
    return tuple(f"{key}: optimisers are taken from BigGAN-PyTorch's files only" for key in found)


def _family(path, tensors):
    for family, marker in MARKERS.items():
        if any(re.search(marker, key) for key in tensors):
            return family
    examples = ", ".join(list(tensors)[:3]) or "none"
    raise ValueError(
        f"The tensors must have the names of one of {', '.join((*MARKERS, TFHUB))}. Received:"
        f" {path} with {len(tensors)} tensors, such as {examples}."
    )


def _is_generator(tensors) -> bool:
    return any(re.search(r"\.gain\.|^generator\.", key) for key in tensors)


def _mmagic(path, checkpoint: Checkpoint):
    tensors = checkpoint.tensors
    networks = {}
    for prefix, network in MMAGIC_PREFIXES.items():
        if found := tensors.below(prefix):
            networks[network] = found
    aside = list(_unused_optimizers(checkpoint))
    if any(key.startswith("data_preprocessor.") for key in tensors):
        aside.append("data_preprocessor.*: means and deviations of pixels")
    if not networks:
        networks[GENERATOR if _is_generator(tensors) else DISCRIMINATOR] = tensors
    else:
        known = (*MMAGIC_PREFIXES, "data_preprocessor.", "generator_ema.steps")
        left = sorted(key for key in tensors if not key.startswith(known))
        checks.require(not left, "a checkpoint must hold known networks only", left_over=left[:5])
        if GENERATOR not in networks and RAW_GENERATOR in networks:
            networks[GENERATOR] = networks.pop(RAW_GENERATOR)
        elif networks.pop(RAW_GENERATOR, None):
            aside.append("generator.*: its moving average, generator_ema.*, is used")
    networks = {name: _without(found, r"^steps$") for name, found in networks.items()}
    return Source(path, MMAGIC, networks, (path,), tuple(aside), dict(checkpoint.other))


def _without(tensors, pattern):
    kept = {k: entry for k, entry in tensors.entries.items() if not re.search(pattern, k)}
    return Tensors(kept)


def _config_beside(path):
    folder, name = os.path.split(path)
    names = (re.sub(r"pytorch_model\.bin$", "config.json", name), "config.json")
    paths = (os.path.join(folder, one) for one in names if one != name)
    return next((one for one in paths if os.path.isfile(one)), None)


def _read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
    except ValueError as error:
        raise ValueError(
            f"A configuration must be a JSON object. Received: {path} ({error})."
        ) from error
    checks.require(isinstance(config, dict), "a configuration must be a JSON object", path=path)
    return config
