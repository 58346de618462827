"""Class maps tell which classes of a source model each class of a new run takes its weights from.

For every new class, a map names one class of the source model, several classes (their weights are
averaged) or `fresh` (random initial values). A map is a text with one entry per line, or with
semicolons between entries:

    finch = goldfinch
    owl = great grey owl, 24
    wren = fresh
    * = all

A map can also be a JSON object:

    {"finch": "goldfinch", "owl": ["great grey owl", 24], "wren": "fresh"}

Both sides of an entry name classes in the forms that `data.classes.ClassLookup` reads. `*` stands
for every class that no other entry names. In a file, lines that begin with # are comments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tf_biggan import checks
from tf_biggan.data.classes import BY_INDEX, ClassLookup
from tf_biggan.files import file_system
from tf_biggan.files.json_files import parse_json
from tf_biggan.files.text_files import read_text

FRESH = "fresh"
OTHERS = "*"
MAX_LISTED = 5

# The source classes of every new class; an empty tuple for a fresh class.
ClassSources = tuple[tuple[int, ...], ...]


def read_class_map(text: str) -> Mapping[str, object]:
    """Reads the entries of a class map, without looking up the classes.

    Args:
      text: The path of a file, or the map itself.

    Returns:
      A mapping from the left side to the right side of every entry.

    Raises:
      ValueError: `text` is neither a file nor a map, an entry has no `=`, or two entries have the
        same left side.
    """
    if file_system.isfile(text):
        lines = read_text(text, f"class map {text!r}").split("\n")
        text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    else:
        checks.require(
            "=" in text or text.lstrip().startswith("{"),
            "`class_map` must be CLASS=SOURCE, with semicolons between entries, or the path"
            " of a file; no file of that name exists",
            class_map=text,
        )
    return _from_json(text) if text.lstrip().startswith("{") else _from_text(text)


def class_sources(
    entries: Mapping[str, object] | None, new: ClassLookup, source: ClassLookup
) -> ClassSources:
    """Returns the source classes of every new class; () for unconditional networks.

    A class that no entry names takes the source's class with the same name. Without a map, classes
    are matched by index if the run or the source has no class names. Both must then have the same
    number of classes.

    Args:
      entries: The result of `read_class_map`; None for no map.
      new: The classes of the new run.
      source: The classes of the source.

    Raises:
      ValueError: An entry names an unknown class. Or two entries name the same class. Or a class
        has no entry, and the source has no class with its name. Or the run has classes and the
        source has none, or the reverse.
    """
    checks.require(
        (new.num_classes == 0) == (source.num_classes == 0),
        "a run with classes can start only from a model with classes, and a run without"
        " classes only from a model without classes (images in a single sub-folder are one"
        " class)",
        classes=new.num_classes,
        source_classes=source.num_classes,
    )
    nameless = not (new.class_names and source.class_names)
    if entries is None and nameless and new.num_classes == source.num_classes:
        return tuple((index,) for index in range(new.num_classes))
    found = _of_entries(entries or {}, new, source)
    for index, name in enumerate(new.class_names):
        same = source.named(name)
        if index not in found and len(same) == 1:
            found[index] = same
    missing = [index for index in range(new.num_classes) if index not in found]
    checks.require(
        not missing, _asking_for_a_map(new, source, missing), without_a_source=len(missing)
    )
    return tuple(found[index] for index in range(new.num_classes))


def describe_sources(
    source_classes: ClassSources, new: ClassLookup, source: ClassLookup
) -> Mapping[str, str]:
    """Maps the name of every new class to the names of its source classes, for messages."""
    names = new.class_names or tuple(map(str, range(new.num_classes)))
    return {
        name: _listed(indices, source) for name, indices in zip(names, source_classes, strict=True)
    }


def _listed(indices, source) -> str:
    shown = [source.label(index) for index in indices[:MAX_LISTED]]
    more = len(indices) - len(shown)
    return " + ".join([*shown, f"{more} more"] if more else shown) or FRESH


def _of_entries(entries, new, source) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    for key, value in entries.items():
        indices = _sources_of(value, source)
        for index in () if key == OTHERS else new.parse(key):
            checks.require(
                index not in found,
                "the class map has two entries for the same class; keep one of them",
                entry=key,
            )
            found[index] = indices
    if OTHERS in entries:
        others = _sources_of(entries[OTHERS], source)
        found = {index: found.get(index, others) for index in range(new.num_classes)}
    return found


def _sources_of(value, source) -> tuple[int, ...]:
    values = value if isinstance(value, list) else [value]
    checks.require(
        bool(values) and all(isinstance(v, (str, int)) and not isinstance(v, bool) for v in values),
        "the right side of a class map's entry must be names or indices of classes of the"
        " source model, or fresh",
        received=value,
    )
    if values == [FRESH]:
        return ()
    texts = (f"{BY_INDEX}{v}" if isinstance(v, int) else v for v in values)
    return tuple(index for text in texts for index in source.parse(text))


def _from_json(text) -> dict:
    return dict(parse_json(text, "the class map", "dict", pairs=_once))


def _from_text(text) -> dict:
    lines = [line.strip() for line in text.replace(";", "\n").splitlines()]
    pairs = []
    for line in filter(None, lines):
        name, equals, value = line.partition("=")
        checks.require(
            bool(equals), "an entry of the class map must have the form CLASS=SOURCE", entry=line
        )
        pairs.append((name.strip(), value.strip()))
    return _once(pairs)


def _once(pairs: Sequence[tuple]) -> dict:
    entries = dict(pairs)
    checks.require(
        len(entries) == len(pairs),
        "the class map has two entries with the same left side; keep one of them",
        entries=[key for key, _ in pairs],
    )
    return entries


def _asking_for_a_map(new, source, missing) -> str:
    shown = ", ".join(new.label(index) for index in missing[:MAX_LISTED])
    shown += ", ..." if len(missing) > MAX_LISTED else ""
    key = new.class_names[missing[0]] if new.class_names and missing else "0"
    example = source.class_names[0].split(",")[0] if source.class_names else "0"
    return (
        f"these classes have no source class: {shown}. Each class starts from one of the"
        f" {source.num_classes} classes of --init_from, by the same name or by --class_map,"
        f" such as --class_map='{key}={example}; *=fresh'"
    )
