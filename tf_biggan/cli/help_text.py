"""The text of --help: a command's flags in groups, in the order of use."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from absl import flags as absl_flags

from tf_biggan.cli.named_objects import FORM
from tf_biggan.cli.settings import Kind, Settings, flag_name

COLUMNS = 100
INDENT = " " * 6
# Words for the values of a type in the place of a flag's value.
PLACEHOLDERS = {
    "int": "N",
    "float": "X",
    "str": "TEXT",
    "tuple[int, ...]": "N,N,...",
    "tuple[float, ...]": "X",
}
OTHER_FLAGS = {
    "--flagfile=PATH": (
        "Read flags from a file with one --name=value per line. Flags that follow override it."
        " Paths in a flag file to other flag files are relative to it."
    ),
    "--help": "Print this text.",
}


def command_help(
    config_class: type[Settings], flag_values: absl_flags.FlagValues, docstring: str | None
) -> str:
    """Returns the help of a command.

    Args:
      config_class: Settings class of the command.
      flag_values: Where its flags are defined.
      docstring: Docstring of the command, which comes first: a summary and examples.
    """
    described = dict(_described(config_class))
    lines = [(docstring or "").strip(), ""]
    for title, names in config_class.help_groups.items():
        lines.append(f"{title}:")
        for name in names:
            if name in config_class.aliases:
                entry = f"--{name}", f"The same as --{config_class.aliases[name]}."
            elif name in described:
                entry = described[name]
            else:
                flag = flag_values[name]
                entry = f"--[no]{name}" if flag.boolean else f"--{name}=PATH", flag.help
            lines += _entry(*entry, is_required=name in config_class.required)
        lines.append("")
    lines.append("Other:")
    for flag, text in OTHER_FLAGS.items():
        lines += _entry(flag, text)
    return "\n".join(lines)


def _described(config_class: type[Settings]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yields (name, (flag with its value, help)) of every field."""
    kinds = config_class.kinds()
    for field in config_class.settings():
        name, kind = flag_name(field), kinds[field.name]
        shown = f"--[no]{name}" if kind.name == "bool" else f"--{name}={_placeholder(field, kind)}"
        yield name, (shown, " ".join([field.metadata["help"], *_facts(field, kind)]))


def _placeholder(field, kind: Kind) -> str:
    limits = field.metadata
    if limits["choices"]:
        own = (FORM,) if limits["extensible"] else ()
        return "|".join((*limits["choices"], *own))
    if limits["extensible"]:
        return FORM
    return "PATH" if limits["path"] else PLACEHOLDERS[kind.name]


def _facts(field, kind: Kind) -> list[str]:
    """Returns the default and the bounds in brackets. Helps of optional fields name the default."""
    limits, facts = field.metadata, []
    if field.default is not None:
        is_flag = kind.name == "bool"
        facts.append(f"default: {str(field.default).lower() if is_flag else field.default}")
    if None not in (limits["minimum"], limits["maximum"]):
        facts.append(f"from {limits['minimum']} to {limits['maximum']}")
    elif limits["minimum"] is not None:
        facts.append(f"at least {limits['minimum']}")
    return [f"({'; '.join(facts)})"] if facts else []


def _entry(flag: str, text: str, is_required: bool = False) -> list[str]:
    required = " Required." if is_required else ""
    wrapped = textwrap.wrap(
        text + required, COLUMNS, initial_indent=INDENT, subsequent_indent=INDENT
    )
    return [f"  {flag}", *wrapped]
