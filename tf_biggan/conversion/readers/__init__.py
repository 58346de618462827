"""Tensors from files of any accepted format, by key, each read when it is asked for."""

from tf_biggan.conversion.readers.files import read_everything, read_tensors

__all__ = ["read_everything", "read_tensors"]
