"""Defines flags from settings classes, reads flag files, prints --help, and runs commands.

Each line of a flag file holds one flag, `--name=value`. Empty lines, lines that start with # or //,
and everything after a # that follows a space are ignored. Quotes around a whole value are removed.
The path of `--flagfile=` in a flag file is relative to the folder of that file. If a flag is given
repeatedly, the last value counts. `~` at the start of a path is replaced by the home folder.

absl's own reader of flag files is not used, for five reasons. It reads the path of a nested file
relative to the current folder. It keeps quotes, and comments at the end of a line, as part of the
value. It does not expand `~`. It fails with a traceback if a file is not UTF-8. Its errors name
neither the file nor the line.
"""

from __future__ import annotations

import functools
import math
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import app
from absl import flags as absl_flags

import tf_biggan
from tf_biggan.cli.cluster import VARIABLE, shared_cluster
from tf_biggan.cli.settings import OBJECT_FORM, Kind, Settings, flag_name, is_object_name
from tf_biggan.cli.terminal import one_line, quiet_tensorflow
from tf_biggan.files.file_paths import EXPANDERS, ONE_PATH, expand_home
from tf_biggan.files.text_files import read_text

# The flags belong to the command that defines them, so that --help shows them.
absl_flags.disclaim_key_flags()

NONE = "none"
LEFT_TO_WRITER = (
    f"nothing to do, because only one process of {VARIABLE} runs this command: the chief, or worker"
    f" 0 if there is no chief. Unset {VARIABLE} to run it in this process."
)
HELP_FLAGS = {"--help", "-help", "-h", "--helpshort", "-helpshort", "--helpfull", "-helpfull"}
_TRAILING_COMMENT = re.compile(r"\s+#.*$")
_FLAG = re.compile(r"--?\w+(=.*)?")
_QUOTED = re.compile(r"""^([^=]*=)(["'])((?:(?!\2).)*)\2$""")
COLUMNS = 100
INDENT = " " * 6
# Placeholders that --help shows for the values of each type.
PLACEHOLDERS = {
    "int": "N",
    "float": "X",
    "str": "TEXT",
    "str | dict": "NAME|FILE",
    "int | str": "N|HxW",
    "tuple[int, ...]": "N,N,...",
    "tuple[float, ...]": "X",
}
OTHER_FLAGS = {
    "--flagfile=PATH": (
        "Read flags from a file with one --name=value per line. Flags after --flagfile override"
        " those in the file. A --flagfile inside a flag file is relative to the folder of that"
        " file."
    ),
    "--help": "Print this text.",
}


class _Float(absl_flags.FloatParser):
    """Parses finite numbers. absl would accept nan, and inf if there is no upper bound."""

    def convert(self, argument):
        value = super().convert(argument)
        if not math.isfinite(value):
            raise ValueError("must be a finite number")
        return value


class _Integers(absl_flags.ArgumentParser):
    """Parses integers separated by commas. An empty text gives an empty tuple."""

    syntactic_help = "integers separated by commas, or nothing"

    def parse(self, argument):
        if isinstance(argument, (tuple, list)):
            return tuple(argument)
        try:
            return tuple(int(part) for part in argument.split(",") if part.strip())
        except ValueError:
            raise ValueError(f"must be {self.syntactic_help}") from None


class _Unparsed(absl_flags.ArgumentParser):
    """Returns the text of a flag unparsed, and a default value of any type unchanged."""

    def parse(self, argument):
        return argument


class _Sized(absl_flags.ArgumentParser):
    """Parses image sizes as the settings do, so that a wrong size ends with the exit code 2."""

    def __init__(self, parse: Callable[[Any], Any]):
        self.parse = parse


class _Path(absl_flags.ArgumentParser):
    """Parses paths and replaces `~` by the home folder."""

    def __init__(self, form: str):
        self._expand = EXPANDERS[form]

    def parse(self, argument):
        return self._expand(argument)


class _ExtensibleChoice(absl_flags.EnumParser):
    """Accepts one of the choices, or MODULE:ATTRIBUTE for an object in the user's code."""

    def __init__(self, choices: Sequence[str]):
        super().__init__((*choices, OBJECT_FORM))

    def parse(self, argument):
        return argument if is_object_name(argument) else super().parse(argument)


class _Optional(absl_flags.ArgumentParser):
    """Accepts `none` and all values of another parser.

    With `none`, a flag file can undo a value of another flag file that it includes.
    """

    def __init__(self, parser: absl_flags.ArgumentParser):
        self._parser = parser
        self.syntactic_help = parser.syntactic_help

    def parse(self, argument):
        is_none = isinstance(argument, str) and argument.lower() == NONE
        return None if is_none else self._parser.parse(argument)


PARSERS: dict[str, Callable[[Mapping], absl_flags.ArgumentParser]] = {
    "str": lambda limits: _Path(limits["path"]) if limits["path"] else absl_flags.ArgumentParser(),
    "int": lambda limits: absl_flags.IntegerParser(limits["minimum"], limits["maximum"]),
    "float": lambda limits: _Float(limits["minimum"], limits["maximum"]),
    "tuple[int, ...]": lambda limits: _Integers(),
}


