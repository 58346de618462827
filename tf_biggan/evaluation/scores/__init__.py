"""Scores as functions of NumPy arrays of features or logits."""
