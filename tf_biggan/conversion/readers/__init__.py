"""Reads tensors from PyTorch, NumPy and safetensors files, each when it is first accessed."""

from tf_biggan.conversion.readers.files import read_everything, read_tensors

__all__ = ["read_everything", "read_tensors"]