def define(
    config_class: type[Settings], flag_values: absl_flags.FlagValues = absl_flags.FLAGS
) -> None:
    """Defines a flag for every field of a settings class.

    A flag has the name, type, default, bounds and choices of its field. If the field may be None,
    the flag accepts `none`. The values of a tuple of integers are separated by commas.

    Args:
      config_class: Settings class such as `tf_biggan.cli.train_settings.TrainConfig`.
      flag_values: Where the flags are defined. Default: absl's global flags.
    """
    kinds = config_class.kinds()
    for field in config_class.settings():
        name, kind, sentence = flag_name(field), kinds[field.name], field.metadata["help"]
        if kind.name == "bool":
            absl_flags.DEFINE_boolean(name, field.default, sentence, flag_values)
            continue
        parser = _parser(kind.name, field.metadata)
        if kind.optional and not field.metadata["none_is_a_value"]:
            parser = _Optional(parser)
        serializer = absl_flags.ArgumentSerializer()
        absl_flags.DEFINE(parser, name, field.default, sentence, flag_values, serializer=serializer)
    for alias, name in config_class.aliases.items():
        absl_flags.DEFINE_alias(alias, name, flag_values)


def define_path(
    name: str, sentence: str, flag_values: absl_flags.FlagValues = absl_flags.FLAGS
) -> absl_flags.FlagHolder:
    """Defines a flag whose value is a path and which has no default.

    Args:
      name: Name of the flag.
      sentence: Help of the flag.
      flag_values: Where the flag is defined. Default: absl's global flags.
    """
    return absl_flags.DEFINE(_Path(ONE_PATH), name, None, sentence, flag_values)


def parsed(
    config_class: type[Settings], flag_values: absl_flags.FlagValues = absl_flags.FLAGS
) -> Settings:
    """Returns the settings that the parsed flags describe.

    Raises:
      ValueError: `config_class` does not accept a value or a combination of values.
    """
    fields = config_class.settings()
    return config_class.from_flat({f.name: flag_values[flag_name(f)].value for f in fields})


def expand_flagfiles(argv: Sequence[str]) -> list[str]:
    """Returns a command line in which every `--flagfile=` is replaced by the flags in the file.

    Args:
      argv: A command line. Its first element is the program.

    Raises:
      ValueError: A flag file cannot be read, includes itself, or has a line that is not a flag.
    """
    return [*argv[:1], *_expanded(argv[1:], folder="", including=())]


def run_public(
    name: str, config_class: type[Settings], *, interrupted: str = "Interrupted."
) -> None:
    """Runs a command that passes its settings to the public function `tf_biggan.NAME`; see `run`.

    Args:
      name: Name of the function. It is imported after the flags are parsed, because it needs
        TensorFlow.
      config_class, interrupted: As in `run`.
    """

    def main(config):
        quiet_tensorflow()
        getattr(tf_biggan, name)(config)

    run(main, config_class, interrupted=interrupted)


def run(
    main: Callable[[Any], int | None],
    config_class: type[Settings],
    *,
    interrupted: str = "Interrupted.",
) -> None:
    """Runs a command: parses the command line, calls `main` and exits. Does not return.

    The exit code is the one that `main` returns, 0 after --help, 1 for bad input (a ValueError, or
    a path that cannot be read or written), 2 for wrong usage and 130 after Ctrl-C. Every error is
    printed as one line on standard error. This function does not import TensorFlow: `main` calls
    `quiet_tensorflow`.

    If TF_CONFIG lists several processes, errors begin with the name of the process. A command
    without a flag --strategy runs only in the process that writes files, so that no file is written
    twice.

    Args:
      main: Function that takes the settings and returns the exit code; None counts as 0.
      config_class: Settings class of the command.
      interrupted: Message after Ctrl-C.
    """

    def guarded(argv):
        missing = [f"--{n}" for n in config_class.required if absl_flags.FLAGS[n].value is None]
        if missing or argv[1:]:
            problem = f"missing {', '.join(missing)}" if missing else f"not a flag: {argv[1]}"
            return _say(f"{problem}. See --help.", code=2)
        cluster = shared_cluster()
        speaker = f"{cluster.name}: " if cluster else ""
        if cluster and not cluster.writes and not _shares_work(config_class):
            return _say(f"{speaker}{LEFT_TO_WRITER}", code=0)
        try:
            return main(parsed(config_class)) or 0
        except KeyboardInterrupt:
            return _say(f"{speaker}{interrupted}", code=130)
        except _bad_input() as error:
            return _say(f"{speaker}{one_line(str(error))}", code=1)

    define(config_class)
    app.run(guarded, flags_parser=functools.partial(_parse, config_class=config_class))


def _shares_work(config_class: type[Settings]) -> bool:
    """Returns whether the processes of TF_CONFIG share the work of a command."""
    return any(field.name == "strategy" for field in config_class.settings())


