"""Command lines: flags from a configuration's fields, flag files, and the entry of every command.

A flag file has one flag a line, `--name=value`. Empty lines and lines that begin with # or // are
comments, and so is everything after a # that follows a space. Quotes around a whole value are left
out. `--flagfile=` in a flag file is looked up relative to the folder of that file. The last value
given for a flag holds. A `~` that begins a path becomes the home folder.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence

from absl import app
from absl import flags as absl_flags

from tf_biggan.cli.named_objects import FORM, is_object_name
from tf_biggan.cli.terminal import one_line
from tf_biggan.files.home_folder import EXPANDERS, ONE_PATH, expand_home
from tf_biggan.files.text_files import read_text

# The flags belong to the command that defines them, so that --help shows them.
absl_flags.disclaim_key_flags()

NONE = "none"
OPTIONAL = " | None"
_TRAILING_COMMENT = re.compile(r"\s+#.*$")
_FLAG = re.compile(r"--?\w+(=.*)?")
_QUOTED = re.compile(r"""^([^=]*=)(["'])((?:(?!\2).)*)\2$""")


class _Float(absl_flags.FloatParser):
    """Refuses nan and inf, which pass every comparison with a bound or fail far from here."""

    def convert(self, argument):
        value = super().convert(argument)
        if not math.isfinite(value):
            raise ValueError("must be a finite number")
        return value


class _Integers(absl_flags.ArgumentParser):
    """Integers with commas between them; nothing for none."""

    syntactic_help = "integers with commas between them, or nothing"

    def parse(self, argument):
        if isinstance(argument, (tuple, list)):
            return tuple(argument)
        try:
            return tuple(int(part) for part in argument.split(",") if part.strip())
        except ValueError:
            raise ValueError(f"must be {self.syntactic_help}") from None


class _Path(absl_flags.ArgumentParser):
    """Paths, in which `~` becomes the home folder."""

    def __init__(self, form: str):
        self._expand = EXPANDERS[form]

    def parse(self, argument):
        return self._expand(argument)


class _ExtensibleChoice(absl_flags.EnumParser):
    """One of the choices, or MODULE:ATTRIBUTE for an object of the user's code."""

    def __init__(self, choices: Sequence[str]):
        super().__init__((*choices, FORM))

    def parse(self, argument):
        return argument if is_object_name(argument) else super().parse(argument)


class _Optional(absl_flags.ArgumentParser):
    """Another parser's values, or `none`, so that a flag file can undo what it includes."""

    def __init__(self, parser: absl_flags.ArgumentParser):
        self._parser = parser
        self.syntactic_help = parser.syntactic_help

    def parse(self, argument):
        is_none = isinstance(argument, str) and argument.lower() == NONE
        return None if is_none else self._parser.parse(argument)


PARSERS: dict[str, Callable[[dict], absl_flags.ArgumentParser]] = {
    "str": lambda limits: _Path(limits["path"]) if limits["path"] else absl_flags.ArgumentParser(),
    "int": lambda limits: absl_flags.IntegerParser(limits["minimum"], limits["maximum"]),
    "float": lambda limits: _Float(limits["minimum"], limits["maximum"]),
    "tuple[int, ...]": lambda limits: _Integers(),
}


def define(config_class: type, flag_values: absl_flags.FlagValues = absl_flags.FLAGS) -> None:
    """Defines one flag, by the field's name, for every field of `config_class.settings()`.

    Types, defaults, bounds and choices are the field's. A field that may be None takes `none`, and
    its flag is None where it is not given. A tuple of integers is written with commas.

    Args:
      config_class: a configuration such as `tf_biggan.cli.train_settings.TrainConfig`.
      flag_values: where to define them; absl's own unless told.
    """
    for field in config_class.settings():
        kind = str(field.type).removesuffix(OPTIONAL)
        sentence = _help(field.metadata)
        if kind == "bool":
            absl_flags.DEFINE_boolean(field.name, field.default, sentence, flag_values)
            continue
        parser = _parser(kind, field.metadata)
        if str(field.type).endswith(OPTIONAL):
            parser = _Optional(parser)
        absl_flags.DEFINE(
            parser,
            field.name,
            field.default,
            sentence,
            flag_values,
            serializer=absl_flags.ArgumentSerializer(),
        )


def define_path(
    name: str, sentence: str, flag_values: absl_flags.FlagValues = absl_flags.FLAGS
) -> absl_flags.FlagHolder:
    """Defines a flag without a default whose value is a path.

    Args:
      name: of the flag.
      sentence: its help.
      flag_values: where to define it; absl's own unless told.
    """
    return absl_flags.DEFINE(_Path(ONE_PATH), name, None, sentence, flag_values)


def parsed(config_class: type, flag_values: absl_flags.FlagValues = absl_flags.FLAGS):
    """The configuration that the parsed flags describe.

    Raises:
      ValueError: `config_class` refuses them.
    """
    names = [field.name for field in config_class.settings()]
    return config_class.from_flat({name: flag_values[name].value for name in names})


def expand_flagfiles(argv: Sequence[str]) -> list[str]:
    """`argv` with the lines of flag files in place of every `--flagfile=`.

    Args:
      argv: a command line; the first element, the program, stays as it is.

    Raises:
      ValueError: a flag file cannot be read, includes itself, or has a line that is no flag.
    """
    return [*argv[:1], *_expanded(argv[1:], folder="", including=())]


def run(
    main: Callable[[], int | None],
    *,
    required: Sequence[str] = (),
    interrupted: str = "Interrupted.",
) -> None:
    """Parses the command line, calls `main` and leaves with its exit code; does not return.

    Bad usage leaves with 2 and bad input (ValueError, or a path that cannot be read or written)
    with 1, each after one line on standard error; Ctrl-C with 130; `--help` with 0. Nothing here
    imports TensorFlow: `main` calls `quiet_tensorflow` first where it needs it.

    Args:
      main: the command; None counts as 0.
      required: flags that must have a value.
      interrupted: what to say on Ctrl-C.
    """

    def guarded(argv):
        missing = [f"--{name}" for name in required if absl_flags.FLAGS[name].value is None]
        if missing or argv[1:]:
            problem = f"missing {', '.join(missing)}" if missing else f"not a flag: {argv[1]}"
            return _say(f"{problem}. See --help.", code=2)
        try:
            return main() or 0
        except KeyboardInterrupt:
            return _say(interrupted, code=130)
        except _bad_input() as error:
            return _say(one_line(str(error)), code=1)

    app.run(guarded, flags_parser=_parse)


def _parser(kind: str, limits: Mapping[str, object]) -> absl_flags.ArgumentParser:
    if limits["extensible"]:
        return _ExtensibleChoice(limits["choices"] or ())
    return absl_flags.EnumParser(limits["choices"]) if limits["choices"] else PARSERS[kind](limits)


def _help(limits: dict) -> str:
    # absl writes bounds itself, and choices only for its own kind of flag.
    choices = limits["choices"]
    if not choices:
        return limits["help"]
    own = f", or {FORM} of your own" if limits["extensible"] else ""
    return f"{limits['help']}; one of {', '.join(choices)}{own}"


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
        raise ValueError(f"Flag file includes itself: {' -> '.join([*including, real])}")
    named = f"flag file {path!r}" + (f", which {including[-1]} includes" if including else "")
    arguments = []
    # Not splitlines(), which also splits at characters that a path may have.
    for number, line in enumerate(read_text(path, named).split("\n"), start=1):
        flag = _flag_of(line)
        if flag and not _FLAG.fullmatch(flag):
            raise ValueError(f"Line {number} of flag file {path!r} is not --name=value: {flag}")
        if flag.endswith("\\"):
            raise ValueError(
                f"Line {number} of flag file {path!r} ends in a backslash: {flag}. A flag file has"
                " one flag a line; leave the backslash out."
            )
        arguments += [_QUOTED.sub(r"\1\3", flag)] if flag else []
    return _expanded(arguments, os.path.dirname(path), (*including, real))


def _flag_of(line: str) -> str:
    line = line.strip()
    return "" if line.startswith(("#", "//")) else _TRAILING_COMMENT.sub("", line)


def _parse(argv: list[str]) -> list[str]:
    try:
        return absl_flags.FLAGS(expand_flagfiles(argv))
    except (absl_flags.Error, ValueError) as error:
        sys.exit(_say(one_line(str(error)), code=2))
    except SystemExit:
        # absl leaves with 1 after --help, which a shell takes for a failure.
        sys.exit(0)
    except BrokenPipeError:
        # `--help | head`: without this, flushing at exit prints a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _bad_input() -> tuple[type[BaseException], ...]:
    """What a command's input can raise; TensorFlow's file errors only where it is loaded."""
    kinds: tuple[type[BaseException], ...] = (ValueError, OSError)
    if "tensorflow" in sys.modules:
        errors = sys.modules["tensorflow"].errors
        kinds += (errors.NotFoundError, errors.PermissionDeniedError)
        kinds += (errors.FailedPreconditionError,)
    return kinds
