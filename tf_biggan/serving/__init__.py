"""Local HTTP server for SavedModels, compatible with TensorFlow Serving's REST predict API."""
