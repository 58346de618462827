"""Argument checks. Their messages state the rule first and then the received values."""

from __future__ import annotations

import importlib.util
import numbers
import os

MAX_LISTED = 3


def require(condition: bool, rule: str, /, **received) -> None:
    """Raises a ValueError unless `condition` is true.

    The message is the rule, followed by the name and value of everything in `received`.
    """
    if not condition:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise ValueError(f"{rule[0].upper()}{rule[1:]}. Received: {values}.")


def require_choice(name: str, value, choices: tuple) -> None:
    """Raises a ValueError, which lists the choices, unless `value` is one of `choices`."""
    accepted = ", ".join(str(choice) for choice in choices)
    require(value in choices, f"`{name}` must be one of {accepted}", **{name: value})


def require_integer(name: str, value, minimum: int, maximum: int | None = None) -> None:
    """Raises ValueError unless `value` is an integer (not a bool) from `minimum` to `maximum`."""
    limit = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    inside = is_integer and minimum <= value and (maximum is None or value <= maximum)
    require(inside, f"`{name}` must be an integer {limit}", **{name: value})


def require_fraction(name: str, value) -> None:
    """Raises ValueError unless `value` is a number from 0 to 1."""
    inside = isinstance(value, numbers.Real) and 0 <= value <= 1
    require(inside, f"`{name}` must be a number from 0 to 1", **{name: value})


def require_packages(message: str, *names: str) -> None:
    """Raises a ValueError with the text `message` unless all packages in `names` are installed.

    If `names` has several packages, the names of the missing packages follow the message.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(message + (f" Missing: {', '.join(missing)}." if len(names) > 1 else ""))


def require_utf8(*paths: str) -> None:
    """Raises ValueError unless all paths are UTF-8, the encoding that TensorFlow requires."""
    # Python represents bytes that are not UTF-8 by lone surrogates.
    others = [path for path in paths if any("\ud800" <= letter <= "\udfff" for letter in path)]
    require(
        not others,
        "names of files and folders must be UTF-8; rename those in another encoding",
        names=[os.fsencode(path) for path in others[:MAX_LISTED]],
    )
