"""What `--describe` prints of a SavedModel: its metadata and its signatures."""

from __future__ import annotations

import json

from tf_biggan.exporting.signature_table import read_signatures, signature_lines
from tf_biggan.model_store.export_metadata import read_metadata

MANY = 8
LATER = ("format", "format_version", "config", "provenance", "class_names", "truncation_grid")


def description(folder: str) -> str:
    """The text.

    Raises:
      ValueError: there is no SavedModel in the folder.
    """
    signatures, metadata = read_signatures(folder), read_metadata(folder)
    lines = [folder, ""]
    if metadata:
        lines += _metadata_lines(metadata)
    else:
        lines.append("not exported by tf_biggan: there is no metadata")
    return "\n".join([*lines, "", "signatures", *signature_lines(signatures)])


def _metadata_lines(metadata):
    facts = {k: v for k, v in metadata.items() if k not in LATER}
    facts |= {k: _shortened(metadata[k]) for k in ("class_names", "truncation_grid")}
    width = max(map(len, facts))
    lines = [f"{name:<{width}}  {_plain(value)}" for name, value in facts.items()]
    for name in ("provenance", "config"):
        lines += ["", name]
        lines += [f"  {key}: {_plain(value)}" for key, value in metadata[name].items()]
    return lines


def _shortened(values):
    if len(values) <= MANY:
        return "; ".join(map(_plain, values)) or "none"
    ends = "; ".join(map(_plain, values[:3])), "; ".join(map(_plain, values[-1:]))
    return f"{len(values)}: {ends[0]}; ... {ends[1]}"


def _plain(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
