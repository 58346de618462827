"""Base class of every command's settings: dataclasses with a field for each flag.

The values are checked when a settings object is made, so that the same bounds, choices and types
hold for `SampleConfig(batch_size=0)` in Python as for `--batch_size=0` on the command line. Some
settings accept MODULE:ATTRIBUTE, an object in the user's own code, such as my_package.losses:lsgan.
This module imports neither absl nor TensorFlow.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import traceback
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tf_biggan import checks
from tf_biggan.cli.terminal import one_line
from tf_biggan.files import json_files

_OBJECT_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
OBJECT_FORM = "MODULE:ATTRIBUTE"


def setting(
    default: Any,
    help_text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    extensible: bool = False,
    may_change: bool = False,
    path: str | None = None,
    parse: Callable[[Any], Any] | None = None,
    flag: str | None = None,
    none_is_a_value: bool = False,
) -> Any:
    """Returns a dataclass field that also describes its flag.

    Args:
      default: Value if the flag is not given.
      help_text: Text about the flag in --help.
      minimum: Smallest number that is accepted.
      maximum: Largest number that is accepted.
      choices: Accepted values.
      extensible: Whether MODULE:ATTRIBUTE, an object in the user's code, is accepted as well.
      may_change: Whether a run can be resumed with another value.
      path: Key of `file_paths.EXPANDERS` if the value is a path or contains paths, else None. On
        the command line, `~` at the start of such a path is replaced by the home folder.
      parse: Function that converts the text of the flag to the value of the field. It is also
        applied to values that are given in Python.
      flag: Name of the flag if it differs from the field's, such as "from".
      none_is_a_value: Whether the text `none` is a value of its own. Otherwise `none` on the
        command line stands for None, which undoes a value in a flag file.
    """
    metadata = dict(
        help=help_text,
        minimum=minimum,
        maximum=maximum,
        choices=choices,
        extensible=extensible,
        may_change=may_change,
        path=path,
        parse=parse,
        flag=flag,
        none_is_a_value=none_is_a_value,
    )
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Kind:
    """Type of a setting.

    Attributes:
      name: Name of the type in `json_files.KINDS`, such as "int" or "tuple[int, ...]".
      optional: Whether None is accepted.
    """

    name: str
    optional: bool

    @property
    def annotation(self) -> str:
        """The type in the form that `json_files.require_kind` accepts, such as "int | None"."""
        return self.name + (json_files.OPTIONAL if self.optional else "")


@dataclass(frozen=True)
class Settings:
    """Base class of settings. Subclasses are frozen dataclasses with fields made by `setting`.

    Class attributes:
      required: Names of flags that must be given on the command line.
      aliases: Maps an additional name of a flag to the name of its field.
      help_groups: Maps the title of each group in --help to the names of its flags.
    """

    required: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[Mapping[str, str]] = {}
    help_groups: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __post_init__(self):
        kinds = self.kinds()
        for field in self.settings():
            value = _converted(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            _check_value(field, kinds[field.name], value)

    @classmethod
    def settings(cls) -> list[dataclasses.Field]:
        """Returns all fields that are flags."""
        return list(dataclasses.fields(cls))

    @classmethod
    def kinds(cls) -> dict[str, Kind]:
        """Returns the type of every field by the field's name."""
        hints = typing.get_type_hints(cls)
        return {field.name: _kind(hints[field.name]) for field in dataclasses.fields(cls)}

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> typing.Self:
        """Returns settings with values given by field name. Missing fields have their default.

        Raises:
          ValueError: A name is unknown or a value is not accepted.
        """
        require_fields(values, [field.name for field in cls.settings()])
        return cls(**values)

    def require_given(self) -> None:
        """Raises a ValueError if a required setting has no value.

        The command line reports missing flags itself. Public functions call this method, because
        settings that were made in Python may lack a value.
        """
        missing = [name for name in self.required if getattr(self, name) is None]
        checks.require(
            not missing, "give a value to these settings, which have no default", missing=missing
        )

    def changed(self, names: typing.Iterable[str]) -> dict[str, Any]:
        """Returns the values of the named settings that differ from their default, by name."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value != defaults[name]}


def flag_name(field: dataclasses.Field) -> str:
    """Returns the name of a field's flag."""
    return field.metadata["flag"] or field.name


def require_fields(values: Mapping[str, Any], names: typing.Collection[str]) -> None:
    """Raises a ValueError if a name in `values` is not one of `names`."""
    unknown = sorted(set(values) - set(names))
    checks.require(not unknown, "these settings do not exist; see --help", unknown=unknown)


def _kind(annotation: Any) -> Kind:
    is_union = isinstance(annotation, types.UnionType)
    options = typing.get_args(annotation) if is_union else (annotation,)
    kinds = [option for option in options if option is not types.NoneType]
    names = [str(kind) if typing.get_args(kind) else kind.__name__ for kind in kinds]
    return Kind(" | ".join(names), types.NoneType in options)


def _converted(field: dataclasses.Field, value: Any) -> Any:
    """Returns the parsed value. Lists, which JSON and absl give, become tuples."""
    if isinstance(value, list):
        value = tuple(value)
    parse = field.metadata["parse"]
    return value if parse is None or value is None else parse(value)


def _check_value(field: dataclasses.Field, kind: Kind, value: Any) -> None:
    limits, given = field.metadata, {field.name: value}
    if value is None:
        checks.require(kind.optional, f"`{field.name}` must have a value", **given)
        return
    checks.require(
        json_files.is_kind(value, kind.name),
        f"`{field.name}` must be {json_files.words(kind.name)}",
        **given,
    )
    choices = (*(limits["choices"] or ()), *((OBJECT_FORM,) if limits["extensible"] else ()))
    if choices and not (limits["extensible"] and is_object_name(value)):
        checks.require_choice(field.name, value, choices)
    minimum, maximum = limits["minimum"], limits["maximum"]
    checks.require(
        minimum is None or value >= minimum, f"`{field.name}` must be at least {minimum}", **given
    )
    checks.require(
        maximum is None or value <= maximum, f"`{field.name}` must be at most {maximum}", **given
    )


def is_object_name(name: str) -> bool:
    """Returns whether a text has the form MODULE:ATTRIBUTE."""
    return _OBJECT_NAME.fullmatch(name) is not None


def load_object(name: str, setting: str) -> object:
    """Returns the object that MODULE:ATTRIBUTE names, after importing the module.

    Args:
      name: MODULE:ATTRIBUTE.
      setting: Name of the setting whose value is `name`, for error messages.

    Raises:
      ValueError: There is no such module or attribute, or the module cannot be imported. The
        message is one line.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"Cannot load --{setting}={name}: Python finds no module {error.name}. Modules are"
            " searched in the current folder and in the folders of PYTHONPATH."
        ) from error
    except Exception as error:
        raise ValueError(
            f"Cannot load --{setting}={name}: importing {module_name} fails with"
            f" {one_line_reason(error)} ({_place(error)})."
        ) from error
    if not hasattr(module, attribute):
        public = sorted(found for found in vars(module) if not found.startswith("_"))
        raise ValueError(
            f"Cannot load --{setting}={name}: the module {module_name} has no attribute"
            f" {attribute}; it has {', '.join(public) or 'none'}."
        )
    return getattr(module, attribute)


def one_line_reason(error: Exception) -> str:
    """Returns the kind and the message of an error in the user's code, in one line."""
    message = error.msg if isinstance(error, SyntaxError) else one_line(str(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _place(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}, line {frame.lineno}"
