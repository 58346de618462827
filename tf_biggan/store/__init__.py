"""Models on disk: runs, model folders and SavedModels."""
