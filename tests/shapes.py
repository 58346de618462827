"""Builds networks without allocating their variables, to count large ones."""

from __future__ import annotations

import contextlib

import keras


@contextlib.contextmanager
def shapes_only():
    """Variables made inside have shapes and no values.

    Keras keeps a list of them, and would fill them all, gigabytes of them, when a layer is next
    called on symbolic inputs; the list is dropped at the end.
    """
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        keras.utils.clear_session(free_memory=False)
