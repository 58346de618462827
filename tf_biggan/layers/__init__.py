"""Layers: kernels with and without spectral norm, batch norms, attention, resampling."""
