"""Folders at addresses of `ram://`, TensorFlow's file system in the memory of the process."""

from __future__ import annotations

import itertools
import os

import tensorflow as tf

from tf_biggan.files import file_system

# Functions of TensorFlow that change files at an address.
CHANGES = tuple((tf.io.gfile, name) for name in ("copy", "rename", "remove", "makedirs", "rmtree"))
_NUMBERS = itertools.count()


def new_address() -> str:
    """Returns the address of a new folder.

    For `ram://`, "a/1" is a folder that holds the content of "a/10", so numbers have one length.
    """
    address = f"ram://tests/{next(_NUMBERS):04d}"
    tf.io.gfile.makedirs(address)
    return address


def copied(source: str | os.PathLike, target: str | os.PathLike) -> str:
    """Copies a folder from or to an address, and returns the target."""
    source, target = str(source), str(target)
    for path in file_system.walk(source):
        place = os.path.join(target, os.path.relpath(path, source))
        tf.io.gfile.makedirs(os.path.dirname(place))
        tf.io.gfile.copy(path, place)
    return target


def names_below(folder: str) -> list[str]:
    """Returns the relative paths of the files below a folder."""
    return sorted(os.path.relpath(path, folder) for path in file_system.walk(folder))
