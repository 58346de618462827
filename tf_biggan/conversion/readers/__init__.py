"""Tensors from files of any accepted format, by key, each read when it is asked for."""
