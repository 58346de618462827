"""Reads tensors from PyTorch, NumPy, safetensors and TensorFlow files when they are accessed."""
