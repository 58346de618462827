"""A local HTTP server for SavedModels that speaks TensorFlow Serving's REST predict API."""
