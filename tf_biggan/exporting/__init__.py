"""Exports generators as SavedModels, ONNX, TFLite and Keras files, with model cards."""
