"""Exports generators as SavedModels for TensorFlow Hub, TensorFlow Serving and the local server."""
