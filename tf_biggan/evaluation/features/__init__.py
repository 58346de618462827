"""Sets of images, feature extractors, and the cache of extracted features."""
