"""Tensors from files of any accepted format, by key, each read when it is asked for."""

from tf_biggan.conversion.readers.files import read_checkpoint, read_tensors

__all__ = ["read_checkpoint", "read_tensors"]
