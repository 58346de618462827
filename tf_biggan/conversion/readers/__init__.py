"""Reads tensors from PyTorch, NumPy and safetensors files, each when it is first accessed."""