def _parser(kind: str, limits: Mapping[str, object]) -> absl_flags.ArgumentParser:
    if limits["extensible"]:
        return _ExtensibleChoice(limits["choices"] or ())
    if limits["parse"]:
        # The settings parse the text, so that one rule holds in Python and on the command line.
        return _Sized(limits["parse"]) if kind == "int | str" else _Unparsed()
    return absl_flags.EnumParser(limits["choices"]) if limits["choices"] else PARSERS[kind](limits)


def _expanded(arguments: Sequence[str], folder: str, including: tuple[str, ...]) -> list[str]:
    made, rest = [], iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*made, argument, *rest]
        if name not in ("--flagfile", "-flagfile"):
            made.append(argument)
            continue
        if not equals:
            value = next(rest, "")
        path = os.path.join(folder, expand_home(value))
        made += _from_file(path, including)
    return made


def _from_file(path: str, including: tuple[str, ...]) -> list[str]:
    real = os.path.realpath(path)
    if real in including:
        raise ValueError(
            f"Flag file includes itself: {' -> '.join([*including, real])}. Remove one of"
            " these --flagfile lines."
        )
    named = f"flag file {path!r}" + (f", which {including[-1]} includes" if including else "")
    arguments = []
    # splitlines() would also split at other characters, which a path may contain.
    for number, line in enumerate(read_text(path, named).split("\n"), start=1):
        flag = _flag_of(line)
        if flag and not _FLAG.fullmatch(flag):
            raise ValueError(
                f"Line {number} of flag file {path!r} is not of the form --name=value: {flag}"
            )
        if flag.endswith("\\"):
            raise ValueError(
                f"Line {number} of flag file {path!r} ends in a backslash: {flag}. Write each"
                " flag in a line of its own, without a backslash."
            )
        arguments += [_QUOTED.sub(r"\1\3", flag)] if flag else []
    return _expanded(arguments, os.path.dirname(path), (*including, real))


def _flag_of(line: str) -> str:
    line = line.strip()
    return "" if line.startswith(("#", "//")) else _TRAILING_COMMENT.sub("", line)


def _parse(argv: list[str], config_class: type[Settings]) -> list[str]:
    try:
        arguments = expand_flagfiles(argv)
        if HELP_FLAGS & set(arguments[1:]):
            print(command_help(config_class, absl_flags.FLAGS, sys.modules["__main__"].__doc__))
            sys.stdout.flush()
            sys.exit(0)
        return absl_flags.FLAGS(arguments)
    except (absl_flags.Error, ValueError) as error:
        sys.exit(_say(one_line(str(error)), code=2))
    except BrokenPipeError:
        # The reader has closed the pipe, as in `--help | head`. Flushing at exit would print a
        # traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _bad_input() -> tuple[type[BaseException], ...]:
    """Returns the exceptions that bad input raises, with TensorFlow's own if it is imported."""
    kinds: tuple[type[BaseException], ...] = (ValueError, OSError)
    if "tensorflow" in sys.modules:
        errors = sys.modules["tensorflow"].errors
        kinds += (errors.NotFoundError, errors.PermissionDeniedError)
        kinds += (errors.FailedPreconditionError,)
    return kinds


def command_help(
    config_class: type[Settings], flag_values: absl_flags.FlagValues, docstring: str | None
) -> str:
    """Returns the help of a command.

    Args:
      config_class: Settings class of the command.
      flag_values: Where the flags of the command are defined.
      docstring: Docstring of the command's module, with a summary and examples. It comes first.
    """
    described = dict(_described(config_class))
    lines = [(docstring or "").strip(), ""]
    for title, names in config_class.help_groups.items():
        lines.append(f"{title}:")
        for name in names:
            if name in config_class.aliases:
                entry = f"--{name}=TEXT", f"The same as --{config_class.aliases[name]}."
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
    """Yields (name, (flag with a placeholder for its value, help text)) for every field."""
    kinds = config_class.kinds()
    for field in config_class.settings():
        name, kind = flag_name(field), kinds[field.name]
        shown = f"--[no]{name}" if kind.name == "bool" else f"--{name}={_placeholder(field, kind)}"
        yield name, (shown, " ".join([field.metadata["help"], *_facts(field, kind)]))


def _placeholder(field, kind: Kind) -> str:
    limits = field.metadata
    if limits["choices"]:
        own = (OBJECT_FORM,) if limits["extensible"] else ()
        return "|".join((*limits["choices"], *own))
    if limits["extensible"]:
        return OBJECT_FORM
    return "PATH" if limits["path"] else PLACEHOLDERS[kind.name]


def _facts(field, kind: Kind) -> list[str]:
    """Returns the default and the bounds of a flag, in brackets.

    The default None is left out: the help text says what happens without a value.
    """
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
        text + required,
        COLUMNS,
        initial_indent=INDENT,
        subsequent_indent=INDENT,
        break_on_hyphens=False,
    )
    return [f"  {flag}", *wrapped]
