"""Models on disk: the folder of a converted model, and SavedModels with their metadata."""
