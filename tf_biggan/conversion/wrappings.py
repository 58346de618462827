"""Finds the networks in the contents of a file, however they are nested or prefixed.

Training code saves the same weights in many forms. The state dictionary may be inside other
dictionaries, such as {"state_dict": {"G_ema": ...}}. Its keys may have a prefix of an attribute
("generator.", "model.") or of a PyTorch wrapper ("module.", "_orig_mod."). A network is recognised
by keys that only its code base uses, and everything before such a key is removed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tf_biggan.conversion.readers.files import without_wrappers
from tf_biggan.conversion.readers.tensors import StoredTensor, Tensors
from tf_biggan.conversion.rules import BIGGAN_PYTORCH, FAMILIES, HUGGINGFACE, MMAGIC, STUDIOGAN

GENERATOR, DISCRIMINATOR = "generator", "discriminator"
# Patterns of keys: any prefix of attributes, and after it the start of a key that only one code
# base uses. All networks of the code base have keys that match.
PREFIX = r"^(?P<prefix>(?:\w+\.)*?)"
MARKERS = {
    BIGGAN_PYTORCH: PREFIX + r"blocks\.\d+\.\d+\.conv1\.",
    HUGGINGFACE: PREFIX + r"generator\.gen_z\.",
    MMAGIC: PREFIX + r"conv_blocks\.\d+\.",
    STUDIOGAN: PREFIX + r"blocks\.\d+\.\d+\.conv2d1\.",
}
IS_GENERATOR = r"\.gain\.|^generator\."
# Names by which weights are recognised as moving averages.
AVERAGED = r"(?<![a-z])(ema|avg|averaged?|shadow)(?![a-z])"
# Tensors in which implementations of moving averages count their updates.
COUNTERS = ("steps", "step", "n_averaged", "initted", "num_updates")
# Number of levels of nested dictionaries that are searched.
DEEPEST = 4
ACCEPTED = f"the weights of a generator or a discriminator of {', '.join(FAMILIES)}"


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that was found in a file.

    Attributes:
      family: Code base, one of `rules.FAMILIES`.
      kind: "generator" or "discriminator".
      tensors: Tensors by key, without prefixes.
      entry: Names of the nested dictionaries that hold the network, joined with "/". "" for the
        outermost dictionary.
      prefix: Prefix that was removed from every key, such as "generator.".
      wrappers: Parts that PyTorch wrappers had added to keys and that were removed, such as
        "_orig_mod.".
    """

    family: str
    kind: str
    tensors: Tensors
    entry: str = ""
    prefix: str = ""
    wrappers: tuple[str, ...] = ()

    @property
    def averaged(self) -> bool:
        """Whether the names around the network say that it is a moving average."""
        return bool(re.search(AVERAGED, f"{self.entry} {self.prefix}".lower().replace("_", " ")))

    @property
    def place(self) -> str:
        """Place of the network in its file, as text for the user. "" for the whole file."""
        keys = f"{self.prefix}*" if self.prefix else ""
        return "/".join(part for part in (self.entry, keys) if part)

    @property
    def wrapping(self) -> str:
        """What was removed from the keys, as text for the user. "" if nothing was removed."""
        parts = [f"taken from {self.place}"] if self.place else []
        if self.wrappers:
            parts.append(f"{' and '.join(self.wrappers)} dropped from its keys")
        return "; ".join(parts)


def find_networks(contents: Mapping[Any, Any]) -> tuple[list[Network], list[str]]:
    """Finds the networks in the contents of a file.

    Args:
      contents: Contents of the file: plain values, dictionaries and `StoredTensor`s.

    Returns:
      A tuple: the networks in the order of the file, and the names of other tensors that lie in the
      same dictionaries, such as "data_preprocessor.*".
    """
    networks, beside = [], []
    for entry, tensors in _state_dictionaries(contents):
        keys, wrappers = without_wrappers(tensors)
        families = _families_by_prefix(keys)
        groups = _grouped(keys, families)
        for prefix, family in families.items():
            found = {
                keys[key]: tensors[key]
                for key in groups[prefix]
                if keys[key].removeprefix(prefix) not in COUNTERS
            }
            below = Tensors(found).below(prefix)
            kind = GENERATOR if _is_generator(below) else DISCRIMINATOR
            dropped = [
                one for one in wrappers if any(_has_part(key, one) for key in groups[prefix])
            ]
            networks.append(Network(family, kind, below, entry, prefix, tuple(dropped)))
        if families:
            beside += _names_of_groups(keys[key] for key in groups[None])
    return networks, beside


