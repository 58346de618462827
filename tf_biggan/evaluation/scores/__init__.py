"""Scores as functions of features."""
