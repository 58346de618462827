"""Opens a file or folder of weights and finds its networks and the code base they come from."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

from tf_biggan import checks
from tf_biggan.conversion.biggan_pytorch import flags_beside, flags_in
from tf_biggan.conversion.readers.files import FORMATS, read_everything
from tf_biggan.conversion.readers.tensorflow import GRAPH_FILE, VARIABLES, is_module, read_variables
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.conversion.rules import BIGGAN_PYTORCH, HUGGINGFACE, STUDIOGAN, TFHUB
from tf_biggan.conversion.wrappings import (
    ACCEPTED,
    DISCRIMINATOR,
    GENERATOR,
    Network,
    describe_contents,
    find_networks,
)
from tf_biggan.files import file_system
from tf_biggan.files.json_files import read_json
from tf_biggan.files.tensorflow_files import data_files

# Patterns of the file names in a folder, by code base. `role` names the network or its optimiser,
# and `suffix` tells checkpoints apart if the folder holds several.
FOLDERS = {
    BIGGAN_PYTORCH: r"(?P<role>G_ema|G_optim|D_optim|G|D)(?:_(?P<suffix>\w+))?\.(?:pth|npz)",
    STUDIOGAN: r"model=(?P<role>G_ema|G|D)-(?P<suffix>\w+)-weights-step=(?P<step>\d+)\.pth",
}
PREFERRED_SUFFIXES = ("", "best")
EXTENSIONS = (".pth", ".pt", ".ckpt", ".bin", ".npz", ".safetensors")
MOST_FILES = 16
RAW_GENERATOR = "raw_generator"
# Network of each optimiser file. G_optim belongs to "generator" if there is no "raw_generator".
OPTIMIZERS = {"G_optim": RAW_GENERATOR, "D_optim": DISCRIMINATOR}
ALONE = {RAW_GENERATOR: GENERATOR}
KINDS = {"G_ema": GENERATOR, "G": GENERATOR, "D": DISCRIMINATOR}
# Tensors that may lie next to the networks in a state dictionary, with their meaning.
BESIDE = {"data_preprocessor.*": "means and standard deviations of pixels"}


@dataclasses.dataclass(frozen=True)
class Source:
    """Networks that were found in a file or folder of weights.

    Attributes:
      path: Path of the file or folder.
      family: Code base, one of `rules.FAMILIES`.
      networks: Tensors of each network found, by "generator", "discriminator" and "raw_generator".
        If there is a "raw_generator", "generator" is its moving average.
      files: Paths of the files that were read.
      set_aside: Sentences about content that is not used.
      settings: Settings stored with the weights, such as a configuration.
      optimizers: State dictionaries of optimisers, by network.
      wrappings: Texts for the user about what was removed from the keys of tensors, by network.
        Networks whose keys were not changed are left out.
    """

    path: str
    family: str
    networks: Mapping[str, Tensors]
    files: tuple[str, ...]
    set_aside: tuple[str, ...] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    optimizers: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    wrappings: Mapping[str, str] = dataclasses.field(default_factory=dict)


def open_source(path: str, family: str | None = None, suffix: str | None = None) -> Source:
    """Finds the networks in a file or folder. The values of tensors are not read yet.

    Args:
      path: A file; a folder with files of BigGAN-PyTorch or StudioGAN; another folder with at most
        one generator and one discriminator; or the folder of a TF-Hub module.
      family: Expected code base, one of `rules.FAMILIES`. None accepts all. The code base is always
        detected from the keys.
      suffix: Suffix of the checkpoint to open if a folder holds several, such as "best0". None
        opens the checkpoint without a suffix, or else "best", or else the only checkpoint.

    Raises:
      ValueError: The path holds no known networks, or networks of another code base than `family`.
        Also if no checkpoint has the suffix, or if a suffix must choose one of several.
      OSError: A file cannot be read.
    """
    file_system.require_existing("input", path, "a file or folder of weights")
    checks.require(
        suffix is None or file_system.isdir(path),
        "--suffix chooses among the checkpoints of a folder and has no effect on a file;"
        " leave it out",
        suffix=suffix,
        path=path,
    )
    if is_module(path):
        source = _module(path)
    elif file_system.isdir(path):
        source = _folder(path, suffix)
    else:
        source = _file(path)
    checks.require(
        family in (None, source.family),
        f"the tensors have the names of {source.family}; leave out --from, or use"
        f" --from={source.family}",
        **{"from": family, "path": path},
    )
    return source


def _module(path):
    prefix = os.path.join(path, VARIABLES)
    files = [f"{prefix}.index", *data_files(prefix)]
    graph = os.path.join(path, GRAPH_FILE)
    files += [graph] if file_system.isfile(graph) else []
    return Source(path, TFHUB, {GENERATOR: read_variables(path)}, tuple(files))


def _folder(path, suffix):
    names = sorted(file_system.listdir(path))
    for pattern in FOLDERS.values():
        matches = [match for name in names if (match := re.fullmatch(pattern, name))]
        if any("optim" not in match["role"] for match in matches):
            return _savings(path, _of_one_suffix(path, matches, suffix))
    files = [name for name in names if name.endswith(EXTENSIONS)]
    checks.require(
        0 < len(files) <= MOST_FILES,
        "the folder must hold files of BigGAN-PyTorch (G.pth, G_ema.pth or D.pth), files of"
        f" PyTorch-StudioGAN (model=*.pth), a TF-Hub module, or at most {MOST_FILES} files of"
        f" {FORMATS}",
        path=path,
        files=files,
    )
    if len(files) == 1:
        return _file(os.path.join(path, files[0]))
    return _several(path, files)


def _of_one_suffix(path, matches, suffix):
    """Returns the path of the newest file with the chosen suffix, by role, such as "G_optim"."""
    suffixes = sorted({match["suffix"] or "" for match in matches})
    wanted = suffix
    if wanted is None:
        preferred = [one for one in PREFERRED_SUFFIXES if one in suffixes]
        wanted = preferred[0] if preferred else suffixes[0]
        checks.require(
            bool(preferred) or len(suffixes) == 1,
            "the folder holds several checkpoints; choose one by --suffix",
            path=path,
            suffixes=suffixes,
        )
    chosen = [match for match in matches if (match["suffix"] or "") == wanted]
    checks.require(
        bool(chosen),
        "the folder has no checkpoint with this --suffix; use a suffix from the list `suffixes`",
        suffix=suffix,
        suffixes=suffixes,
    )
    by_role = {}
    for match in sorted(chosen, key=lambda match: int(match.groupdict().get("step") or 0)):
        by_role[match["role"]] = os.path.join(path, match[0])
    return by_role


def _savings(path, by_role):
    """Returns the source for one checkpoint of BigGAN-PyTorch or StudioGAN, given its files."""
    optimizers = {
        network: read_everything(by_role[role])
        for role, network in OPTIMIZERS.items()
        if role in by_role
    }
    found = {role: _only(file, KINDS[role]) for role, file in by_role.items() if role in KINDS}
    chosen, aside, used = {}, [], dict(by_role)
    if "G_ema" in found:
        chosen[GENERATOR] = found["G_ema"]
        if "G" in found and RAW_GENERATOR in optimizers:
            chosen[RAW_GENERATOR] = found["G"]
        elif "G" in found:
            aside.append(f"{os.path.basename(used.pop('G'))}: its moving average is used")
    elif "G" in found:
        chosen[GENERATOR] = found["G"]
        if RAW_GENERATOR in optimizers:
            optimizers[GENERATOR] = optimizers.pop(RAW_GENERATOR)
    if "D" in found:
        chosen[DISCRIMINATOR] = found["D"]
    owned = {name: state for name, state in optimizers.items() if name in chosen}
    for role, network in OPTIMIZERS.items():
        if role in used and not {network, ALONE.get(network)} & set(owned):
            aside.append(f"{os.path.basename(used.pop(role))}: the file of its network is missing")
    source = _source(path, chosen, tuple(used.values()), tuple(aside))
    return dataclasses.replace(source, settings=_flags_beside(source), optimizers=owned)


def _only(file, kind) -> Network:
    """Returns the only network of a kind in a file, such as the generator in G.pth."""
    contents = read_everything(file)
    networks, _ = _networks(file, contents)
    of_kind = [network for network in networks if network.kind == kind]
    checks.require(
        bool(of_kind),
        f"the file must hold a {kind}, as its name says; rename it or use the right file",
        path=file,
        holds=networks[0].kind,
    )
    return _chosen(file, of_kind)[0][kind]


def _file(path):
    contents = read_everything(path)
    networks, beside = _networks(path, contents)
    chosen, aside = _chosen(path, networks)
    aside += [f"{name}: {BESIDE.get(name, 'belongs to no known network')}" for name in beside]
    aside += _unused_optimizers(contents)
    source = _source(path, chosen, (path,), tuple(aside))
    if source.family == HUGGINGFACE:
        config = _config_beside(path)
        if config is not None:
            return dataclasses.replace(source, files=(path, config), settings=read_json(config))
    if source.family == BIGGAN_PYTORCH:
        settings = flags_in(contents) or _flags_beside(source)
        return dataclasses.replace(source, settings=settings)
    other = {key: value for key, value in contents.items() if not isinstance(value, StoredTensor)}
    return dataclasses.replace(source, settings=other)


def _several(path, names):
    """Returns the source for a folder with several files that have no known names."""
    files, networks, aside = {}, [], []
    for name in names:
        contents = read_everything(os.path.join(path, name))
        found, _ = find_networks(contents)
        if not found:
            aside.append(f"{name}: holds {describe_contents(contents)}")
        for network in found:
            entry = f"{name}/{network.entry}" if network.entry else name
            network = dataclasses.replace(network, entry=entry)
            files[id(network.tensors)] = os.path.join(path, name)
            networks.append(network)
    checks.require(
        bool(networks), f"no file in the folder holds {ACCEPTED}", path=path, files=names
    )
    chosen, more = _chosen(path, networks)
    used = tuple(dict.fromkeys(files[id(network.tensors)] for network in chosen.values()))
    source = _source(path, chosen, used, (*more, *aside))
    return dataclasses.replace(source, settings=_flags_beside(source))


def _networks(path, contents) -> tuple[list[Network], list[str]]:
    networks, beside = find_networks(contents)
    if not networks:
        raise ValueError(f"{path} holds {describe_contents(contents)}. It must hold {ACCEPTED}.")
    return networks, beside


def _chosen(path, networks) -> tuple[dict[str, Network], list[str]]:
    """Chooses one generator and one discriminator, preferring moving averages.

    Returns:
      A tuple: the chosen networks by kind, and sentences about the networks that are not used.
    """
    chosen, aside = {}, []
    for kind in (GENERATOR, DISCRIMINATOR):
        raw, averaged = (
            [n for n in networks if n.kind == kind and n.averaged == value]
            for value in (False, True)
        )
        for several in (raw, averaged):
            places = [network.place or "the file itself" for network in several]
            checks.require(
                len(several) < 2,
                f"the input holds several {kind}s; save the one to convert (and its moving"
                " average) to a file of its own",
                path=path,
                found_at=places,
            )
        if averaged:
            chosen[kind] = averaged[0]
        elif raw:
            chosen[kind] = raw[0]
        if averaged and raw:
            place = averaged[0].place
            aside.append(f"{raw[0].place}: its moving average, {place}, is used")
    return chosen, aside


def _source(path, chosen: Mapping[str, Network], files, aside) -> Source:
    families = {name: network.family for name, network in chosen.items()}
    checks.require(
        len(set(families.values())) == 1,
        "the input holds networks of several code bases; convert them one at a time",
        path=path,
        found=families,
    )
    return Source(
        path,
        next(iter(families.values())),
        {name: network.tensors for name, network in chosen.items()},
        files,
        aside,
        wrappings={name: n.wrapping for name, n in chosen.items() if n.wrapping},
    )


def _flags_beside(source) -> Mapping[str, Any]:
    return flags_beside(source.files) if source.family == BIGGAN_PYTORCH else {}


def _unused_optimizers(contents) -> list[str]:
    found = sorted(str(key) for key in contents if "optim" in str(key))
    found = [key for key in found if isinstance(contents.get(key), Mapping)]
    return [f"{key}: only BigGAN-PyTorch's optimiser files are converted" for key in found]


def _config_beside(path):
    folder, name = os.path.split(path)
    names = (re.sub(r"pytorch_model\.bin$", "config.json", name), "config.json")
    paths = (os.path.join(folder, one) for one in names if one != name)
    return next((one for one in paths if file_system.isfile(one)), None)
