"""Keras layers of both networks."""
