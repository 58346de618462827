"""Objects of the user's own modules, named as MODULE:ATTRIBUTE, such as my_package.losses:lsgan."""

from __future__ import annotations

import importlib
import re
import traceback

from tf_biggan.cli.terminal import one_line

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
FORM = "MODULE:ATTRIBUTE"


def is_object_name(name: str) -> bool:
    """Returns whether a text has the form MODULE:ATTRIBUTE."""
    return _NAME.fullmatch(name) is not None


def load_object(name: str, setting: str) -> object:
    """Imports a module and returns its attribute.

    Args:
      name: MODULE:ATTRIBUTE.
      setting: The setting that the name was given for. Messages begin with it.

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
            f"Cannot load --{setting}={name}: importing {module_name} fails with {reason(error)}"
            f" ({_place(error)})."
        ) from error
    if not hasattr(module, attribute):
        public = sorted(found for found in vars(module) if not found.startswith("_"))
        raise ValueError(
            f"Cannot load --{setting}={name}: the module {module_name} has no attribute"
            f" {attribute}; it has {', '.join(public) or 'none'}."
        )
    return getattr(module, attribute)


def reason(error: Exception) -> str:
    """Returns the kind and the message of an error in the user's code, in one line."""
    message = error.msg if isinstance(error, SyntaxError) else one_line(str(error))
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _place(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}, line {frame.lineno}"