def _state_dictionaries(contents, entry="", depth=0) -> Iterator[tuple[str, dict]]:
    """Yields each nested dictionary that holds named tensors, with its place in the file."""
    tensors = {
        key: value
        for key, value in contents.items()
        if isinstance(value, StoredTensor) and isinstance(key, str)
    }
    if tensors:
        yield entry, tensors
    if depth == DEEPEST:
        return
    for key, value in contents.items():
        if isinstance(value, Mapping) and isinstance(key, str):
            yield from _state_dictionaries(value, f"{entry}/{key}" if entry else key, depth + 1)


def _families_by_prefix(keys) -> dict[str, str]:
    found = {}
    for key in keys.values():
        for family, marker in MARKERS.items():
            if match := re.search(marker, key):
                found.setdefault(match["prefix"], family)
    return found


def _grouped(keys, prefixes) -> dict[str | None, list[str]]:
    """Groups keys by their longest matching prefix. Keys that match no prefix are under None."""
    groups = {prefix: [] for prefix in (*prefixes, None)}
    longest_first = sorted(prefixes, key=len, reverse=True)
    for old, new in keys.items():
        groups[next((one for one in longest_first if new.startswith(one)), None)].append(old)
    return groups


def _names_of_groups(keys) -> list[str]:
    names = dict.fromkeys(
        key if "." not in key else f"{key.split('.')[0]}.*" for key in keys if key not in COUNTERS
    )
    return list(names)


def _has_part(key, part) -> bool:
    return f".{part}" in f".{key}"


def _is_generator(tensors) -> bool:
    return any(re.search(IS_GENERATOR, key) for key in tensors)


def describe_contents(contents: Mapping[Any, Any]) -> str:
    """Returns a text for error messages that says what a file without a network holds.

    Args:
      contents: Contents of the file, as for `find_networks`.
    """
    if _is_optimizer(contents):
        return f"the state of an optimiser of {_count_parameters(contents)} parameters"
    nested = [key for key, value in contents.items() if _is_optimizer(value)]
    dictionaries = list(_state_dictionaries(contents))
    if nested and all(entry.split("/")[0] in nested for entry, _ in dictionaries):
        return f"states of optimisers ({', '.join(map(str, nested))}) and no weights"
    if not dictionaries and {"itr", "config"} <= set(contents):
        return (
            f"the progress and the flags of a BigGAN-PyTorch run (iteration {contents['itr']}),"
            " no weights"
        )
    lists = [
        str(key)
        for key, value in contents.items()
        if isinstance(value, (list, tuple)) and any(isinstance(v, StoredTensor) for v in value)
    ]
    if not dictionaries and lists:
        return f"lists of tensors without names ({', '.join(lists)})"
    if not dictionaries and any(isinstance(value, StoredTensor) for value in contents.values()):
        return "tensors without names"
    if not dictionaries:
        return f"no tensors; its entries are {_examples(contents)}"
    entry, tensors = max(dictionaries, key=lambda pair: len(pair[1]))
    where = f" in {entry}" if entry else ""
    return f"only tensors of unknown names ({len(tensors)}{where}, such as {_examples(tensors)})"


def _is_optimizer(value) -> bool:
    return isinstance(value, Mapping) and {"state", "param_groups"} <= set(value)


def _count_parameters(state) -> int:
    return len(state["state"]) if isinstance(state["state"], Mapping) else 0


def _examples(names) -> str:
    return ", ".join(map(str, list(names)[:3])) or "none"
